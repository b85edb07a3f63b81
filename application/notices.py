"""Mails to users, sent as jobs. Each carries what it tells, so that it is sent even if the task is gone by then; only a
reminder looks whether it still has a point."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from application.jobs import JobKey
from application.mail_texts import TASK_COMPLETED, TASK_CREATED, TASK_DUE, WELCOME, MailText
from application.ports import Clock, Notifier, UnitOfWork
from domain.task import TaskId, TaskNotFound
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


@dataclass(frozen=True, slots=True)
class MailTaskDue:
    """Says nothing of a task that is gone, done or moved by now, or once the moment has passed."""

    job_name: ClassVar[str] = "mail-task-due"
    mailing: Mailing
    clock: Clock

    async def __call__(self, user_id: UserId, task_id: TaskId, due_at: str, hours_ahead: int) -> None:
        try:
            async with self.mailing.work.read() as tx:
                task = await tx.tasks.get(task_id, owner=user_id)
        except TaskNotFound:
            return
        moment = datetime.fromisoformat(due_at)
        if task.completed or task.due_at != moment or moment <= self.clock():
            return
        span = "1 hour" if hours_ahead == 1 else f"{hours_ahead} hours"
        await self.mailing.send(user_id, TASK_DUE, title=task.title, span=span, moment=f"{moment:%Y-%m-%d %H:%M} UTC")
