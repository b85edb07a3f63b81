"""Reminders that were given, in a dict."""

from collections.abc import Sequence
from datetime import datetime

from domain.reminder import Reminder, reminder_of
from infrastructure.memory.database import MemoryState


class MemoryReminderRepository:
    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def take(self, *, now: datetime, limit: int) -> Sequence[Reminder]:
        due = [reminder for task in self._state.tasks.values() if (reminder := reminder_of(task, now=now))]
        new = [one for one in due if self._state.reminders.get((one.task_id, one.hours_ahead)) != one.due_at]
        taken = sorted(new, key=lambda reminder: (reminder.due_at, reminder.task_id))[:limit]
        for reminder in taken:
            self._state.reminders[reminder.task_id, reminder.hours_ahead] = reminder.due_at
        return taken
