"""Who is reminded of what is due soon, and how often."""

import pytest

from application.reminders import BATCH, RemindOfDueTasks
from domain.user import User
from tests.examples import MINUTE, NOON, a_task, stored_task
from tests.unit.memory import Work

HOUR = 60 * MINUTE


@pytest.fixture
def remind(work: Work) -> RemindOfDueTasks:
    return RemindOfDueTasks(work, lambda: NOON)


async def test_each_reminder_is_a_job_and_there_is_none_the_second_time(
    work: Work, owner: User, remind: RemindOfDueTasks
) -> None:
    soon, late, _, __ = [await stored_task(work, owner, {"due_at": NOON + n * HOUR}) for n in (1, 5, 25, 0)]
    await remind()
    expected = [
        ("mail-task-due", [owner.id, soon.id, "2030-01-01T13:00:00+00:00", 1]),
        ("mail-task-due", [owner.id, late.id, "2030-01-01T17:00:00+00:00", 24]),
    ]
    assert work.jobs() == expected
    await remind()
    assert work.jobs() == expected


@pytest.mark.parametrize("count", [BATCH, 2 * BATCH + 1])
async def test_all_are_reminded_of_however_many_they_are(
    work: Work, owner: User, remind: RemindOfDueTasks, count: int
) -> None:
    async with work.write() as tx:
        tasks = [await tx.tasks.add(a_task(owner, {"due_at": NOON + HOUR})) for _ in range(count)]
    await remind()
    assert [args[1] for _, args in work.jobs()] == [task.id for task in tasks]
    assert work.woken == -(-count // BATCH)  # a transaction for each batch


async def test_nothing_is_kept_of_a_deleted_task(work: Work, owner: User, remind: RemindOfDueTasks) -> None:
    task = await stored_task(work, owner, {"due_at": NOON + HOUR})
    await remind()
    assert len(work.database.snapshot().reminders) == 1
    async with work.write() as tx:
        await tx.tasks.delete([task])
    assert work.database.snapshot().reminders == {}
