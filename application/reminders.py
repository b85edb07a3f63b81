"""Reminding users of what is due soon."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from application.notices import MailTaskDue
from application.ports import Clock, UnitOfWork
from domain.reminder import Reminder

BATCH = 100  # reminders in one transaction, which holds their tasks locked


@dataclass(frozen=True, slots=True)
class RemindOfDueTasks:
    """Take all reminders that are to be given now, each together with the job that mails it."""

    job_name: ClassVar[str] = "remind-of-due-tasks"
    work: UnitOfWork
    clock: Clock

    async def __call__(self) -> None:
        while len(await self._remind()) == BATCH:
            pass

    async def _remind(self) -> Sequence[Reminder]:
        async with self.work.write() as tx:
            reminders = await tx.reminders.take(now=self.clock(), limit=BATCH)
            for one in reminders:
                await tx.jobs.enqueue(MailTaskDue, one.owner_id, one.task_id, one.due_at.isoformat(), one.hours_ahead)
        return reminders
