"""Reminders of tasks that are due soon: when each is due, and where it is kept that it was given."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.task import Task, TaskId
from domain.user import UserId

AHEAD = (timedelta(hours=24), timedelta(hours=1))  # how long before it is due a task is reminded of


@dataclass(frozen=True, slots=True)
class Reminder:
    """That a task will be due at this moment, `ahead` of it."""

    task_id: TaskId
    owner_id: UserId
    ahead: timedelta
    due_at: datetime


def reminder_of(task: Task, *, now: datetime) -> Reminder | None:
    """The one that is to be given now: of several, that which is closest to the moment; none once that has passed."""
    if task.completed or task.due_at is None or task.due_at <= now:
        return None
    ahead = min((span for span in AHEAD if task.due_at - span <= now), default=None)
    return Reminder(task.id, task.owner_id, ahead, task.due_at) if ahead else None


class ReminderRepository(Protocol):
    async def take(self, *, now: datetime, limit: int) -> Sequence[Reminder]:
        """Up to `limit` reminders of pending tasks that are to be given now (`reminder_of`) and were not taken before
        for the same `ahead` and `due_at`; they are taken with this write, by nobody else."""
        ...
