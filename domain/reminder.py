"""Reminders of tasks that are due soon: when each is due, and where it is kept that it was given."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.task import Task, TaskId
from domain.user import UserId

HOURS_AHEAD = (1, 24)  # how long before it is due a task is reminded of


@dataclass(frozen=True, slots=True)
class Reminder:
    """That a task will be due at this moment, `hours_ahead` of it or somewhat later."""

    task_id: TaskId
    owner_id: UserId
    hours_ahead: int
    due_at: datetime


def reminder_of(task: Task, *, now: datetime) -> Reminder | None:
    """The one that is to be given now: of several, that which is closest to the moment; none once that has passed."""
    if task.completed or task.due_at is None or task.due_at <= now:
        return None
    hours = min((hours for hours in HOURS_AHEAD if task.due_at <= now + timedelta(hours=hours)), default=None)
    return Reminder(task.id, task.owner_id, hours, task.due_at) if hours else None


class ReminderRepository(Protocol):
    async def take(self, *, now: datetime, limit: int) -> Sequence[Reminder]:
        """Up to `limit` reminders that are to be given now (`reminder_of`), of the tasks due soonest first. They are
        taken with this write, by nobody else; the last one taken of a task and `hours_ahead` is not given again.

        A task that somebody else is changing at this moment may be left for the next time.
        """
        ...
