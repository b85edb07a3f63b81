"""Reminders: each database gives those that the domain says, each once, to one of all who ask."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.ports import UnitOfWork
from domain.reminder import Reminder, reminder_of
from domain.task import Task, TaskChanges, TaskId
from domain.user import User
from tests.contract.conftest import postgres
from tests.examples import stored_task, stored_user

HOUR, INSTANT = timedelta(hours=1), timedelta(microseconds=1)
AHEAD = [hours * HOUR + more * INSTANT for hours in (0, 1, 24) for more in (-1, 0, 1)]


@pytest.fixture
def now() -> datetime:
    """In days that nobody else has: tests share a database, and a reminder may be anybody's."""
    return datetime(2200, 1, 1, tzinfo=UTC) + timedelta(days=secrets.randbelow(2_000_000))


@pytest.fixture
async def owner(work: UnitOfWork) -> User:
    return await stored_user(work)


async def take(work: UnitOfWork, now: datetime, *, limit: int = 100) -> Sequence[Reminder]:
    async with work.write() as tx:
        return await tx.reminders.take(now=now, limit=limit)


async def move(work: UnitOfWork, task: Task, due_at: datetime | None) -> None:
    async with work.write() as tx:
        latest = await tx.tasks.get(task.id, owner=task.owner_id)
        await tx.tasks.save(latest.edit({"due_at": due_at}, at=latest.updated_at))


async def test_a_day_and_an_hour_ahead_once_each(work: UnitOfWork, owner: User, now: datetime) -> None:
    task = await stored_task(work, owner, {"due_at": now + 24 * HOUR})
    day, hour = (Reminder(task.id, owner.id, hours, now + 24 * HOUR) for hours in (24, 1))
    given = [await take(work, now + passed) for passed in (-INSTANT, HOUR * 0, HOUR, 23 * HOUR, 23 * HOUR, 24 * HOUR)]
    assert given == [[], [day], [], [hour], [], []]


async def test_who_is_told_an_hour_ahead_is_not_told_a_day_ahead_as_well(
    work: UnitOfWork, owner: User, now: datetime
) -> None:
    late = await stored_task(work, owner, {"due_at": now + HOUR / 2})
    assert [reminder.hours_ahead for _ in range(2) for reminder in await take(work, now)] == [1]
    await move(work, late, now + 2 * HOUR)
    assert [reminder.hours_ahead for _ in range(2) for reminder in await take(work, now)] == [24]


async def test_a_task_that_moves_is_reminded_of_again(work: UnitOfWork, owner: User, now: datetime) -> None:
    task = await stored_task(work, owner, {"due_at": now + HOUR})
    await take(work, now)
    await move(work, task, now + HOUR + INSTANT)
    assert await take(work, now + INSTANT) == [Reminder(task.id, owner.id, 1, now + HOUR + INSTANT)]
    await move(work, task, None)
    assert await take(work, now + INSTANT) == []


async def test_a_task_that_is_opened_again_is_not_reminded_of_twice(
    work: UnitOfWork, owner: User, now: datetime
) -> None:
    task = await stored_task(work, owner, {"due_at": now + HOUR, "completed": True})
    other = await stored_task(work, owner, {"due_at": now + HOUR})
    assert [reminder.task_id for reminder in await take(work, now)] == [other.id]
    async with work.write() as tx:
        await tx.tasks.save((await tx.tasks.get(task.id, owner=owner.id)).reopen(at=now))
        other = await tx.tasks.save((await tx.tasks.get(other.id, owner=owner.id)).complete(at=now))
        await tx.tasks.save(other.reopen(at=now))
    assert [reminder.task_id for reminder in await take(work, now)] == [task.id]


async def test_batches_begin_with_what_is_due_soonest(work: UnitOfWork, owner: User, now: datetime) -> None:
    minutes = [30, 10, 90, 20, 10]
    tasks = [await stored_task(work, owner, {"due_at": now + timedelta(minutes=minute)}) for minute in minutes]
    batches = [[reminder.task_id for reminder in await take(work, now, limit=2)] for _ in range(4)]
    assert batches == [[tasks[1].id, tasks[4].id], [tasks[3].id, tasks[0].id], [tasks[2].id], []]


async def test_what_is_rolled_back_is_given_again(work: UnitOfWork, owner: User, now: datetime) -> None:
    task = await stored_task(work, owner, {"due_at": now + HOUR})
    with suppress(ZeroDivisionError):
        async with work.write() as tx:
            assert [reminder.task_id for reminder in await tx.reminders.take(now=now, limit=9)] == [task.id]
            raise ZeroDivisionError
    assert [reminder.task_id for reminder in await take(work, now)] == [task.id]


async def test_many_who_take_at_once_get_each_reminder_once(work: UnitOfWork, owner: User, now: datetime) -> None:
    tasks = [await stored_task(work, owner, {"due_at": now + n * HOUR / 20}) for n in range(1, 41)]

    async def take_all() -> list[Reminder]:
        taken: list[Reminder] = []
        while batch := await take(work, now, limit=3):
            taken += batch
        return taken

    taken = [reminder for theirs in await asyncio.gather(*(take_all() for _ in range(8))) for reminder in theirs]
    taken += await take_all()  # what one had locked may have been left by all others
    assert sorted(reminder.task_id for reminder in taken) == [task.id for task in tasks]


