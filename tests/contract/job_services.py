"""A database with its unit of work and its runners, for each adapter of the job queue; and jobs to run there."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import func, select, text

from application.jobs import Job, JobRecords
from application.ports import UnitOfWork
from infrastructure.jobs import Jobs, Pace
from infrastructure.memory.database import MemoryDatabase
from infrastructure.memory.jobs import MemoryJobRecords, MemoryJobStore
from infrastructure.memory.unit_of_work import MemoryUnitOfWork
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.pgqueuer.records import PgqueuerJobTable
from infrastructure.pgqueuer.worker import PgqueuerWorker
from infrastructure.runner import JobRunner, JobStore
from infrastructure.sql.engine import Engines, open_engines
from infrastructure.sql.job_records import EmbeddedJobTable, SqlJobRecords
from infrastructure.sql.jobs import SqlJobQueue, SqlJobStore
from infrastructure.sql.tables import jobs as jobs_table
from infrastructure.sql.unit_of_work import SqlUnitOfWork

SOON = 30  # seconds in which what must happen happens, on the busiest machine
POLL = timedelta(milliseconds=20)
Run = Callable[[asyncio.Event], Awaitable[None]]
Backoff = Callable[[int], timedelta]


@dataclass
class Tell:
    """Tells what it was called with."""

    job_name: ClassVar[str] = "tell"
    told: asyncio.Queue[tuple[object, ...]] = field(default_factory=asyncio.Queue)

    async def __call__(self, number: int, names: Sequence[str] = (), *, loud: bool = False) -> None:
        self.told.put_nowait((number, names, loud))

    async def next(self) -> tuple[object, ...]:
        return await asyncio.wait_for(self.told.get(), SOON)


@dataclass
class Fail:
    """Fails a number of times."""

    job_name: ClassVar[str] = "fail"
    times: int
    calls: list[float] = field(default_factory=list)

    async def __call__(self, secret: str) -> None:
        self.calls.append(time.monotonic())
        if len(self.calls) <= self.times:
            raise OSError(secret)


@dataclass
class Wait:
    """Runs until it may end."""

    job_name: ClassVar[str] = "wait"
    started: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    calls: int = 0
    ended: int = 0

    async def __call__(self) -> None:
        self.calls += 1
        self.started.put_nowait(self.calls)
        await self.may_end.wait()
        self.ended += 1


def quick(attempt: int) -> timedelta:
    return timedelta(milliseconds=attempt)


@dataclass(frozen=True)
class Service:
    """One database, the unit of work on it, and as many runners as a test starts."""

    work: UnitOfWork
    records: JobRecords
    runner: Callable[[Jobs, Pace], Run]
    stored: Callable[[], Awaitable[int]]
    buried: Callable[[], Awaitable[list[tuple[str, str]]]]

    @asynccontextmanager
    async def running(
        self, *jobs: Job[...], backoff: Backoff = quick, poll: timedelta = POLL
    ) -> AsyncIterator[asyncio.Task[None]]:
        """A runner at work, as a task; stopped at the end."""
        stop = asyncio.Event()

        async def run() -> None:
            await self.runner({job.job_name: job for job in jobs}, Pace(poll, backoff))(stop)

        task = asyncio.create_task(run())
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait({task}, timeout=SOON)
            assert task.done()

    async def enqueue(self, job: type[Job[...]], *args: object, **kwargs: object) -> None:
        async with self.work.write() as tx:
            await tx.jobs.enqueue(job, *args, **kwargs)

    async def becomes(self, state: Callable[[], Awaitable[object]], expected: object) -> None:
        async with asyncio.timeout(SOON):
            while await state() != expected:  # noqa: ASYNC110  a database sets no event
                await asyncio.sleep(0.01)


def _runner(store: JobStore, enqueued: asyncio.Event) -> Callable[[Jobs, Pace], Run]:
    return lambda jobs, pace: JobRunner(store, jobs, enqueued=enqueued, pace=pace).run


@asynccontextmanager
async def memory(_: pytest.FixtureRequest) -> AsyncIterator[Service]:
    database, enqueued = MemoryDatabase(), asyncio.Event()

    async def stored() -> int:
        return len(database.snapshot().jobs)

    async def buried() -> list[tuple[str, str]]:
        return [(row.name, str(row.error)) for row in database.snapshot().jobs.values() if row.failed_at]

    work = MemoryUnitOfWork(database, on_jobs=enqueued.set)
    runner = _runner(MemoryJobStore(database), enqueued)
    yield Service(work, MemoryJobRecords(database), runner, stored, buried)


@asynccontextmanager
async def sqlite(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    path = request.getfixturevalue("tmp_path") / "taskwell.db"
    shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
    engines, enqueued = open_engines(f"sqlite+aiosqlite:///{path}", pool_size=2), asyncio.Event()

    async def buried() -> list[tuple[str, str]]:
        query = select(jobs_table.c.name, jobs_table.c.error).where(jobs_table.c.failed_at.is_not(None))
        async with engines.read.connect() as conn:
            return [(name, error) for name, error in await conn.execute(query)]

    work = SqlUnitOfWork(engines, SqlJobQueue, on_jobs=enqueued.set)
    runner = _runner(SqlJobStore(engines), enqueued)
    records, count = SqlJobRecords(engines, EmbeddedJobTable()), select(func.count()).select_from(jobs_table)
    yield Service(work, records, runner, lambda: _number(engines, count), buried)
    await engines.aclose()


@asynccontextmanager
async def postgres(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    url = request.getfixturevalue("migrated_postgres")
    engines = open_engines(url, pool_size=5)
    async with engines.write.begin() as conn:
        await conn.execute(text("TRUNCATE pgqueuer, pgqueuer_log"))

    def runner(jobs: Jobs, pace: Pace) -> Run:
        unknown_after, lease = timedelta(milliseconds=50), timedelta(seconds=5)
        return PgqueuerWorker(url, jobs, lease=lease, unknown_after=unknown_after, pace=pace).run

    async def buried() -> list[tuple[str, str]]:
        query = text(
            "SELECT job.entrypoint, traceback ->> 'exception_message' FROM pgqueuer AS job"
            " JOIN pgqueuer_log AS log ON job_id = job.id AND log.status = job.status WHERE job.status = 'failed'"
        )
        async with engines.read.connect() as conn:
            return [(name, error) for name, error in await conn.execute(query)]

    work = SqlUnitOfWork(engines, PgqueuerJobQueue, on_jobs=lambda: None)
    records, count = SqlJobRecords(engines, PgqueuerJobTable()), text("SELECT count(*) FROM pgqueuer")
    yield Service(work, records, runner, lambda: _number(engines, count), buried)
    await engines.aclose()


async def _number(engines: Engines, query: Any) -> int:
    async with engines.read.connect() as conn:
        return int((await conn.execute(query)).scalar_one())
