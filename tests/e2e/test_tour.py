"""The real program, started as a user starts it, embedded and at scale; both have to answer alike."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import NewDatabase
from tests.e2e.service import ROOT, Service, clean_environment
from tests.e2e.started import TASKWELL, at_scale, embedded, logged_in, migrate
from tests.e2e.tour import Tour

RUN = (sys.executable, ROOT / "run.py")


async def walked(service: Service) -> list[tuple[Any, ...]]:
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as client:
        tour = Tour(client)
        await tour.walk()
        assert await counted(client, "/rate-limited") == {"200": 5.0, "429": 1.0}
    return tour.answers


async def counted(client: httpx2.AsyncClient, route: str) -> dict[str, float]:
    """What `/metrics` says of a route, by status: of all processes, whichever of them is asked."""
    metrics = (await client.get("/metrics")).raise_for_status().text
    pattern = rf'^http_requests_total{{method="GET",route="{route}",status="(\d+)"}} (\S+)$'
    return {status: float(number) for status, number in re.findall(pattern, metrics, re.MULTILINE)}


@asynccontextmanager
async def worker(folder: Path, env: dict[str, str]) -> AsyncIterator[Path]:
    """A `taskwell worker`, and the file it logs to. It must end in order."""
    log = folder / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*TASKWELL, "worker"], cwd=folder, env=clean_environment() | env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield log
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 15) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


async def until(condition: Any, log: Any) -> None:
    """Wait until it holds; it holds soon, or there is something wrong."""
    for _ in range(300):
        if condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"it did not happen within 15 s:\n{log()}")


def mails(log: str) -> tuple[int, int, int]:
    """How many are a welcome, how many of a new task, and how many of a completed one."""
    return log.count("subject='Welcome"), log.count("subject='New task:"), log.count("subject='Done:")


async def test_embedded_and_at_scale_answer_alike(
    tmp_path: Path, new_postgres_database: NewDatabase, redis_url: str
) -> None:
    here, there = tmp_path / "embedded", tmp_path / "scale"
    here.mkdir()
    there.mkdir()
    async with Service(env=embedded(here), command=RUN) as service:
        alone = await walked(service)
        await until(lambda: mails(service.log()) == (1, 4, 2), service.log)
        await until(lambda: not list((here / "files").glob("task_*")), service.log)
        code, seconds = await service.stop(signal.SIGINT)
        assert (code, seconds < 5, "Traceback" in service.log()) == (0, True, False), service.log()
    async with new_postgres_database() as database_url:
        env = at_scale(there, database_url, redis_url)
        migrate(there, env)
        two = env | {"TASKWELL_WORKERS": "2"}
        async with worker(there, env) as log, Service(cwd=there, env=two) as service:
            together = await walked(service)
            await until(lambda: mails(log.read_text()) == (1, 4, 2), log.read_text)
            await until(lambda: not list((there / "files").glob("task_*")), log.read_text)
            code, seconds = await service.stop(signal.SIGTERM)
            assert (code, seconds < 5, "Traceback" in service.log()) == (0, True, False), service.log()
    assert len(alone) > 50
    assert alone == together


async def test_several_processes_without_postgresql_are_refused(tmp_path: Path) -> None:
    env = clean_environment() | embedded(tmp_path) | {"TASKWELL_WORKERS": "2"}
    refused = subprocess.run([*TASKWELL, "serve"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr == (
        "taskwell: TASKWELL_WORKERS=2 needs TASKWELL_DATABASE_URL to name a PostgreSQL database\n"
    )


@pytest.mark.parametrize("word", ["serve", "worker"])
async def test_a_database_that_was_never_migrated_is_refused(
    tmp_path: Path, new_postgres_database: NewDatabase, redis_url: str, word: str
) -> None:
    async with new_postgres_database() as url:
        env = clean_environment() | at_scale(tmp_path, url, redis_url) | {"TASKWELL_PORT": "0"}
        refused = await asyncio.to_thread(
            subprocess.run, [*TASKWELL, word], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30
        )
    assert refused.returncode == 1
    assert refused.stderr == "taskwell: the database is not at the schema of this version: run `taskwell migrate`\n"


def test_the_tools_find_their_packages_whatever_python_comes_first_in_the_path() -> None:
    env = clean_environment() | {"PATH": os.defpath}
    ended = subprocess.run([*RUN, "bench", "nothing"], env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1].partition(";")[0]) == (1, "unknown: nothing")


async def test_a_second_process_on_the_same_database_is_refused(tmp_path: Path) -> None:
    async with Service(cwd=tmp_path, env=embedded(tmp_path)):
        env = clean_environment() | embedded(tmp_path) | {"TASKWELL_PORT": "0"}
        second = subprocess.run(
            [*TASKWELL, "serve"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
    assert second.returncode == 1
    assert "another Taskwell process serves this database" in second.stderr
    assert "Traceback" not in second.stderr


async def test_what_was_promised_right_before_a_kill_is_done_at_the_next_start(tmp_path: Path) -> None:
    async with Service(cwd=tmp_path, env=embedded(tmp_path)) as service:
        async with httpx2.AsyncClient(base_url=service.url, trust_env=False) as client:
            await logged_in(client)
            created = [await client.post("/tasks", json={"title": f"Task {n}"}) for n in range(5)]
            tasks = [answer.raise_for_status().json()["id"] for answer in created]
            uploaded = await client.post(f"/tasks/{tasks[0]}/files", files={"file": ("a.txt", b"bytes")})
            assert uploaded.status_code == 201
            answers = await asyncio.gather(*(client.delete(f"/tasks/{task}") for task in tasks))
            service.kill()
        assert [answer.status_code for answer in answers] == [204] * 5
        await service.start()
        await until(lambda: not list((tmp_path / "files").glob("task_*")), service.log)
        await until(lambda: mails(service.log())[1] >= 5, service.log)
