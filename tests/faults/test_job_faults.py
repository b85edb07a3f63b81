"""Jobs whose process is killed, jobs that kill their process, and a PostgreSQL that goes away meanwhile.

Started as a program, this module is the process that gets killed: it runs jobs until it is told to stop.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import make_url, text

from infrastructure.enqueued import EnqueuedJobs
from infrastructure.jobs import MAX_DELIVERIES, Jobs, Pace
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.pgqueuer.worker import PgqueuerWorker
from infrastructure.runner import JobRunner
from infrastructure.sql.engine import Engines, open_engines
from infrastructure.sql.jobs import SqlJobQueue, SqlJobStore
from infrastructure.sql.migrate import upgrade
from tests.conftest import NewDatabase
from tests.faults.proxy import Proxy

SOON = 30
LEASE = timedelta(seconds=2)
PACE = Pace(timedelta(milliseconds=100), lambda attempt: timedelta(milliseconds=attempt))


@dataclass
class Hang:
    """Never returns in the process that gets it first, at once in the next."""

    job_name: ClassVar[str] = "hang"
    diary: Path

    async def __call__(self) -> None:
        if _write(self.diary, "hang") == 1:
            await asyncio.Event().wait()
        _write(self.diary, "return")


@dataclass
class Kill:
    job_name: ClassVar[str] = "kill"
    diary: Path

    async def __call__(self) -> None:
        _write(self.diary, "kill")
        os.kill(os.getpid(), signal.SIGKILL)


def _write(diary: Path, word: str) -> int:
    """Return how often the word is in the diary by now."""
    with diary.open("a") as file:
        file.write(f"{word}\n")
    return diary.read_text().split().count(word)


async def _run_jobs(url: str, diary: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    jobs: Jobs = {job.job_name: job for job in (Hang(diary), Kill(diary))}
    if url.startswith("postgresql"):
        await PgqueuerWorker(url, jobs, lease=LEASE, pace=PACE).run(stop)
        return
    engines = open_engines(url, pool_size=1)
    await JobRunner(SqlJobStore(engines), jobs, enqueued=asyncio.Event(), pace=PACE).run(stop)
    await engines.aclose()


@dataclass(frozen=True)
class Service:
    url: str
    engines: Engines
    diary: Path

    async def enqueue(self, job: type[Hang | Kill]) -> None:
        queue = PgqueuerJobQueue if self.url.startswith("postgresql") else SqlJobQueue
        async with self.engines.write.begin() as conn:
            await EnqueuedJobs(queue(conn)).enqueue(job)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.engines.read.connect() as conn:
            return [tuple(row) for row in await conn.execute(text(query))]

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "tests.faults.test_job_faults", self.url, str(self.diary)]
        with subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()

    def entries(self) -> list[str]:
        return self.diary.read_text().split()


@asynccontextmanager
async def _service(url: str, folder: Path) -> AsyncIterator[Service]:
    engines = open_engines(url, pool_size=2)
    await upgrade(engines.write)
    diary = folder / "diary"
    diary.touch()
    yield Service(url, engines, diary)
    await engines.aclose()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Service]:
    async with _service(f"sqlite+aiosqlite:///{tmp_path / 'taskwell.db'}", tmp_path) as service:
        yield service


@pytest.fixture
async def postgres(tmp_path: Path, new_postgres_database: NewDatabase) -> AsyncIterator[Service]:
    async with new_postgres_database() as url, _service(url, tmp_path) as service:
        yield service


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not true():  # noqa: ASYNC110  another process sets no event
            await asyncio.sleep(0.02)


async def becomes(service: Service, query: str, expected: list[tuple[Any, ...]]) -> None:
    async with asyncio.timeout(SOON):
        while await service.rows(query) != expected:  # noqa: ASYNC110  a database sets no event
            await asyncio.sleep(0.02)


async def test_sqlite_what_a_killed_process_left_is_done_by_the_next(sqlite: Service) -> None:
    await sqlite.enqueue(Hang)
    with sqlite.process() as first:
        await until(lambda: sqlite.entries() == ["hang"])
        first.kill()
        first.wait()
    with sqlite.process() as second:
        await until(lambda: sqlite.entries() == ["hang", "hang", "return"])
        second.terminate()
        await until(lambda: second.poll() == 0)
    assert await sqlite.rows("SELECT count(*) FROM jobs") == [(0,)]


async def test_postgres_what_a_killed_worker_left_is_taken_over_by_another(postgres: Service) -> None:
    await postgres.enqueue(Hang)
    with postgres.process() as first:
        await until(lambda: postgres.entries() == ["hang"])
        with postgres.process() as second:
            # The first keeps its lease, however long it takes.
            await asyncio.sleep(1.5 * LEASE.total_seconds())
            assert postgres.entries() == ["hang"]
            first.kill()
            await until(lambda: postgres.entries() == ["hang", "hang", "return"])
            second.terminate()
            await until(lambda: second.poll() == 0)
    assert await postgres.rows("SELECT count(*) FROM pgqueuer") == [(0,)]


async def test_sqlite_a_job_that_kills_its_process_is_buried(sqlite: Service) -> None:
    await _kill_until_buried(sqlite, "SELECT name, error FROM jobs WHERE failed_at IS NOT NULL")


async def test_postgres_a_job_that_kills_its_worker_is_buried(postgres: Service) -> None:
    await _kill_until_buried(
        postgres,
        "SELECT entrypoint, traceback ->> 'exception_message' FROM pgqueuer_log WHERE status = 'failed'"
        " AND EXISTS (SELECT FROM pgqueuer WHERE pgqueuer.id = job_id AND pgqueuer.status = 'failed')",
    )


async def _kill_until_buried(service: Service, buried: str) -> None:
    await service.enqueue(Kill)
    for _ in range(MAX_DELIVERIES):
        with service.process() as process:
            await until(lambda: process.poll() == -signal.SIGKILL)
    with service.process() as survivor:
        await becomes(service, buried, [("kill", "its process died each time")])
        assert survivor.poll() is None
    assert service.entries() == ["kill"] * MAX_DELIVERIES


@dataclass
class Pass:
    """Tells that it runs, and ends when it may."""

    job_name: ClassVar[str] = "pass"
    started: "asyncio.Queue[None]"
    may_end: asyncio.Event

    async def __call__(self) -> None:
        self.started.put_nowait(None)
        await self.may_end.wait()


async def test_a_worker_outlives_a_restart_of_postgres(postgres: Service) -> None:
    url = make_url(postgres.url)
    proxy = Proxy(url.host or "", url.port or 0)
    await proxy.open()
    through = url.set(port=proxy.port).render_as_string(hide_password=False)
    job, stop = Pass(asyncio.Queue(), asyncio.Event()), asyncio.Event()
    running = asyncio.create_task(PgqueuerWorker(through, {"pass": job}, pace=PACE).run(stop))
    await _enqueue_pass(postgres)
    await asyncio.wait_for(job.started.get(), SOON)
    await proxy.cut()
    job.may_end.set()
    await asyncio.sleep(1)  # it ends, and finds that it can't say so
    await _enqueue_pass(postgres)
    assert await postgres.rows("SELECT status::text FROM pgqueuer ORDER BY id") == [("picked",), ("queued",)]
    await proxy.open()
    await becomes(postgres, "SELECT count(*) FROM pgqueuer", [(0,)])
    stop.set()
    await running
    await proxy.cut()
    assert job.started.qsize() == 1  # the second; the first was not repeated


async def _enqueue_pass(service: Service) -> None:
    async with service.engines.write.begin() as conn:
        await EnqueuedJobs(PgqueuerJobQueue(conn)).enqueue(Pass)


if __name__ == "__main__":
    asyncio.run(_run_jobs(sys.argv[1], Path(sys.argv[2])))
