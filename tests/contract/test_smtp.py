"""Mails to a real SMTP server: what arrives, and what becomes of one that is refused, held up or dropped."""

import asyncio
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import aiosmtplib
import pytest

from application.ports import Mail
from infrastructure.smtp import SmtpNotifier
from tests.smtp_server import CERTIFICATE, DROP, PASSWORD, STALL, USER, MailServer, mail_server

SENDER = "Täskwell <tasks@example.org>"
MAIL = Mail("0123abcd" * 4, "anna@example.org", "New task: Read", "Hello Anna\n", "<p>Hello Anna</p>\n")
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
LONGEST_LINE = 998  # RFC 5322, 2.1.1


def notifier(server: MailServer, *, login: str = "", **seconds: Any) -> SmtpNotifier:
    return SmtpNotifier(server.url.replace("://", f"://{login}"), SENDER, **seconds)


def login(password: str = PASSWORD) -> str:
    return f"{USER}:{quote(password, safe='')}@"


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate of the server is one that this machine believes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


async def delivered(mail: Mail) -> Any:
    """What the server received, once it is seen to be one mail to its addressee, in lines that any server takes."""
    async with mail_server() as server:
        await notifier(server).send(mail)
    (received,) = server.received
    assert received.raw.isascii()
    assert max(map(len, received.raw.split(b"\r\n"))) <= LONGEST_LINE
    assert received.message.keys() == HEADERS
    assert (received.sender, received.recipients) == ("tasks@example.org", [mail.to])
    return received.message


async def test_a_mail_arrives_as_text_and_as_html() -> None:
    message = await delivered(MAIL)
    assert message["From"] == SENDER
    assert message["To"] == "anna@example.org"
    assert message["Subject"] == "New task: Read"
    assert message["Message-ID"] == "<0123abcd0123abcd0123abcd0123abcd@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"
    parts = [(part.get_content_type(), part.get_content()) for part in message.iter_parts()]
    assert parts == [("text/plain", "Hello Anna\n"), ("text/html", "<p>Hello Anna</p>\n")]


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("Done: a\r\nBcc: eve@example.org", "Done: a Bcc: eve@example.org"),
        ("Done: a\n\n<b>body</b>", "Done: a <b>body</b>"),
        ("Done: a\rX: b\x0bX: c\x0cX: d\x85X: e\u2028X: f\u2029X: g", "Done: a X: b X: c X: d X: e X: f X: g"),
        ("a\x00b\x1b[31mc\x7fd\ud800e", "a b [31mc d e"),
        ("Größe → 日本語 → עברית", "Größe → 日本語 → עברית"),
        ("👩‍👩‍👧 =?utf-8?q?Bcc:_eve?= 100%", "👩‍👩‍👧 = ?utf-8?q?Bcc:_eve?= 100%"),
        ("=?utf-8?q?a=0D=0ABcc:_eve@example.org?= b", "= ?utf-8?q?a=0D=0ABcc:_eve@example.org?= b"),
        ("x" * 5000, "x" * 5000),
        ("word " * 1000 + "end", "word " * 1000 + "end"),
        ("長" * 2000, "長" * 2000),
        ("", ""),
    ],
)
async def test_any_subject_stays_a_subject(subject: str, shown: str) -> None:
    assert (await delivered(replace(MAIL, subject=subject)))["Subject"] == shown


@pytest.mark.parametrize(
    "text",
    [".\n..\n.hidden\n", "x" * 5000 + "\n", "Größe 👩‍👩‍👧\n", "a = b\n\n\nFrom here \n", "\n.\nQUIT\n"],
)
async def test_any_text_arrives_as_it_is(text: str) -> None:
    message = await delivered(replace(MAIL, text=text, html=text))
    assert [part.get_content() for part in message.iter_parts()] == [text, text]


async def test_an_address_outside_ascii_is_written_as_the_server_knows_it() -> None:
    async with mail_server() as server:
        await notifier(server).send(replace(MAIL, to="anna@bücher.example"))
        with pytest.raises(aiosmtplib.SMTPNotSupported):
            await notifier(server).send(replace(MAIL, to="änna@example.org"))
    async with mail_server(enable_SMTPUTF8=True) as international:
        await notifier(international).send(replace(MAIL, to="änna@bücher.example"))
    assert [one.recipients for one in server.received] == [["anna@xn--bcher-kva.example"]]
    assert [one.recipients for one in international.received] == [["änna@xn--bcher-kva.example"]]


