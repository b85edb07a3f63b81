"""A real SMTP server in the test process, which takes mails, or refuses, stalls or drops as a test tells it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from typing_extensions import override

CERTIFICATE = Path(__file__).with_name("localhost.pem")  # of localhost, for a hundred years, signed by itself
USER, PASSWORD = "post", "p@ss:w/rd?"
STALL, DROP = "stall", "drop"


@dataclass(frozen=True)
class Received:
    sender: str
    recipients: list[str]
    raw: bytes
    encrypted: bool
    user: object

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw.replace(b"\r\n", b"\n"), policy=policy.default)


@dataclass
class MailServer:
    """`answers` has what to do the next times at RCPT, DATA, TAKEN (when the mail is kept) and QUIT: STALL, DROP, or a
    reply. When there is nothing left, all is well."""

    url: str = ""
    answers: dict[str, list[str]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)  # ends what was stalled, well
    transports: list[asyncio.WriteTransport] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(  # noqa: N802  aiosmtpd calls it so
        self, server: SMTP, _: Session, envelope: Envelope, address: str, __: list[str]
    ) -> str:
        reply = await self._reply("RCPT", server)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  likewise
        reply = await self._reply("DATA", server)
        if not reply.startswith("250"):
            return reply
        mail, raw = str(envelope.mail_from), envelope.content
        assert isinstance(raw, bytes)
        encrypted = session.ssl is not None or transport_of(server).get_extra_info("sslcontext") is not None
        self.received.append(Received(mail, list(envelope.rcpt_tos), raw, encrypted, session.auth_data))
        return await self._reply("TAKEN", server)

    async def handle_QUIT(self, server: SMTP, _: Session, __: Envelope) -> str:  # noqa: N802  likewise
        return await self._reply("QUIT", server, "221 Bye")

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, login: LoginPassword) -> AuthResult:
        right = (login.login, login.password) == (USER.encode(), PASSWORD.encode())
        self.logins.append(right)
        return AuthResult(success=right, handled=False, auth_data=login.login.decode())

    async def _reply(self, stage: str, server: SMTP, well: str = "250 OK") -> str:
        reply = (self.answers.get(stage) or [well]).pop(0)
        if reply in {STALL, DROP}:
            self.stalled.set()
            if reply == DROP:
                transport_of(server).abort()
            await self.go_on.wait()  # or ended with the connection
            return well
        return reply


def transport_of(connection: SMTP) -> asyncio.WriteTransport:
    assert isinstance(connection.transport, asyncio.WriteTransport)
    return connection.transport


class Connection(SMTP):
    """Tells the server when it is made and lost."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.event_handler.transports.append(transport)
        super().connection_made(transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.event_handler.closed.set()


@asynccontextmanager
async def mail_server(
    *, start_tls: bool = False, tls: bool = False, careless: bool = False, **options: Any
) -> AsyncIterator[MailServer]:
    """`url` has no user. With STARTTLS or TLS there is a login; a careless server takes it without."""
    server = MailServer()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)

    def connection() -> SMTP:
        return Connection(
            server,
            hostname="localhost",
            tls_context=context if start_tls else None,
            authenticator=server.authenticate,
            auth_require_tls=not (tls or careless),
            **options,
        )

    listening = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, ssl=context if tls else None)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"{'smtps' if tls else 'smtp'}://localhost:{port}"
    try:
        yield server
    finally:
        listening.close()
        for transport in server.transports:
            transport.abort()
        await asyncio.sleep(0)  # their sockets are closed in the next round of the loop
