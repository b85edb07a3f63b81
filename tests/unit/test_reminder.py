"""When a task is reminded of."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.reminder import Reminder, reminder_of
from domain.task import Task
from domain.user import UserId
from tests.examples import NOON

HOUR, INSTANT = timedelta(hours=1), timedelta(microseconds=1)


def a_task(left: timedelta | None, *, completed: bool = False) -> Task:
    """One that is due when this is over."""
    due_at = None if left is None else NOON + left
    return Task(UserId(7), "Write the report", NOON, NOON, due_at=due_at, completed_at=NOON if completed else None)


@pytest.mark.parametrize(
    ("left", "hours"),
    [
        (24 * HOUR + INSTANT, None),
        (24 * HOUR, 24),
        (HOUR + INSTANT, 24),
        (HOUR, 1),
        (INSTANT, 1),
        (0 * HOUR, None),
        (-INSTANT, None),
    ],
    ids=str,
)
def test_the_closest_of_a_day_and_an_hour_ahead_until_the_moment(left: timedelta, hours: int | None) -> None:
    task = a_task(left)
    expected = Reminder(task.id, task.owner_id, hours, NOON + left) if hours else None
    assert reminder_of(task, now=NOON) == expected


def test_there_is_none_of_what_is_done_or_never_due() -> None:
    assert reminder_of(a_task(HOUR, completed=True), now=NOON) is None
    assert reminder_of(a_task(None), now=NOON) is None


@given(st.lists(st.timedeltas(-2 * HOUR, 30 * HOUR), min_size=2).map(sorted), st.booleans())
def test_as_time_passes_the_reminders_come_closer_and_end(moments: list[timedelta], completed: bool) -> None:
    task = a_task(28 * HOUR, completed=completed)
    found = [reminder_of(task, now=NOON + passed) for passed in moments]
    kinds = [reminder.hours_ahead if reminder else None for reminder in found]
    order = [None, None] if completed else [None, 24, 1]
    assert [kind for kind in dict.fromkeys(kinds) if kind] == [kind for kind in order if kind in kinds and kind]
    assert all(
        reminder.due_at - timedelta(hours=reminder.hours_ahead) <= NOON + passed
        for reminder, passed in zip(found, moments, strict=True)
        if reminder
    )
