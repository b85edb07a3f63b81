"""What users are told by mail."""

from dataclasses import dataclass, field

import pytest

from application.notices import MailTaskCompleted, MailTaskCreated
from application.ports import Mail
from domain.user import User, UserId
from tests.unit.memory import Work


@dataclass
class Post:
    """A notifier that keeps what it is given, or fails."""

    fails: bool = False
    sent: list[Mail] = field(default_factory=list)

    async def send(self, mail: Mail) -> None:
        if self.fails:
            raise ConnectionRefusedError
        self.sent.append(mail)


@pytest.fixture
def post() -> Post:
    return Post()


async def test_a_new_task(work: Work, owner: User, post: Post) -> None:
    await MailTaskCreated(work, post)(owner.id, "Write the report")
    assert post.sent == [Mail(owner.email, "New task: Write the report", "You have a new task: Write the report")]


async def test_completed_tasks(work: Work, owner: User, post: Post) -> None:
    mail = MailTaskCompleted(work, post)
    await mail(owner.id, ["Read"])
    await mail(owner.id, ["Read", "Write"])
    assert post.sent == [
        Mail(owner.email, "Done: Read", "You completed:\nRead"),
        Mail(owner.email, "Done: 2 tasks", "You completed:\nRead\nWrite"),
    ]


async def test_nobody_is_told_of_an_account_that_is_gone(work: Work, post: Post) -> None:
    await MailTaskCreated(work, post)(UserId(7), "Write the report")
    await MailTaskCompleted(work, post)(UserId(7), ["Write the report"])
    assert post.sent == []


async def test_a_mail_that_cannot_be_sent_fails_its_job(work: Work, owner: User) -> None:
    with pytest.raises(ConnectionRefusedError):
        await MailTaskCreated(work, Post(fails=True))(owner.id, "Write the report")
