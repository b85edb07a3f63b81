"""Mails to users, sent as jobs. Each carries what it tells, so that it is sent even if the task is gone by then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from application.mail_texts import TASK_COMPLETED, TASK_CREATED, WELCOME, MailText
from application.ports import JobKey, Notifier, UnitOfWork
from domain.user import NotAuthenticated, UserId


@dataclass(frozen=True, slots=True)
class Mailing:
    """Sends a user the mail of the job that runs, under the key of the job. `home` is where its link leads."""

    work: UnitOfWork
    notifier: Notifier
    job_key: JobKey
    home: str

    async def send(self, user_id: UserId, text: MailText, **values: str | Sequence[str]) -> None:
        try:
            async with self.work.read() as tx:
                user = await tx.users.get(user_id)
        except NotAuthenticated:
            return  # the account is gone, and with it whoever would read this
        mail = text.mail(self.job_key(), user.email, username=user.username, home=self.home, **values)
        await self.notifier.send(mail)


@dataclass(frozen=True, slots=True)
class MailWelcome:
    job_name: ClassVar[str] = "mail-welcome"
    mailing: Mailing

    async def __call__(self, user_id: UserId) -> None:
        await self.mailing.send(user_id, WELCOME)


@dataclass(frozen=True, slots=True)
class MailTaskCreated:
    job_name: ClassVar[str] = "mail-task-created"
    mailing: Mailing

    async def __call__(self, user_id: UserId, title: str) -> None:
        await self.mailing.send(user_id, TASK_CREATED, title=title)


@dataclass(frozen=True, slots=True)
class MailTaskCompleted:
    """One mail, also for many tasks that were completed at once."""

    job_name: ClassVar[str] = "mail-task-completed"
    mailing: Mailing

    async def __call__(self, user_id: UserId, titles: Sequence[str]) -> None:
        what = titles[0] if len(titles) == 1 else f"{len(titles)} tasks"
        await self.mailing.send(user_id, TASK_COMPLETED, what=what, titles=titles)
