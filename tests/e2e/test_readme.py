"""The README's tour, pasted block by block into a shell, against the program started in both ways."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tests.e2e.service import ROOT, Service
from tests.e2e.started import at_scale, embedded, migrate

BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def tour() -> str:
    section = (ROOT / "README.md").read_text().split("\n## A tour\n")[1].split("\n## ")[0]
    return "\n".join(BLOCK.findall(section))


async def walk(service: Service, folder: Path) -> str:
    assert "http://127.0.0.1:8000" in tour()
    script = "set -euo pipefail\n" + tour().replace("http://127.0.0.1:8000", service.url)
    shell = await asyncio.to_thread(
        subprocess.run, ["bash"], input=script, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert shell.returncode == 0, shell.stdout + shell.stderr + service.log()
    return shell.stdout


def check(shown: str) -> None:
    assert [line.strip().lower() for line in shown.splitlines() if line.lower().startswith("x-cache")] == [
        "x-cache: miss",
        "x-cache: hit",
        "x-cache: miss",
    ]
    assert shown.count("\n200\n200\n200\n200\n200\n429\n") == 1
    assert "Rate limit exceeded: 5 per 1 minute" in shown
    assert "Task started: Processing data in the background." in shown
    stamps = re.findall(r'"timestamp":([0-9.]+)', shown)
    assert len(stamps) == 2
    assert stamps[0] == stamps[1]


async def test_the_tour_embedded(tmp_path: Path) -> None:
    async with Service(cwd=tmp_path, env=embedded(tmp_path)) as service:
        check(await walk(service, tmp_path))


async def test_the_tour_at_scale(tmp_path: Path, new_postgres_database: NewDatabase, redis_url: str) -> None:
    async with new_postgres_database() as database_url:
        env = at_scale(tmp_path, database_url, redis_url) | {"TASKWELL_WORKERS": "2"}
        migrate(tmp_path, env)
        async with Service(cwd=tmp_path, env=env) as service:
            check(await walk(service, tmp_path))


@pytest.fixture(autouse=True)
def _fresh_windows(redis_url: str) -> None:
    """The tour meets a rate limit by address: it must not have been met by another test before."""
    import redis  # noqa: PLC0415 # only here

    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
