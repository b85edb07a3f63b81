"""The program started in both ways that it runs, and an account to use it with."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import NewDatabase
from tests.e2e.service import Service, clean_environment

TASKWELL = (sys.executable, "-m", "interfaces.cli.main")
SECRET = {"TASKWELL_SECRET_KEY": "s" * 40}
PASSWORD = "correct horse battery"
UNLIMITED = ("DEFAULT", "TASK_CREATE", "UPLOAD", "BULK", "LOGIN", "REGISTER")
PLENTY = {f"TASKWELL_LIMIT_{name}": "1000000/hour" for name in UNLIMITED}


def embedded(folder: Path) -> dict[str, str]:
    """Everything in this folder, also when the working directory is another one."""
    return {
        "TASKWELL_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'taskwell.db'}",
        "TASKWELL_STORAGE_URL": f"file:{folder / 'files'}",
        **SECRET,
    }


def at_scale(folder: Path, database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "TASKWELL_DATABASE_URL": database_url,
        "TASKWELL_REDIS_URL": redis_url,
        "TASKWELL_STORAGE_URL": f"file:{folder / 'files'}",
        "TASKWELL_EXAMPLE_ROUTES": "true",
        "TASKWELL_WORKER_PORT": "0",  # whichever is free
        **SECRET,
    }


def migrate(folder: Path, env: dict[str, str]) -> None:
    subprocess.run([*TASKWELL, "migrate"], cwd=folder, env=clean_environment() | env, check=True, capture_output=True)


@asynccontextmanager
async def started(kind: str, request: pytest.FixtureRequest, **extra: str) -> AsyncIterator[Service]:
    """`embedded`, or `scale`: one process that runs its jobs too, on PostgreSQL and Redis. No limit is in the way."""
    folder: Path = request.getfixturevalue("tmp_path")
    if kind == "embedded":
        async with Service(cwd=folder, env=embedded(folder) | PLENTY | extra) as service:
            yield service
        return
    new_database: NewDatabase = request.getfixturevalue("new_postgres_database")
    async with new_database() as url:
        env = at_scale(folder, url, request.getfixturevalue("redis_url")) | PLENTY
        env |= {"TASKWELL_JOBS_IN_SERVER": "true", **extra}
        migrate(folder, env)
        async with Service(cwd=folder, env=env) as service:
            yield service


async def logged_in(client: httpx2.AsyncClient, name: str = "anna") -> dict[str, Any]:
    """Register, log in, and bear the token from now on."""
    account = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    user: dict[str, Any] = (await client.post("/auth/register", json=account)).raise_for_status().json()
    login = await client.post("/auth/login", json={"username": name, "password": PASSWORD})
    client.headers["authorization"] = f"Bearer {login.raise_for_status().json()['access_token']}"
    return user
