"""The whole application in this process: on the memory adapters, or on all of what it can run on."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import httpx2
import pytest
from dependency_injector import providers
from fastapi import FastAPI

from application.ports import Clock
from infrastructure.clock import utc_now
from infrastructure.container import Container
from infrastructure.settings import Settings
from interfaces.http.app import create_app

PASSWORD = "correct horse battery"
SECRET = "s" * 32
PROBLEM = {"type", "title", "status", "detail", "instance", "code", "request_id"}
PLENTY = {f"limit_{name}": "100000/hour" for name in ("login", "register", "task_create", "upload", "bulk", "default")}
Start = Callable[..., AbstractAsyncContextManager["Api"]]


def assert_problem(response: httpx2.Response, status: int, code: str, *pointers: str) -> None:
    """It is a problem of this status and code, has all members and no other, and its `errors` point there."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() == PROBLEM | ({"errors"} if status == 422 else set())
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"/problems/{code}")
    assert problem["instance"] == unquote(response.request.url.path)
    assert problem["request_id"] == response.headers["X-Request-ID"]
    if status == 422:
        assert all(error.keys() == {"pointer", "code", "detail"} for error in problem["errors"])
        assert sorted(error["pointer"] for error in problem["errors"]) == sorted(pointers)


@dataclass(frozen=True)
class Api:
    """The running application, and a client of it that nobody is logged in with."""

    app: FastAPI
    client: httpx2.AsyncClient

    async def person(self) -> "Person":
        """Somebody who just registered and logged in."""
        name = f"user-{uuid4().hex[:20]}"
        account = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        registered = await self.client.post("/auth/register", json=account)
        assert registered.status_code == 201, registered.text
        login = await self.client.post("/auth/login", json={"username": name, "password": PASSWORD})
        assert login.status_code == 200, login.text
        return Person(self, name, registered.json()["id"], login.json()["access_token"])


@dataclass(frozen=True)
class Person:
    api: Api
    username: str
    id: int
    token: str

    async def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return await self.api.client.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.send("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        return await self.send("POST", path, **options)

    async def patch(self, path: str, **options: Any) -> httpx2.Response:
        return await self.send("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> httpx2.Response:
        return await self.send("DELETE", path, **options)

    async def task(self, **fields: Any) -> dict[str, Any]:
        """A task just created."""
        created = await self.post("/tasks", json={"title": "Write the report", **fields})
        assert created.status_code == 201, created.text
        task: dict[str, Any] = created.json()
        return task

    async def file(self, task: dict[str, Any], content: bytes = b"hello", name: str = "notes.txt") -> dict[str, Any]:
        """A file just uploaded."""
        uploaded = await self.post(f"/tasks/{task['id']}/files", files={"file": (name, content)})
        assert uploaded.status_code == 201, uploaded.text
        file: dict[str, Any] = uploaded.json()
        return file


def make_app(clock: Clock = utc_now, **settings: Any) -> FastAPI:
    defaults: dict[str, Any] = {"_env_file": None, "database_url": "memory:", "storage_url": "memory:"}
    chosen = Settings(**{**defaults, "secret_key": SECRET, **PLENTY, **settings})
    return create_app(Container(settings=chosen, clock=providers.Object(clock)))


@asynccontextmanager
async def start(**settings: Any) -> AsyncIterator[Api]:
    """`async with start(limit_login="2/minute") as api:` on the memory adapters, unless the settings say otherwise.

    A `clock` may be given too.
    """
    app = make_app(**settings)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield Api(app, client)


@pytest.fixture(autouse=True)
def _patient_with_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this is about the time that Redis is given; on a busy machine an answer may take longer."""
    monkeypatch.setattr("infrastructure.redis.link.ANSWER_SECONDS", 10.0)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """On the memory adapters."""
    async with start() as api:
        yield api


@pytest.fixture
async def me(api: Api) -> Person:
    return await api.person()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def any_api(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Api]:
    """On the memory adapters, on SQLite and disk, on PostgreSQL, Redis and disk."""
    storage = {"storage_url": f"file:{tmp_path / 'files'}"}
    settings: dict[str, Any] = {}
    match request.param:
        case "memory":
            pass
        case "sqlite":
            shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "taskwell.db")
            settings = {"database_url": f"sqlite+aiosqlite:///{tmp_path / 'taskwell.db'}", **storage}
        case _:
            urls = {
                "database_url": request.getfixturevalue("migrated_postgres"),
                "redis_url": request.getfixturevalue("redis_url"),
            }
            settings = {"jobs_in_server": "true", **urls, **storage}
    async with start(**settings) as api:
        yield api
