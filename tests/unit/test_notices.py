"""What users are told by mail."""

from dataclasses import dataclass, field
from textwrap import dedent

import pytest

from application.notices import Mailing, MailTaskCompleted, MailTaskCreated, MailTaskDue, MailWelcome
from application.ports import Mail
from domain.task import Task, TaskChanges, TaskId
from domain.user import User, UserId
from tests.examples import MINUTE, NOON, stored_task
from tests.unit.memory import Work

HOME = "https://tasks.example.org/?a=1&b=2"


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


@pytest.fixture
def mailing(work: Work, post: Post) -> Mailing:
    return Mailing(work, post, lambda: "the-key", HOME)


def text(owner: User, body: str) -> str:
    return f"Hello {owner.username},\n\n{body}\n\nTaskwell, {HOME}\n"


def body_of(mail: Mail) -> str:
    """What is between the greeting and the link of the HTML part."""
    return mail.html.split(",</p>\n")[1].split('\n<p><a href="')[0]


async def test_a_welcome(owner: User, mailing: Mailing, post: Post) -> None:
    await MailWelcome(mailing)(owner.id)
    (mail,) = post.sent
    assert (mail.key, mail.to, mail.subject) == ("the-key", owner.email, "Welcome to Taskwell")
    said = "your account is ready. A mail will tell you of tasks that are new, due soon, or completed."
    assert mail.text == text(owner, said)
    assert mail.html == dedent(f"""\
        <!doctype html>
        <html lang="en">
        <head><meta charset="utf-8"></head>
        <body>
        <p>Hello {owner.username},</p>
        <p>{said}</p>
        <p><a href="https://tasks.example.org/?a=1&amp;b=2">Taskwell</a></p>
        </body>
        </html>
        """)


async def test_a_new_task(owner: User, mailing: Mailing, post: Post) -> None:
    await MailTaskCreated(mailing)(owner.id, "Write the report")
    (mail,) = post.sent
    assert (mail.key, mail.to, mail.subject) == ("the-key", owner.email, "New task: Write the report")
    assert mail.text == text(owner, "you have a new task: Write the report")
    assert body_of(mail) == "<p>you have a new task: <strong>Write the report</strong></p>"


async def test_completed_tasks(owner: User, mailing: Mailing, post: Post) -> None:
    mail = MailTaskCompleted(mailing)
    await mail(owner.id, ["Read"])
    await mail(owner.id, ["Read", "Write"])
    assert [(sent.to, sent.subject) for sent in post.sent] == [
        (owner.email, "Done: Read"),
        (owner.email, "Done: 2 tasks"),
    ]
    assert [sent.text for sent in post.sent] == [
        text(owner, "you completed:\n- Read"),
        text(owner, "you completed:\n- Read\n- Write"),
    ]
    assert [body_of(sent) for sent in post.sent] == [
        "<p>you completed:</p>\n<ul>\n<li>Read</li>\n</ul>",
        "<p>you completed:</p>\n<ul>\n<li>Read</li>\n<li>Write</li>\n</ul>",
    ]


async def test_a_title_is_a_text_and_never_markup_nor_a_place_for_a_value(
    owner: User, mailing: Mailing, post: Post
) -> None:
    title = "<script>alert('$home')</script> & \"$username\" {0} 100%"
    escaped = "&lt;script&gt;alert(&#x27;$home&#x27;)&lt;/script&gt; &amp; &quot;$username&quot; {0} 100%"
    await MailTaskCreated(mailing)(owner.id, title)
    await MailTaskCompleted(mailing)(owner.id, [title])
    created, completed = post.sent
    assert (created.subject, completed.subject) == (f"New task: {title}", f"Done: {title}")
    assert created.text == text(owner, f"you have a new task: {title}")
    assert completed.text == text(owner, f"you completed:\n- {title}")
    assert body_of(created) == f"<p>you have a new task: <strong>{escaped}</strong></p>"
    assert body_of(completed) == f"<p>you completed:</p>\n<ul>\n<li>{escaped}</li>\n</ul>"


async def test_nobody_is_told_of_an_account_that_is_gone(mailing: Mailing, post: Post) -> None:
    await MailWelcome(mailing)(UserId(7))
    await MailTaskCreated(mailing)(UserId(7), "Write the report")
    await MailTaskCompleted(mailing)(UserId(7), ["Write the report"])
    assert post.sent == []


@pytest.fixture
async def task(work: Work, owner: User) -> Task:
    return await stored_task(work, owner, {"title": "<Write>", "due_at": NOON + 90 * MINUTE})


async def test_a_reminder(work: Work, owner: User, task: Task, mailing: Mailing, post: Post) -> None:
    mail = MailTaskDue(mailing, lambda: NOON)
    for hours in (1, 24):
        await mail(owner.id, task.id, "2030-01-01T13:30:00+00:00", hours)
    hour, day = post.sent
    assert (hour.key, hour.to) == ("the-key", owner.email)
    assert (hour.subject, day.subject) == ("Due within 1 hour: <Write>", "Due within 24 hours: <Write>")
    assert hour.text == text(owner, "your task is due within 1 hour, at 2030-01-01 13:30 UTC: <Write>")
    said = "your task is due within 24 hours, at 2030-01-01 13:30 UTC: <strong>&lt;Write&gt;</strong>"
    assert body_of(day) == f"<p>{said}</p>"


@pytest.mark.parametrize(
    "changes",
    [{"completed": True}, {"due_at": NOON + 91 * MINUTE}, {"due_at": None}],
    ids=["done", "moved", "never due"],
)
async def test_nobody_is_reminded_of_what_has_changed(
    work: Work, owner: User, task: Task, mailing: Mailing, post: Post, changes: TaskChanges
) -> None:
    async with work.write() as tx:
        await tx.tasks.save(task.edit(changes, at=NOON))
    await MailTaskDue(mailing, lambda: NOON)(owner.id, task.id, "2030-01-01T13:30:00+00:00", 24)
    assert post.sent == []


async def test_nobody_is_reminded_of_what_is_gone_or_over(
    owner: User, task: Task, mailing: Mailing, post: Post
) -> None:
    await MailTaskDue(mailing, lambda: NOON)(owner.id, TaskId(task.id + 1), "2030-01-01T13:30:00+00:00", 1)
    await MailTaskDue(mailing, lambda: NOON + 90 * MINUTE)(owner.id, task.id, "2030-01-01T13:30:00+00:00", 1)
    assert post.sent == []
    await MailTaskDue(mailing, lambda: NOON + 89 * MINUTE)(owner.id, task.id, "2030-01-01T13:30:00+00:00", 1)
    assert len(post.sent) == 1


async def test_a_mail_that_cannot_be_sent_fails_its_job(owner: User, mailing: Mailing, post: Post) -> None:
    post.fails = True
    with pytest.raises(ConnectionRefusedError):
        await MailTaskCreated(mailing)(owner.id, "Write the report")
