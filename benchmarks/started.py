"""The program at scale, to be measured: PostgreSQL and Redis as wheels, one process, an account and a task."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from benchmarks.load import Load, load
from tests.e2e.service import ROOT, clean_environment
from tests.services import Keeper, ask

SECRET = "b" * 40
ACCOUNT = {"username": "bench", "email": "bench@example.org", "password": "correct horse battery"}


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """The settings of a service that nothing limits, on servers that are gone at the end; migrated."""
    keeper = Keeper()
    try:
        with tempfile.TemporaryDirectory() as folder:
            env = {
                "TASKWELL_DATABASE_URL": ask(keeper.address, "postgres"),
                "TASKWELL_REDIS_URL": ask(keeper.address, "redis"),
                "TASKWELL_STORAGE_URL": f"file:{folder}",
                "TASKWELL_SECRET_KEY": SECRET,
                "TASKWELL_LIMIT_DEFAULT": "100000000/hour",
                "TASKWELL_LOG_LEVEL": "warning",
            }
            migrate = (sys.executable, "-m", "interfaces.cli.main", "migrate")
            subprocess.run(migrate, cwd=ROOT, env=clean_environment() | env, check=True)
            yield env
    finally:
        keeper.end()


async def a_task(url: str) -> tuple[str, int]:
    """A token, and the id of its owner's only task."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        (await client.post("/auth/register", json=ACCOUNT)).raise_for_status()
        account = {name: ACCOUNT[name] for name in ("username", "password")}
        token = (await client.post("/auth/login", json=account)).raise_for_status().json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        task = await client.post("/tasks", json={"title": "Measure", "tags": ["a"]}, headers=headers)
        return token, task.raise_for_status().json()["id"]


def get(path: str, token: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def answered(port: int, request: bytes, *, clients: int, seconds: float) -> Load:
    """A load that is answered 200 throughout."""
    done = await load(port, request, clients=clients, seconds=seconds)
    assert set(done.statuses) == {200}, done.statuses
    return done
