"""When what is done regularly is enqueued, with a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import pytest
import structlog
from typing_extensions import override

from application.ports import DatabaseAway
from application.schedules import Schedule
from infrastructure.clock import utc_now
from infrastructure.memory.unit_of_work import MemoryTransaction
from infrastructure.scheduler import RETRY_SECONDS, Scheduler
from tests.examples import MINUTE, NOON
from tests.unit.memory import Work

SECOND = timedelta(seconds=1)


class Often:
    job_name: ClassVar[str] = "often"

    async def __call__(self) -> None: ...


class Seldom:
    job_name: ClassVar[str] = "seldom"

    async def __call__(self) -> None: ...


BOTH = (Schedule(Often, every=MINUTE), Schedule(Seldom, every=60 * MINUTE))


@dataclass
class Time:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


class Database(Work):
    """One that can be away, and tells of each commit with a job in it."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.committed: asyncio.Queue[None] = asyncio.Queue()

    @override
    def _wake(self) -> None:
        self.committed.put_nowait(None)

    @override
    @asynccontextmanager
    async def write(self) -> AsyncIterator[MemoryTransaction]:
        if self.away:
            raise DatabaseAway
        async with super().write() as tx:
            yield tx


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def scheduler(database: Database, time: Time) -> Scheduler:
    return Scheduler(database, time, BOTH)


async def enqueued(database: Database) -> list[str]:
    """The names of the jobs that wait; they are done then."""
    names = [name for name, _ in database.jobs()]
    async with database.database.draft() as draft:
        draft.jobs.clear()
    return names


async def test_each_tick_is_enqueued_once_over_all_schedulers(database: Database, time: Time) -> None:
    schedulers = [Scheduler(database, time, BOTH) for _ in range(3)]
    found = []
    for passed in (0, 59, 1, 30, 30, 3479, 1):
        time.now += passed * SECOND
        for scheduler in schedulers:
            await scheduler.look()
        found.append(await enqueued(database))
    assert found == [["often", "seldom"], [], ["often"], [], ["often"], ["often"], ["often", "seldom"]]


async def test_what_was_missed_is_made_up_for_once(database: Database, time: Time, scheduler: Scheduler) -> None:
    await scheduler.look()
    await enqueued(database)
    time.now += 1000 * MINUTE + 15 * SECOND
    assert await Scheduler(database, time, BOTH).look() == 45
    assert await enqueued(database) == ["often", "seldom"]


async def test_a_job_that_still_waits_is_not_enqueued_once_more(
    database: Database, time: Time, scheduler: Scheduler
) -> None:
    for _ in range(3):
        await scheduler.look()
        time.now += MINUTE
    assert await enqueued(database) == ["often", "seldom"]


async def test_it_looks_again_when_the_next_tick_begins(time: Time, scheduler: Scheduler) -> None:
    waits = []
    for passed in (0, 1, 58, 0.5, 0.5):
        time.now += passed * SECOND
        waits.append(await scheduler.look())
    assert waits == [60, 59, 1, 0.5, 60]


async def test_a_database_that_is_away_costs_no_tick(database: Database, scheduler: Scheduler) -> None:
    database.away = True
    with structlog.testing.capture_logs() as lines:
        assert await scheduler.look() == RETRY_SECONDS
    assert [(line["event"], line["error"]) for line in lines] == [("schedules wait for the database", "DatabaseAway")]
    database.away = False
    await scheduler.look()
    assert await enqueued(database) == ["often", "seldom"]


async def test_it_runs_until_it_is_cancelled_and_sleeps_in_between(database: Database) -> None:
    looks: list[datetime] = []

    def clock() -> datetime:
        looks.append(utc_now())
        return looks[-1]

    running = asyncio.create_task(Scheduler(database, clock, [Schedule(Often, every=SECOND / 20)]).run())
    async with asyncio.timeout(30):
        for _ in range(3):
            await database.committed.get()
            assert await enqueued(database) == ["often"]
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert len({int(look.timestamp() * 20) for look in looks}) >= 3
    assert len(looks) <= 10  # it may wake a little early