@pytest.mark.parametrize(
    "to", ["anna@example.org\r\nRCPT TO:<eve@example.org>", "a@b.example>,<eve@example.org", "anna"]
)
async def test_what_is_no_address_reaches_no_server(to: str) -> None:
    async with mail_server() as server:
        with pytest.raises(ValueError):  # noqa: PT011  what kind of one is the validator's affair
            await notifier(server).send(replace(MAIL, to=to))
    assert (server.received, server.transports) == ([], [])


@pytest.mark.usefixtures("trusted")
async def test_tls_is_used_where_it_is_offered() -> None:
    for options in ({"start_tls": True}, {"tls": True}, {}):
        async with mail_server(**options) as server:
            await notifier(server).send(MAIL)
        assert [one.encrypted for one in server.received] == [bool(options)]


@pytest.mark.usefixtures("trusted")
async def test_a_login_is_the_one_in_the_url() -> None:
    for options in ({"start_tls": True}, {"tls": True}):
        async with mail_server(**options) as server:
            await notifier(server, login=login()).send(MAIL)
            with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                await notifier(server, login=login("wrong")).send(MAIL)
        assert [one.user for one in server.received] == [USER]
        assert (server.logins[0], set(server.logins[1:])) == (True, {False})


async def test_a_password_is_told_to_nobody_without_tls() -> None:
    async with mail_server(careless=True) as server:
        with pytest.raises(aiosmtplib.SMTPException):
            await notifier(server, login=login()).send(MAIL)
    assert (server.received, server.logins) == ([], [])


async def test_a_server_that_only_says_who_it_is_gets_nothing() -> None:
    for options in ({"start_tls": True}, {"tls": True}):
        async with mail_server(**options) as server:
            with pytest.raises((aiosmtplib.SMTPException, OSError)):
                await notifier(server, login=login()).send(MAIL)
        assert (server.received, server.logins) == ([], [])


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
@pytest.mark.parametrize("reply", ["550 5.1.1 Nobody here", "451 4.7.1 Later", "421 4.3.2 Closing", "552 5.2.2 Full"])
async def test_a_refused_mail_raises_and_the_next_one_goes(stage: str, reply: str) -> None:
    async with mail_server() as server:
        server.answers = {stage: [reply]}
        with pytest.raises(aiosmtplib.SMTPException):
            await notifier(server).send(MAIL)
        assert server.received == []
        await notifier(server).send(MAIL)
    assert len(server.received) == 1


@pytest.mark.parametrize("stage", ["RCPT", "DATA", "TAKEN"])
async def test_a_server_that_drops_the_connection_raises(stage: str) -> None:
    async with mail_server() as server:
        server.answers = {stage: [DROP]}
        with pytest.raises(ConnectionError):
            await notifier(server).send(MAIL)


@pytest.mark.parametrize("stage", ["RCPT", "DATA", "TAKEN"])
@pytest.mark.parametrize("seconds", [{"step_seconds": 0.2}, {"send_seconds": 0.2}])
async def test_a_server_that_stalls_raises_in_time(stage: str, seconds: dict[str, Any]) -> None:
    async with mail_server() as server, asyncio.timeout(8):
        server.answers = {stage: [STALL]}
        with pytest.raises(TimeoutError):
            await notifier(server, **seconds).send(MAIL)
        await server.closed.wait()


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_server_that_never_speaks_raises_in_time(scheme: str) -> None:
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening, asyncio.timeout(8):
        url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        with pytest.raises(TimeoutError):
            await SmtpNotifier(url, SENDER, step_seconds=0.2).send(MAIL)
        await ended.wait()


async def test_no_server_at_all_raises() -> None:
    async with mail_server() as server:
        pass
    with pytest.raises(ConnectionError):
        await notifier(server).send(MAIL)


@pytest.mark.parametrize("ending", [DROP, STALL, "500 What?"])
async def test_a_mail_that_was_taken_is_sent_however_the_connection_ends(ending: str) -> None:
    async with mail_server() as server, asyncio.timeout(8):
        server.answers = {"QUIT": [ending]}
        await notifier(server).send(MAIL)
        await server.closed.wait()
    assert len(server.received) == 1


async def test_who_stops_waiting_leaves_no_connection_behind() -> None:
    async with mail_server() as server, asyncio.timeout(8):
        server.answers = {"RCPT": [STALL]}
        sending = asyncio.create_task(notifier(server).send(MAIL))
        await server.stalled.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.closed.wait()
