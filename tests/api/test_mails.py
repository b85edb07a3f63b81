"""What a user gets by mail, from the whole application and a real mail server."""

import asyncio

from tests.api.conftest import start
from tests.smtp_server import Received, mail_server

SOON = 30


async def test_who_registers_and_works_is_told_by_mail() -> None:
    async with (
        mail_server() as server,
        start(smtp_url=server.url, mail_from="tasks@example.org", public_url="https://tasks.example.org") as api,
        asyncio.timeout(SOON),
    ):
        me = await api.person()
        task = await me.task(title="Read\r\nBcc: eve@example.org")
        await me.post(f"/tasks/{task['id']}/complete")
        await me.post(f"/tasks/{task['id']}/complete")
        while len(server.received) < 3:  # noqa: ASYNC110  the server sets no event
            await asyncio.sleep(0.01)
    assert sorted(subject_of(mail) for mail in server.received) == [
        "Done: Read Bcc: eve@example.org",
        "New task: Read Bcc: eve@example.org",
        "Welcome to Taskwell",
    ]
    assert {tuple(mail.recipients) for mail in server.received} == {(f"{me.username}@example.org",)}
    assert len({mail.message["Message-ID"] for mail in server.received}) == 3
    for mail in server.received:
        parts = [part.get_content() for part in mail.message.iter_parts()]
        assert ["https://tasks.example.org" in part for part in parts] == [True, True]


def subject_of(mail: Received) -> str:
    return str(mail.message["Subject"])
