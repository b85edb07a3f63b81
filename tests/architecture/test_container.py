"""The container builds the whole application for any choice of adapters, and imports none that was not chosen."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import fields
from importlib import import_module
from inspect import getmembers, isclass
from itertools import product
from pathlib import Path
from pkgutil import iter_modules
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import application
from application.schedules import SCHEDULES
from infrastructure.container import Container, jobs, use_cases
from infrastructure.lifecycle import closing
from infrastructure.settings import Settings

ROOT = Path(__file__).parents[2]
DATABASES = {
    "memory": "memory:",
    "sqlite": "sqlite+aiosqlite:///never-opened.db",
    "postgresql": "postgresql+asyncpg://nobody@localhost/nothing",
}
CACHES = {"memory": "", "redis": "redis://localhost"}
STORAGES = {"memory": "memory:", "filesystem": "file:never-opened", "s3": "s3://bucket/prefix"}
MAIL: dict[str, Any] = {"smtp_url": "smtp://localhost", "mail_from": "tasks@example.org"}
LAZY = {
    "aiosmtplib",
    "aiosqlite",
    "alembic",
    "asyncpg",
    "obstore",
    "pgqueuer",
    "redis",
    "sqlalchemy",
    "typer",
    "uvicorn",
}

# A queue may hold a job of each of these names: one that is renamed would never be done.
JOB_NAMES = {
    "mail-welcome",
    "mail-task-created",
    "mail-task-completed",
    "mail-task-due",
    "purge-expired",
    "reconcile-files",
    "remind-of-due-tasks",
    "remove-file-contents",
}

BUILD = """
import json, sys
from infrastructure.container import Container
from infrastructure.lifecycle import closing
from infrastructure.settings import Settings
from interfaces.http.app import create_app

create_app(Container(settings=Settings(**json.loads(sys.argv[1]))))
print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))
"""


def choose(database: str, cache: str, storage: str) -> dict[str, Any]:
    return {
        "_env_file": None,
        "database_url": DATABASES[database],
        "redis_url": CACHES[cache],
        "storage_url": STORAGES[storage],
        "s3_access_key_id": "key",
        "s3_secret_access_key": "secret",
        "secret_key": "s" * 32,
    }


@pytest.fixture(params=list(product(DATABASES, CACHES, STORAGES)), ids="-".join)
async def container(request: pytest.FixtureRequest) -> AsyncIterator[Container]:
    container = Container(settings=Settings(**choose(*request.param)))
    async with closing(container):
        yield container


def all_use_cases() -> set[type]:
    modules = [import_module(f"application.{module.name}") for module in iter_modules(application.__path__)]
    return {
        found
        for module in modules
        for _, found in getmembers(module, isclass)
        if found.__module__ == module.__name__ and "__call__" in vars(found) and not is_port(found)
    }


def is_port(kind: object) -> bool:
    return bool(getattr(kind, "_is_protocol", False))


async def test_every_provider_can_be_built(container: Container) -> None:
    chosen = container.settings()
    pointless = {"engines"} if chosen.database == "memory" else set()
    pointless |= {"redis"} if chosen.cache == "memory" else set()
    for name, provider in container.providers.items():
        if name not in pointless:
            assert provider() is not None, name


async def test_mails_go_to_the_log_until_there_is_a_server_for_them() -> None:
    chosen = choose("memory", "memory", "memory")
    notifiers = [Container(settings=Settings(**chosen, **mail)).notifier() for mail in ({}, MAIL)]
    assert [type(notifier).__name__ for notifier in notifiers] == ["LogNotifier", "SmtpNotifier"]


async def test_every_use_case_is_in_the_container(container: Container) -> None:
    assert set(use_cases(container)) == all_use_cases()


async def test_every_part_of_a_use_case_is_what_it_says(container: Container) -> None:
    for use_case, built in use_cases(container).items():
        kinds = get_type_hints(use_case)
        for field in fields(use_case):
            assert fits(getattr(built, field.name), kinds[field.name]), f"{use_case.__name__}.{field.name}"


def fits(part: object, kind: Any) -> bool:
    if isinstance(kind, UnionType):
        return any(fits(part, one) for one in get_args(kind))
    if is_port(kind):
        return all(hasattr(part, name) for name in vars(kind) if name == "__call__" or not name.startswith("_"))
    return isinstance(part, get_origin(kind) or kind)


async def test_jobs_are_known_by_names_of_their_own_that_never_change(container: Container) -> None:
    classes = [use_case for use_case in all_use_cases() if hasattr(use_case, "job_name")]
    known = jobs(container)
    assert sorted(known) == sorted(use_case.job_name for use_case in classes)
    assert {type(job) for job in known.values()} == set(classes)
    assert known.keys() >= JOB_NAMES
    scheduled = [schedule.job.job_name for schedule in SCHEDULES]
    assert scheduled == sorted(set(scheduled) & known.keys(), key=scheduled.index)


@pytest.mark.parametrize(
    ("chosen", "allowed"),
    [
        (("memory", "memory", "memory"), set()),
        (("sqlite", "memory", "filesystem"), {"aiosqlite", "sqlalchemy"}),
        (("postgresql", "redis", "filesystem"), {"asyncpg", "pgqueuer", "redis", "sqlalchemy"}),
        (("memory", "memory", "s3"), {"obstore"}),
    ],
    ids=["memory", "sqlite", "postgresql", "s3"],
)
def test_what_is_not_chosen_is_not_imported(chosen: tuple[str, str, str], allowed: set[str]) -> None:
    command = [sys.executable, "-c", BUILD, json.dumps(choose(*chosen)), json.dumps(sorted(LAZY))]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert set(json.loads(built.stdout)) <= allowed
