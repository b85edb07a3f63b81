"""A mail server that stalls, or is dead, delays mails and nothing else; and once it is back, each mail comes once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from application.files import RemoveFileContents
from application.notices import Mailing, MailTaskCompleted, MailTaskCreated, MailWelcome
from application.ports import UnitOfWork
from domain.user import User
from infrastructure.jobs import SLOTS, Jobs, Pace, job_key
from infrastructure.memory.storage import MemoryStorage
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.pgqueuer.worker import PgqueuerWorker
from infrastructure.runner import JobRunner
from infrastructure.smtp import SmtpNotifier
from infrastructure.sql.engine import open_engines
from infrastructure.sql.jobs import SqlJobQueue, SqlJobStore
from infrastructure.sql.migrate import upgrade
from infrastructure.sql.unit_of_work import SqlUnitOfWork
from tests.conftest import NewDatabase
from tests.examples import stored_user
from tests.ports import free_port
from tests.smtp_server import STALL, MailServer, mail_server

SOON = 60
AT_ONCE = 3.0  # seconds; it takes some milliseconds, and a mail that stalls ten seconds
MAILS, KINDS = 201, 3
PACE = Pace(timedelta(seconds=1), lambda _: timedelta(milliseconds=50))


class Storage(MemoryStorage):
    """Tells when something is deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: asyncio.Queue[float] = asyncio.Queue()

    @override
    async def delete(self, name: str) -> None:
        await super().delete(name)
        self.deleted.put_nowait(time.monotonic())


@dataclass
class Service:
    """A database, and whoever runs its jobs."""

    work: UnitOfWork
    runner: Callable[[Jobs], JobRunner | PgqueuerWorker]
    storage: Storage = field(default_factory=Storage)

    @asynccontextmanager
    async def mailing_by(self, url: str) -> AsyncIterator[None]:
        stop, mailing = asyncio.Event(), Mailing(self.work, SmtpNotifier(url, "tasks@example.org"), job_key, "http://x")
        kinds = MailWelcome(mailing), MailTaskCreated(mailing), MailTaskCompleted(mailing)
        jobs: Jobs = {job.job_name: job for job in (*kinds, RemoveFileContents(self.storage))}
        running = asyncio.create_task(self.runner(jobs).run(stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(running, SOON)

    async def enqueue_mails(self) -> None:
        user: User = await stored_user(self.work)
        async with self.work.write() as tx:
            for _ in range(MAILS // KINDS):
                await tx.jobs.enqueue(MailWelcome, user.id)
                await tx.jobs.enqueue(MailTaskCreated, user.id, "Read")
                await tx.jobs.enqueue(MailTaskCompleted, user.id, ["Read"])

    async def slowest_of_ten(self) -> float:
        """Seconds from the commit of a file's deletion to that of its bytes."""
        slowest = 0.0
        for _ in range(10):
            async with self.work.write() as tx:
                await tx.jobs.enqueue(RemoveFileContents, ["name"])
            committed = time.monotonic()
            slowest = max(slowest, await asyncio.wait_for(self.storage.deleted.get(), SOON) - committed)
        print(f"slowest clean-up: {slowest * 1000:.1f} ms")  # noqa: T201, shown with -s
        return slowest


@asynccontextmanager
async def sqlite(tmp_path: Path, _: NewDatabase) -> AsyncIterator[Service]:
    engines, woken = open_engines(f"sqlite+aiosqlite:///{tmp_path / 'taskwell.db'}", pool_size=2), asyncio.Event()
    await upgrade(engines.write)
    work = SqlUnitOfWork(engines, SqlJobQueue, on_jobs=woken.set)
    yield Service(work, lambda jobs: JobRunner(SqlJobStore(engines), jobs, enqueued=woken, pace=PACE))
    await engines.aclose()


@asynccontextmanager
async def postgres(_: Path, new_postgres_database: NewDatabase) -> AsyncIterator[Service]:
    async with new_postgres_database() as url:
        engines = open_engines(url, pool_size=5)
        await upgrade(engines.write)
        work = SqlUnitOfWork(engines, PgqueuerJobQueue, on_jobs=lambda: None)
        yield Service(work, lambda jobs: PgqueuerWorker(url, jobs, pace=PACE))
        await engines.aclose()


@pytest.fixture(params=[sqlite, postgres], ids=lambda make: make.__name__)
async def service(
    request: pytest.FixtureRequest, tmp_path: Path, new_postgres_database: NewDatabase
) -> AsyncIterator[Service]:
    async with request.param(tmp_path, new_postgres_database) as service:
        yield service


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not true():  # noqa: ASYNC110  the server sets no event
            await asyncio.sleep(0.02)


async def test_while_the_mail_server_stalls_files_are_removed_at_once(service: Service) -> None:
    async with mail_server() as server:
        server.answers = {"RCPT": [STALL] * MAILS}
        async with service.mailing_by(server.url):
            await service.enqueue_mails()
            await until(lambda: stalled(server) == KINDS * SLOTS)
            assert await service.slowest_of_ten() < AT_ONCE
            assert stalled(server) == KINDS * SLOTS
            server.answers.clear()
            for transport in server.transports:
                transport.abort()
            await until(lambda: len(server.received) == MAILS)
    assert len({str(mail.message["Message-ID"]) for mail in server.received}) == MAILS


async def test_while_the_mail_server_is_dead_files_are_removed_at_once(service: Service) -> None:
    async with service.mailing_by(f"smtp://localhost:{free_port()}"):
        await service.enqueue_mails()
        assert await service.slowest_of_ten() < AT_ONCE


def stalled(server: MailServer) -> int:
    return MAILS - len(server.answers["RCPT"])
