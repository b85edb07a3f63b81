"""Workers on PostgreSQL that are killed and paused while they send mails to a real server, which keeps the ledger."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from application.notices import MailTaskCreated
from application.ports import UnitOfWork
from domain.user import User, UserId
from infrastructure.clock import utc_now
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.sql.engine import open_engines
from infrastructure.sql.migrate import upgrade
from infrastructure.sql.unit_of_work import SqlUnitOfWork
from tests.conftest import NewDatabase
from tests.e2e.service import ROOT, clean_environment
from tests.e2e.started import at_scale
from tests.smtp_server import STALL, MailServer, mail_server

LEASE_SECONDS = 3.0
TAKEN_OVER_SECONDS = 30  # GUARANTEES 4
STARTED_SECONDS = 60
JOBS_BETWEEN_KILLS = 200
PICKED = "SELECT id, queue_manager_id, payload FROM pgqueuer WHERE status = 'picked'"


@dataclass
class Jobs:
    """A database with jobs in it, a mail server, and what workers need to know of both."""

    work: UnitOfWork
    mails: MailServer
    user: UserId
    environment: dict[str, str]
    database: "asyncpg.Pool[asyncpg.Record]"
    enqueued: int = 0
    interrupted: set[str] = field(default_factory=set)  # the keys of jobs that a kill met
    looking: list[asyncio.Task[None]] = field(default_factory=list)

    async def enqueue(self, count: int) -> None:
        async with self.work.write() as tx:
            for number in range(self.enqueued, self.enqueued + count):
                await tx.jobs.enqueue(MailTaskCreated, self.user, f"task {number}")
        self.enqueued += count

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "tests.faults.worker_process", str(LEASE_SECONDS)]
        with subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGCONT)
                process.kill()

    async def note_what_was_interrupted(self) -> None:
        """Who died keeps its jobs until the lease ends; those of the living are done sooner."""
        before = await self._picked()

        async def look_again() -> None:
            await asyncio.sleep(LEASE_SECONDS / 2)
            self.interrupted |= {key for _, _, key in before & await self._picked()}

        self.looking.append(asyncio.create_task(look_again()))

    async def are_done(self) -> None:
        while await self.database.fetchval("SELECT count(*) FROM pgqueuer"):  # noqa: ASYNC110  a database sets no event
            await asyncio.sleep(0.05)

    async def _picked(self) -> set[tuple[int, str, str]]:
        rows = await self.database.fetch(PICKED)
        return {(row["id"], str(row["queue_manager_id"]), json.loads(row["payload"])[2]) for row in rows}


@pytest.fixture
async def jobs(tmp_path: Path, new_postgres_database: NewDatabase, redis_url: str) -> AsyncIterator[Jobs]:
    async with new_postgres_database() as url, mail_server() as mails, _connected(url) as database:
        engines = open_engines(url, pool_size=2)
        await upgrade(engines.write)
        work = SqlUnitOfWork(engines, PgqueuerJobQueue, on_jobs=lambda: None)
        async with work.write() as tx:
            anna = await tx.users.add(User("anna", "anna@example.org", "no hash", utc_now()))
        environment = clean_environment() | at_scale(tmp_path, url, redis_url)
        environment |= {"TASKWELL_SMTP_URL": mails.url, "TASKWELL_MAIL_FROM": "tasks@example.org"}
        yield Jobs(work, mails, anna.id, environment, database)
        await engines.aclose()


def _connected(url: str) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool: who looks again does so beside the others."""
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return asyncpg.create_pool(address, min_size=0, max_size=2)


async def _mails(jobs: Jobs, count: int, *, within: float) -> None:
    async with asyncio.timeout(within):
        while len(jobs.mails.received) < count:  # noqa: ASYNC110  the mail server sets no event
            await asyncio.sleep(0.02)


async def test_of_killed_workers_no_mail_is_lost_and_none_repeated_but_those_a_kill_interrupted(
    jobs: Jobs, pytestconfig: pytest.Config
) -> None:
    kills = 50 if pytestconfig.getoption("--full") else 15
    with ExitStack() as stack:
        workers = [stack.enter_context(jobs.worker()) for _ in range(2)]
        for _ in range(kills):
            await jobs.enqueue(JOBS_BETWEEN_KILLS)
            await _mails(jobs, len(jobs.mails.received) + JOBS_BETWEEN_KILLS // 2, within=STARTED_SECONDS)
            await asyncio.sleep(random.uniform(0, 0.2))
            workers.pop(0).kill()  # the older one, which is at work
            await jobs.note_what_was_interrupted()
            workers.append(stack.enter_context(jobs.worker()))
        async with asyncio.timeout(TAKEN_OVER_SECONDS):
            await jobs.are_done()
    await asyncio.gather(*jobs.looking)
    sent = Counter((str(mail["Subject"]), _key(mail)) for mail in (one.message for one in jobs.mails.received))
    assert Counter(subject for subject, _ in sent) == {f"New task: task {n}": 1 for n in range(jobs.enqueued)}
    assert jobs.enqueued == JOBS_BETWEEN_KILLS * kills
    repeated = {key for (_, key), count in sent.items() if count > 1}
    assert repeated <= jobs.interrupted
    assert await jobs.database.fetchval("SELECT count(*) FROM pgqueuer") == 0


async def test_a_worker_that_sleeps_past_its_lease_and_wakes_up_makes_no_second_mail_under_another_id(
    jobs: Jobs,
) -> None:
    jobs.mails.answers["DATA"] = [STALL]
    await jobs.enqueue(1)
    with jobs.worker() as sleeper:
        async with asyncio.timeout(STARTED_SECONDS):
            await jobs.mails.stalled.wait()
        sleeper.send_signal(signal.SIGSTOP)
        with jobs.worker():
            async with asyncio.timeout(TAKEN_OVER_SECONDS):
                await jobs.are_done()
            assert len(jobs.mails.received) == 1
            sleeper.send_signal(signal.SIGCONT)
            jobs.mails.go_on.set()
            await _mails(jobs, 2, within=TAKEN_OVER_SECONDS)  # the sleeper's: the server knows it for a repeated one
            await jobs.enqueue(20)
            async with asyncio.timeout(TAKEN_OVER_SECONDS):
                await jobs.are_done()
    sent = Counter((str(mail["Subject"]), _key(mail)) for mail in (one.message for one in jobs.mails.received))
    assert Counter(subject for subject, _ in sent) == {f"New task: task {n}": 1 for n in range(21)}
    assert sum(sent.values()) == 22


def _key(mail: EmailMessage) -> str:
    return str(mail["Message-ID"]).strip("<>").partition("@")[0]
