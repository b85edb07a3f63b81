"""Workers with a scheduler each, of which some are killed: every tick once, and every reminder.

Started as a program, this module is such a worker, with ticks that come more often and a lease that ends sooner.
"""

import asyncio
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from application.reminders import RemindOfDueTasks
from application.schedules import Schedule
from infrastructure.clock import utc_now
from infrastructure.container import Container, jobs
from infrastructure.jobs import SLOTS, Pace
from infrastructure.lifecycle import closing, run_jobs
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.pgqueuer.worker import BATCH, PgqueuerWorker
from infrastructure.scheduler import Scheduler
from infrastructure.settings import Settings
from infrastructure.sql.engine import Engines, open_engines
from infrastructure.sql.migrate import upgrade
from infrastructure.sql.unit_of_work import SqlUnitOfWork
from tests.conftest import NewDatabase
from tests.e2e.service import clean_environment
from tests.examples import stored_task, stored_user
from tests.smtp_server import MailServer, mail_server

SOON = 60
EVERY = timedelta(seconds=2)  # twenty times what a tick takes on a busy machine
LEASE = timedelta(seconds=2)
PACE = Pace(timedelta(milliseconds=100))
TICKS = 3  # between two kills
TASKS = 40

# Everything that a schedule's row ever was: a tick that two took would be here twice.
WATCH = """
CREATE TABLE taken (tick bigint);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN INSERT INTO taken VALUES (NEW.tick); RETURN NULL; END';
CREATE TRIGGER watch AFTER INSERT OR UPDATE ON schedules FOR EACH ROW EXECUTE FUNCTION watch();
"""


async def _work() -> None:
    stop, settings = asyncio.Event(), Settings()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    container = Container(settings=settings)
    often = [Schedule(RemindOfDueTasks, every=EVERY)]
    container.scheduler.override(Scheduler(container.work(), container.clock(), often))
    container.job_runner.override(PgqueuerWorker(settings.database_url, jobs(container), lease=LEASE, pace=PACE))
    async with closing(container):
        await run_jobs(container, stop)


@dataclass(frozen=True)
class Service:
    """A database with workers that mail to a server."""

    url: str
    engines: Engines
    mail: MailServer
    folder: Path

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        env = {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TASKWELL_DATABASE_URL": self.url,
            "TASKWELL_STORAGE_URL": "memory:",
            "TASKWELL_SECRET_KEY": "s" * 40,
            "TASKWELL_SMTP_URL": self.mail.url,
            "TASKWELL_MAIL_FROM": "tasks@example.org",
        }
        command = [sys.executable, "-m", "tests.faults.test_schedule_faults"]
        with (
            (self.folder / "log").open("ab") as log,
            subprocess.Popen(
                command, cwd=self.folder, env=clean_environment() | env, stdout=log, stderr=log
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    async def ticks(self) -> list[int]:
        async with self.engines.read.connect() as conn:
            return sorted(await conn.scalars(text("SELECT tick FROM taken")))

    def mails(self) -> dict[str, list[str]]:
        """The ids of the mails under each subject."""
        found = defaultdict(list)
        for received in self.mail.received:
            found[str(received.message["Subject"])].append(str(received.message["Message-ID"]))
        return found

    async def has_taken(self, ticks: int) -> bool:
        return len(await self.ticks()) >= ticks

    async def has_sent(self, subjects: set[str]) -> bool:
        return subjects <= self.mails().keys()

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(SOON):
                while not await true():  # noqa: ASYNC110  another process sets no event
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"it did not happen within {SOON} s:\n{(self.folder / 'log').read_text()}")


@pytest.fixture
async def service(tmp_path: Path, new_postgres_database: NewDatabase) -> AsyncIterator[Service]:
    async with new_postgres_database() as url, mail_server() as mail:
        engines = open_engines(url, pool_size=2)
        await upgrade(engines.write)
        async with engines.write.begin() as conn:
            for statement in WATCH.strip().split(";\n"):
                await conn.execute(text(statement))
        yield Service(url, engines, mail, tmp_path)
        await engines.aclose()


async def test_every_tick_and_every_reminder_comes_once_whoever_is_killed(
    service: Service, pytestconfig: pytest.Config
) -> None:
    kills = 10 if pytestconfig.getoption("full") else 1
    with ExitStack() as stack:
        workers = [stack.enter_context(service.worker()) for _ in range(2)]
        await service.until(partial(service.has_taken, 1))
        expected = await _store_tasks(service, over=kills * TICKS * EVERY)
        for number in range(kills):
            await service.until(partial(service.has_taken, TICKS * (number + 1)))
            await asyncio.sleep(random.random() * EVERY.total_seconds())
            workers.pop(random.randrange(2)).kill()
            workers.append(stack.enter_context(service.worker()))
        await service.until(partial(service.has_taken, TICKS * (kills + 1)))
        await service.until(partial(service.has_sent, expected))
        for worker in workers:
            worker.terminate()
        assert [await asyncio.to_thread(worker.wait, SOON) for worker in workers] == [0, 0]
    ticks, mails = await service.ticks(), service.mails()
    assert ticks == list(range(ticks[0], ticks[-1] + 1))
    assert mails.keys() == expected
    assert {subject: ids for subject, ids in mails.items() if len(set(ids)) > 1} == {}
    repeats = len(service.mail.received) - len(expected)
    assert repeats <= kills * (SLOTS + BATCH)  # what a killed worker was sending, or had not yet said that it had sent


async def _store_tasks(service: Service, *, over: timedelta) -> set[str]:
    """Tasks to be reminded of a day ahead at the next tick, and an hour ahead at all the ticks of a while. Return the
    subjects of the mails."""
    work = SqlUnitOfWork(service.engines, PgqueuerJobQueue, on_jobs=lambda: None)
    owner, first = await stored_user(work), utc_now() + timedelta(hours=1) + 5 * EVERY
    for n in range(TASKS):
        await stored_task(work, owner, {"title": f"{n}", "due_at": first + n / TASKS * over})
    return {f"Due within {span}: {n}" for span in ("1 hour", "24 hours") for n in range(TASKS)}


if __name__ == "__main__":
    asyncio.run(_work())
