"""`taskwell jobs`, as an operator types it: on both databases, and beside a service that runs."""

import asyncio
import json
import os
import pty
import re
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from infrastructure.clock import utc_now
from interfaces.cli.main import cli
from tests.conftest import NewDatabase
from tests.e2e.service import Service, clean_environment
from tests.e2e.started import TASKWELL, at_scale, embedded, migrate
from tests.ports import free_port

SOON = 30
ARGUMENTS = '[[999999], {}, "a-key"]'  # of a mail to nobody: there is no such user
COLUMNS = ["id", "name", "state", "attempts", "enqueued_at", "due_at", "error"]


def taskwell(folder: Path, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [*TASKWELL, *words]
    ended = subprocess.run(
        command, cwd=folder, env=clean_environment() | env, capture_output=True, text=True, timeout=SOON, check=False
    )
    assert "Traceback" not in ended.stderr
    return ended


@dataclass(frozen=True)
class Place:
    """A database with the jobs 1 and 2, dead, and 3, waiting."""

    folder: Path
    env: dict[str, str]

    def jobs(self, *words: str, code: int = 0) -> str:
        ended = taskwell(self.folder, self.env, "jobs", *words)
        assert ended.returncode == code, ended.stderr
        return ended.stderr if code else ended.stdout

    def states(self) -> dict[int, str]:
        return {job["id"]: job["state"] for job in json.loads(self.jobs("list", "--json"))}


def fill(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        for failed_at in ("2026-01-02 03:04:05.000000", utc_now().strftime("%Y-%m-%d %H:%M:%S.%f"), None):
            dead = (5, failed_at, "OSError") if failed_at else (0, None, None)
            database.execute(
                "INSERT INTO jobs (name, arguments, attempts, failed_at, error, enqueued_at)"
                " VALUES ('mail-welcome', ?, ?, ?, ?, '2026-01-01 00:00:00.000000')",
                (ARGUMENTS, *dead),
            )


async def fill_postgres(url: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    for status, days in (("failed", 100), ("failed", 0), ("queued", 0)):
        await connection.execute(
            "INSERT INTO pgqueuer (priority, status, entrypoint, payload, created, updated)"
            " VALUES (0, $1, 'mail-welcome', $2, '2026-01-01Z', now() - $3 * interval '1 day')",
            status,
            ARGUMENTS.encode(),
            days,
        )
    await connection.execute(
        "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback) SELECT id, 'failed', 0, entrypoint,"
        " jsonb_build_object('exception_message', 'OSError') FROM pgqueuer WHERE status = 'failed'"
    )
    await connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "sqlite":
        env = embedded(tmp_path)
        migrate(tmp_path, env)
        fill(tmp_path / "taskwell.db")
        yield Place(tmp_path, env)
        return
    new_database: NewDatabase = request.getfixturevalue("new_postgres_database")
    async with new_database() as url:
        env = at_scale(tmp_path, url, "")
        migrate(tmp_path, env)
        await fill_postgres(url)
        yield Place(tmp_path, env)


def test_dead_jobs_are_seen_retried_and_purged(place: Place) -> None:
    header, *rows = [line.split("\t") for line in place.jobs("list", "--state", "dead").splitlines()]
    assert header == COLUMNS
    assert [(row[0], row[1], row[2], row[4], row[6]) for row in rows] == [
        (number, "mail-welcome", "dead", "2026-01-01T00:00:00+00:00", "OSError") for number in ("1", "2")
    ]
    assert [job["id"] for job in json.loads(place.jobs("list", "--json", "--limit", "2"))] == [1, 2]
    shown: dict[str, Any] = json.loads(place.jobs("show", "1", "--json"))
    assert (shown["error"], shown["arguments"]) == ("OSError", json.loads(ARGUMENTS))
    assert f"arguments\t{ARGUMENTS}\n" in place.jobs("show", "1")
    assert place.jobs("purge", "--older-than", "30") == "1 forgotten\n"
    assert place.states() == {2: "dead", 3: "waiting"}
    assert place.jobs("retry", "2") == "1 back in the queue\n"
    assert place.states() == {2: "waiting", 3: "waiting"}
    assert place.jobs("purge") == "0 forgotten\n"


def test_what_is_not_dead_is_not_retried_and_nothing_else_then(place: Place) -> None:
    assert place.jobs("retry", "1", "3", "77", code=1) == (
        "taskwell: job 3 is not dead: it is waiting\ntaskwell: there is no job 77\ntaskwell: no job was sent back\n"
    )
    assert place.jobs("show", "77", code=1) == "taskwell: there is no job 77; done jobs are forgotten\n"
    assert place.states() == {1: "dead", 2: "dead", 3: "waiting"}
    assert place.jobs("retry", "--all") == "2 back in the queue\n"
    assert set(place.states().values()) == {"waiting"}


@pytest.mark.parametrize(
    "words",
    [
        ["retry"],
        ["retry", "1", "--all"],
        ["retry", "0"],
        ["show"],
        ["show", str(2**63)],
        ["list", "--state", "sad"],
        ["list", "--limit", "0"],
        ["purge", "--older-than", "-1"],
        ["eat"],
    ],
    ids=" ".join,
)
def test_wrong_usage(words: list[str]) -> None:
    assert CliRunner().invoke(cli, ["jobs", *words]).exit_code == 2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory:", "with TASKWELL_DATABASE_URL=memory: only the serving process knows its jobs"),
        (
            "sqlite+aiosqlite:///not-there.db",
            "the database is not at the schema of this version: run `taskwell migrate`",
        ),
        (
            "postgresql+asyncpg://me@127.0.0.1:{port}/tasks",
            "The database does not answer. (TASKWELL_DATABASE_URL; ConnectionRefusedError)",
        ),
    ],
    ids=["memory", "not migrated", "away"],
)
def test_why_there_are_no_jobs_to_see_is_told_in_a_sentence(tmp_path: Path, url: str, reason: str) -> None:
    env = {"TASKWELL_DATABASE_URL": url.format(port=free_port()), "TASKWELL_SECRET_KEY": "s" * 32}
    ended = taskwell(tmp_path, env, "jobs", "list", "--json")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"taskwell: {reason}\n")
    assert not (tmp_path / "not-there.db").exists()