async def test_a_deleted_task_is_forgotten(work: UnitOfWork, owner: User, now: datetime) -> None:
    gone, kept = [await stored_task(work, owner, {"due_at": now + HOUR}) for _ in range(2)]
    await take(work, now, limit=1)
    async with work.write() as tx:
        await tx.tasks.delete([await tx.tasks.get(gone.id, owner=owner.id)])
    assert [reminder.task_id for reminder in await take(work, now)] == [kept.id]


async def test_a_reminder_changes_neither_the_task_nor_the_statistics(
    work: UnitOfWork, owner: User, now: datetime
) -> None:
    task = await stored_task(work, owner, {"due_at": now + HOUR})
    async with work.read() as tx:
        version = await tx.stats.version(owner.id)
    assert len(await take(work, now)) == 1
    async with work.read() as tx:
        assert await tx.tasks.get(task.id, owner=owner.id) == task
        assert await tx.stats.version(owner.id) == version


async def test_a_read_takes_nothing(work: UnitOfWork, owner: User, now: datetime) -> None:
    task = await stored_task(work, owner, {"due_at": now + HOUR})
    with pytest.raises(RuntimeError, match=r"work\.write"):
        async with work.read() as tx:
            await tx.reminders.take(now=now, limit=1)
    assert [reminder.task_id for reminder in await take(work, now)] == [task.id]


@pytest.mark.parametrize("work", [postgres], indirect=True, ids=["postgres"])  # the only one with two writers at once
async def test_what_somebody_is_changing_is_neither_waited_for_nor_given_as_it_was(
    work: UnitOfWork, owner: User, now: datetime
) -> None:
    task, other = [await stored_task(work, owner, {"due_at": now + HOUR}) for _ in range(2)]
    async with work.write() as tx:
        latest = await tx.tasks.get(task.id, owner=owner.id)
        assert [reminder.task_id for reminder in await take(work, now)] == [other.id]
        await tx.tasks.save(latest.edit({"due_at": now + 2 * HOUR}, at=now))
    assert [reminder.hours_ahead for reminder in await take(work, now)] == [24]


@dataclass
class Model:
    """What the domain says: of each task the reminder of now, unless it was the last one of its kind."""

    now: datetime
    tasks: dict[TaskId, Task] = field(default_factory=dict)
    given: dict[tuple[TaskId, int], datetime] = field(default_factory=dict)

    def take(self, limit: int) -> list[Reminder]:
        due = [reminder for task in self.tasks.values() if (reminder := reminder_of(task, now=self.now))]
        new = [one for one in due if self.given.get((one.task_id, one.hours_ahead)) != one.due_at]
        taken = sorted(new, key=lambda reminder: (reminder.due_at, reminder.task_id))[:limit]
        self.given |= {(one.task_id, one.hours_ahead): one.due_at for one in taken}
        return taken


Step = tuple[str, int, timedelta | bool | None]

tasks = st.integers(0, 3)
steps = st.one_of(
    st.tuples(st.just("move"), tasks, st.none() | st.sampled_from(AHEAD)),
    st.tuples(st.just("complete"), tasks, st.booleans()),
    st.tuples(st.just("wait"), st.just(0), st.sampled_from([INSTANT, HOUR, 23 * HOUR])),
    st.tuples(st.just("take"), st.integers(1, 5), st.none()),
)


async def test_what_is_given_is_what_the_domain_says(work: UnitOfWork, owner: User, now: datetime) -> None:
    stories: list[list[Step]] = []

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, min_size=5, max_size=15))
    def collect(story: list[Step]) -> None:
        stories.append(story)

    collect()
    told = 0
    for story in stories:
        now += timedelta(days=30)  # nothing of the last story is due any more
        told += await replay(work, owner, Model(now), [*story, ("take", 5, None)])
    assert told > 50


async def replay(work: UnitOfWork, owner: User, model: Model, story: list[Step]) -> int:
    """Tell the database and the model the same; return how many reminders both gave."""
    mine = [await stored_task(work, owner, {"due_at": model.now + AHEAD[n]}) for n in (2, 4, 5, 8)]
    model.tasks = {task.id: task for task in mine}
    told = 0
    for verb, number, value in story:
        changes: TaskChanges = {}
        match verb, value:
            case "move", timedelta() | None:
                changes = {"due_at": None if value is None else model.now + value}
            case "complete", bool():
                changes = {"completed": value}
            case "wait", timedelta():
                model.now += value
            case "take", _:
                taken = model.take(number)
                assert await take(work, model.now, limit=number) == taken, story
                told += len(taken)
        if changes:
            async with work.write() as tx:
                task = await tx.tasks.get(mine[number].id, owner=owner.id)
                model.tasks[task.id] = await tx.tasks.save(task.edit(changes, at=model.now))
    return told
