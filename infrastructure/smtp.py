"""Mails by SMTP: a connection for each mail, TLS where there can be some, an end to every wait."""

import asyncio
import socket
import ssl
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from urllib.parse import SplitResult, unquote, urlsplit

from aiosmtplib import SMTP, SMTPException
from email_validator import validate_email

from application.ports import Mail
from infrastructure.clock import utc_now

STEP_SECONDS, SEND_SECONDS, QUIT_SECONDS = 10.0, 30.0, 1.0


class SmtpNotifier:
    """`smtps://` is TLS from the first byte. `smtp://` turns to TLS if the server offers it; with a password in the
    URL it must. A mail that the server refuses, for now or for good, raises what aiosmtplib does."""

    def __init__(
        self, url: str, sender: str, *, step_seconds: float = STEP_SECONDS, send_seconds: float = SEND_SECONDS
    ) -> None:
        self._server = urlsplit(url)
        name, address = parseaddr(sender)
        self._sender = _address(address, name)
        self._tls = ssl.create_default_context()
        self._step_seconds = step_seconds
        self._send_seconds = send_seconds

    async def send(self, mail: Mail) -> None:
        message = self._message(mail)
        async with self._connected() as client:
            await client.send_message(message)

    async def try_out(self) -> bool:
        """Connect and log in as for a mail, and send none. Return whether one would have been encrypted."""
        async with self._connected() as client:
            return client.get_transport_info("sslcontext") is not None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[SMTP]:
        client = _client(self._server, self._tls, timeout=self._step_seconds)
        try:
            async with asyncio.timeout(self._send_seconds):
                await client.connect()
                yield client
            with suppress(SMTPException):  # the server has taken the mail: whatever comes now, it is not to be repeated
                await client.quit(timeout=QUIT_SECONDS)
        finally:
            client.close()

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = _address(mail.to)
        message["Subject"] = _one_line(mail.subject)
        message["Date"] = utc_now()
        message["Message-ID"] = f"<{mail.key}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note is to answer this
        message.set_content(mail.text, cte="quoted-printable")  # a server need not take 8 bits
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
        return message


def _client(server: SplitResult, tls: ssl.SSLContext, *, timeout: float) -> SMTP:
    implicit = server.scheme == "smtps"
    return SMTP(
        hostname=server.hostname,
        port=server.port,
        username=unquote(server.username) if server.username else None,
        password=unquote(server.password) if server.password else None,
        local_hostname=socket.gethostname(),  # the library would ask the DNS
        timeout=timeout,
        use_tls=implicit,
        start_tls=False if implicit else True if server.username else None,
        tls_context=tls,
    )


def _address(address: str, name: str = "") -> Address:
    """With the domain as the DNS knows it, and nothing that could end a line."""
    valid = validate_email(address, check_deliverability=False, test_environment=True)
    return Address(name, valid.local_part, valid.ascii_domain)


def _one_line(text: str) -> str:
    """What could end a header, or can't be encoded, becomes a space; what looks encoded already is kept from being
    decoded, which could bring forth the same."""
    harmless = (" " if unicodedata.category(one) in {"Cc", "Cs"} else one for one in text)
    return " ".join("".join(harmless).replace("=?", "= ?").split())
