"""How many round trips each route costs, on PostgreSQL and Redis: one more has to be put down here, with its reason."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.routing import iter_route_contexts

from infrastructure.redis import link
from interfaces.http.routing import Route
from tests.api.conftest import PASSWORD, Person, start
from tests.architecture.recording import recording

Request = tuple[str, dict[str, Any]]
Prepare = Callable[[Person], Awaitable[Request]]


def to(path: str, **options: Any) -> Prepare:
    async def prepare(_: Person) -> Request:
        return path, options

    return prepare


def to_a_task(path: str, *, with_file: bool = False, completed: bool = False, **options: Any) -> Prepare:
    async def prepare(me: Person) -> Request:
        task = await me.task()
        ids = {"task_id": task["id"]} | ({"file_id": (await me.file(task))["id"]} if with_file else {})
        if completed:
            await me.post(f"/tasks/{task['id']}/complete")
        return path.format(**ids), options

    return prepare


def to_tasks(path: str, *, files: int = 0, **body: Any) -> Prepare:
    async def prepare(me: Person) -> Request:
        tasks = [await me.task() for _ in range(3)]
        for _ in range(files):
            await me.file(tasks[0])
        return path, {"json": {"ids": [task["id"] for task in tasks], **body}}

    return prepare


async def registration(_: Person) -> Request:
    name = f"user-{uuid4().hex[:20]}"
    return "/auth/register", {"json": {"username": name, "email": f"{name}@example.org", "password": PASSWORD}}


def login(path: str, form: str) -> Prepare:
    async def prepare(me: Person) -> Request:
        return path, {form: {"username": me.username, "password": PASSWORD}}

    return prepare


async def a_zone_not_asked_for_yet(me: Person) -> Request:
    await me.task()
    return "/tasks/stats?tz=Europe/Berlin", {}


RATES = ["EVALSHA"]  # all rates of a request are counted by one script
GET_TASK = "SELECT tasks FOR UPDATE"  # what a change is decided by stays as it is until the commit
SAVE = ["UPDATE tasks", "UPDATE usage"]  # the second moves the version of the owner's statistics, and the sum of bytes
JOB = "WITH pgqueuer, input, pgqueuer_log, inserted, maps"  # one statement of pgqueuer's, for the job and its log


def write(*statements: str) -> list[str]:
    return ["BEGIN", *statements, "COMMIT"]


# A route that can go several ways goes the costly one, but where it says otherwise.
ROUTES: dict[str, tuple[Prepare, list[str], list[str]]] = {
    "GET /health/live": (to("/health/live"), [], []),
    "GET /health/ready": (to("/health/ready"), ["SELECT"], ["PING"]),
    "GET /metrics": (to("/metrics"), ["SELECT pgqueuer_log, pgqueuer"], []),  # the jobs are counted anew each time
    # The version of the statistics has a row of its own: each write changes it, and an account hardly ever changes.
    "POST /auth/register": (registration, write("INSERT users", "INSERT usage", JOB), RATES),
    # The rates of the account can only be counted once the body is read.
    "POST /auth/login": (login("/auth/login", "json"), ["SELECT users"], RATES * 2),
    "POST /auth/token": (login("/auth/token", "data"), ["SELECT users"], RATES * 2),
    "GET /auth/me": (to("/auth/me"), ["SELECT users"], RATES),
    "POST /tasks": (
        to("/tasks", json={"title": "Write the report"}),
        write(JOB, "UPDATE usage", "INSERT tasks"),
        RATES,
    ),
    "GET /tasks": (to("/tasks?completed=false&tag=home&q=report&sort=due_at"), ["SELECT tasks"], RATES),
    # The version is asked of the database each time, so that nothing older than the last write is ever shown.
    "GET /tasks/stats": (to("/tasks/stats"), ["SELECT usage"], [*RATES, "GET"]),
    # One of those who miss computes: a script takes the lock, and another one keeps the value and frees the lock.
    "GET /tasks/stats for the first time": (
        a_zone_not_asked_for_yet,
        ["SELECT usage", "SELECT tasks, usage"],
        [*RATES, "GET", "EVALSHA", "EVALSHA"],
    ),
    # The second look at the tasks is for versions that went stale: an update of many can't tell which of them did.
    "PATCH /tasks/bulk": (
        to_tasks("/tasks/bulk", set={"completed": True}),
        write(GET_TASK, JOB, GET_TASK, " + ".join(["UPDATE tasks"] * 3), "UPDATE usage"),
        RATES,
    ),
    "POST /tasks/bulk/delete": (
        to_tasks("/tasks/bulk/delete", files=1),
        write(GET_TASK, "SELECT files", "DELETE tasks", "UPDATE usage", JOB),
        RATES,
    ),
    "GET /tasks/{task_id}": (to_a_task("/tasks/{task_id}"), ["SELECT tasks"], RATES),
    "PATCH /tasks/{task_id}": (
        to_a_task("/tasks/{task_id}", json={"completed": True}),
        write(GET_TASK, JOB, *SAVE),
        RATES,
    ),
    "PATCH /tasks/{task_id} without effect": (to_a_task("/tasks/{task_id}", json={}), write(GET_TASK), RATES),
    "DELETE /tasks/{task_id}": (
        to_a_task("/tasks/{task_id}", with_file=True),
        write(GET_TASK, "SELECT files", "DELETE tasks", "UPDATE usage", JOB),
        RATES,
    ),
    "DELETE /tasks/{task_id} without files": (
        to_a_task("/tasks/{task_id}"),
        write(GET_TASK, "DELETE tasks", "UPDATE usage"),
        RATES,
    ),
    "POST /tasks/{task_id}/complete": (to_a_task("/tasks/{task_id}/complete"), write(GET_TASK, JOB, *SAVE), RATES),
    "POST /tasks/{task_id}/reopen": (
        to_a_task("/tasks/{task_id}/reopen", completed=True),
        write(GET_TASK, *SAVE),
        RATES,
    ),
    # One look before the body is read, at the task and at the quota. Room is reserved before the content is read, and
    # who waited for the lock sees what others reserved by then. What is true in the end is checked with the record.
    "POST /tasks/{task_id}/files": (
        to_a_task("/tasks/{task_id}/files", files={"file": ("notes.txt", b"hello")}),
        [
            "SELECT uploads, usage, tasks",
            *write("SELECT usage FOR UPDATE", "INSERT uploads, usage"),
            *write(*SAVE, "DELETE uploads", "INSERT files, uploads, usage"),
        ],
        RATES,
    ),
    "GET /tasks/{task_id}/files": (
        to_a_task("/tasks/{task_id}/files", with_file=True),
        ["SELECT tasks, files"],
        RATES,
    ),
    "GET /tasks/{task_id}/files/{file_id}": (
        to_a_task("/tasks/{task_id}/files/{file_id}", with_file=True),
        ["SELECT files"],
        RATES,
    ),
    "HEAD /files/{file_id}": (to_a_task("/files/{file_id}", with_file=True), ["SELECT files"], RATES),
    "GET /files/{file_id}": (to_a_task("/files/{file_id}", with_file=True), ["SELECT files"], RATES),
    "DELETE /files/{file_id}": (
        to_a_task("/files/{file_id}", with_file=True),
        write("SELECT files, tasks FOR UPDATE", "DELETE files", *SAVE, JOB),
        RATES,
    ),
}


async def test_each_route_makes_these_round_trips_and_no_more(
    migrated_postgres: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_SECONDS", 10.0)  # on a busy machine a late answer would switch Redis off
    settings: dict[str, Any] = {"storage_url": f"file:{tmp_path}", "example_routes": False, "docs_enabled": False}
    async with (
        recording(migrated_postgres) as (database_url, statements),
        recording(redis_url) as (proxied_redis_url, commands),
        start(database_url=database_url, redis_url=proxied_redis_url, **settings) as api,
    ):
        me = await api.person()
        made = {}
        for name, (prepare, _, _) in ROUTES.items():
            for _ in ("warm up: statements are prepared, scripts loaded", "count"):
                path, options = await prepare(me)
                statements.clear()
                commands.clear()
                answer = await me.send(name.split()[0], path, **options)
                assert answer.is_success, (name, answer.text)
            made[name] = (statements.copy(), commands.copy())
        routes = [route for route in iter_route_contexts(api.app.routes) if isinstance(route.original_route, Route)]
    assert made == {name: (sql, redis) for name, (_, sql, redis) in ROUTES.items()}
    assert {f"{method} {route.path}" for route in routes for method in route.methods or ()} == {
        " ".join(name.split()[:2]) for name in ROUTES
    }
