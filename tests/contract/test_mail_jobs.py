"""Mails as the jobs that they are: repeated under the same Message-ID, buried in the end, and never in the log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import structlog

from application.notices import Mailing, MailTaskCreated, MailWelcome
from domain.user import User
from infrastructure.jobs import MAX_DELIVERIES, Jobs, Pace, job_key
from infrastructure.memory.database import MemoryDatabase
from infrastructure.memory.jobs import MemoryJobStore
from infrastructure.memory.unit_of_work import MemoryUnitOfWork
from infrastructure.runner import JobRunner
from infrastructure.smtp import SmtpNotifier
from tests.examples import stored_user
from tests.smtp_server import DROP, MailServer, mail_server

SOON = 30
PACE = Pace(timedelta(milliseconds=20), lambda _: timedelta(milliseconds=1))


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as server:
        yield server


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


@asynccontextmanager
async def sending(server: MailServer, database: MemoryDatabase) -> AsyncIterator[tuple[MemoryUnitOfWork, User]]:
    """A unit of work that mails by the server, and somebody to get the mails; it ends when no job is left to run."""
    woken, stop = asyncio.Event(), asyncio.Event()
    work = MemoryUnitOfWork(database, on_jobs=woken.set)
    mailing = Mailing(work, SmtpNotifier(server.url, "tasks@example.org"), job_key, "http://localhost")
    jobs: Jobs = {"mail-welcome": MailWelcome(mailing), "mail-task-created": MailTaskCreated(mailing)}
    runner = JobRunner(MemoryJobStore(database), jobs, enqueued=woken, pace=PACE)
    running = asyncio.create_task(runner.run(stop))
    try:
        yield work, await stored_user(work)
        async with asyncio.timeout(SOON):
            while any(not job.failed_at for job in database.snapshot().jobs.values()):  # noqa: ASYNC110  it sets no event
                await asyncio.sleep(0.01)
    finally:
        stop.set()
        await running


async def test_a_mail_whose_server_died_before_its_answer_comes_again_under_its_id(
    server: MailServer, database: MemoryDatabase
) -> None:
    server.answers = {"TAKEN": [DROP, DROP]}
    async with sending(server, database) as (work, user), work.write() as tx:
        await tx.jobs.enqueue(MailWelcome, user.id)
    async with sending(server, database) as (work, user), work.write() as tx:
        await tx.jobs.enqueue(MailWelcome, user.id)
        await tx.jobs.enqueue(MailTaskCreated, user.id, "Read")
    ids = [str(mail.message["Message-ID"]) for mail in server.received]
    assert len(ids) == 5
    assert len(set(ids[:3])) == 1
    assert len(set(ids[2:])) == 3


async def test_two_databases_that_count_alike_give_different_ids(server: MailServer) -> None:
    for _ in range(2):
        async with sending(server, MemoryDatabase()) as (work, user), work.write() as tx:
            await tx.jobs.enqueue(MailWelcome, user.id)
    assert len({str(mail.message["Message-ID"]) for mail in server.received}) == 2


async def test_a_mail_that_is_refused_for_good_is_buried_and_nothing_of_it_logged(
    server: MailServer, database: MemoryDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = {"RCPT": ["550 5.1.1 s3cret: nobody here"] * MAX_DELIVERIES}
    with structlog.testing.capture_logs() as lines:
        async with sending(server, database) as (work, user), work.write() as tx:
            await tx.jobs.enqueue(MailTaskCreated, user.id, "s3cret title")
    (job,) = database.snapshot().jobs.values()
    assert (job.attempts, job.error, server.received) == (MAX_DELIVERIES, "SMTPRecipientsRefused", [])
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["job buried"]
    logged = f"{lines}{[record.getMessage() for record in caplog.records if record.name != 'mail.log']}"
    assert [value for value in ("s3cret", user.email, user.username) if value in logged] == []
