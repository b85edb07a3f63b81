"""Mails to users, sent as jobs. Each carries what it tells, so that it is sent even if the task is gone by then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from application.ports import Mail, Notifier, UnitOfWork
from domain.user import NotAuthenticated, UserId


@dataclass(frozen=True, slots=True)
class MailTaskCreated:
    job_name: ClassVar[str] = "mail-task-created"
    work: UnitOfWork
    notifier: Notifier

    async def __call__(self, user_id: UserId, title: str) -> None:
        await _mail(self.work, self.notifier, user_id, f"New task: {title}", f"You have a new task: {title}")


@dataclass(frozen=True, slots=True)
class MailTaskCompleted:
    """One mail, also for many tasks that were completed at once."""

    job_name: ClassVar[str] = "mail-task-completed"
    work: UnitOfWork
    notifier: Notifier

    async def __call__(self, user_id: UserId, titles: Sequence[str]) -> None:
        subject = f"Done: {titles[0]}" if len(titles) == 1 else f"Done: {len(titles)} tasks"
        await _mail(self.work, self.notifier, user_id, subject, "\n".join(["You completed:", *titles]))


async def _mail(work: UnitOfWork, notifier: Notifier, user_id: UserId, subject: str, text: str) -> None:
    try:
        async with work.read() as tx:
            user = await tx.users.get(user_id)
    except NotAuthenticated:
        return  # the account is gone, and with it whoever would read this
    await notifier.send(Mail(user.email, subject, text))