async def test_a_service_that_runs_notices_what_is_retried_beside_it(tmp_path: Path) -> None:
    env = embedded(tmp_path)
    migrate(tmp_path, env)
    fill(tmp_path / "taskwell.db")
    async with Service(cwd=tmp_path, env=env) as service:
        await becomes(lambda: mails_done(service.log()), 1)
        place = Place(tmp_path, env)
        assert await asyncio.to_thread(place.states) == {1: "dead", 2: "dead"}
        assert await asyncio.to_thread(place.jobs, "retry", "2") == "1 back in the queue\n"
        await becomes(lambda: mails_done(service.log()), 2)
        assert await asyncio.to_thread(place.states) == {1: "dead"}
        assert (await service.stop())[0] == 0


def mails_done(log: str) -> int:
    return len(re.findall("job done .*job=mail-welcome", log))


async def becomes(state: Callable[[], object], expected: object) -> None:
    async with asyncio.timeout(SOON):
        while state() != expected:  # noqa: ASYNC110  another process sets no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("columns", ["160", "80"])
def test_on_a_terminal_it_is_a_table_and_nothing_is_cut_off(tmp_path: Path, columns: str) -> None:
    env = embedded(tmp_path) | {"COLUMNS": columns, "TERM": "xterm"}
    migrate(tmp_path, env)
    fill(tmp_path / "taskwell.db")
    ours, its = pty.openpty()
    subprocess.run(
        [*TASKWELL, "jobs", "list"], cwd=tmp_path, env=clean_environment() | env, stdout=its, check=True, timeout=SOON
    )
    os.close(its)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert "\t" not in shown
    rows = [line.split("│") for line in shown.splitlines() if line.startswith("│")]
    assert {len(row) for row in rows} == {9}
    assert "".join(row[2].strip() for row in rows) == "mail-welcome" * 3
