"""uvicorn's HTTP/1.1, with heads of bounded size and time, without stalled readers, and deaf to other protocols."""

import asyncio
import sys
from typing import Any
from uuid import uuid4

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from interfaces.http.edge import HEADER_BYTES
from interfaces.http.problems import HEADERS_TOO_LARGE, ProblemResponse

HEAD_BYTES = 2 * HEADER_BYTES  # a head that is complete by then is still answered by the application
HEAD_SECONDS = 10.0
STALLED_SECONDS = 60.0  # how long a reader may take nothing of an answer


class BoundedHttp(HttpToolsProtocol):
    """uvicorn itself collects an endless head for ever: more memory with each packet, and all of it copied each time.

    An upgrade to another protocol is ignored (RFC 9110, 7.8). uvicorn would take the body for the next request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None  # set while a head is awaited
        self._stalled: asyncio.TimerHandle | None = None  # set while the client takes less than is sent
        self._head_bytes = 0
        self._received = b""
        self._wants_upgrade = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        super().connection_made(transport)
        self._await_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        self._goes_on()
        super().connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        """Give up a client that takes nothing for too long: it would hold its file and this connection for ever."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        self._goes_on()
        super().resume_writing()

    @override
    def data_received(self, data: bytes) -> None:
        if self._deadline:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES + len(data):  # without this packet, which may complete it
                self._refuse()
                return
        self._received = data
        super().data_received(data)

    @override
    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._have_head()
        self._wants_upgrade = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._wants_upgrade:
            super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        if not self._wants_upgrade:
            super().on_message_complete()

    @override
    def _unsupported_upgrade_warning(self) -> None:
        """Called where the parser stops, after a head that asks for an upgrade: start again as if it did not."""
        stopped = sys.exc_info()[1]
        if self._wants_upgrade and isinstance(stopped, httptools.HttpParserUpgrade):
            version = self.parser.get_http_version().encode()
            lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
            lines += [b"%s: %s" % (name, value) for name, value in self.headers if name != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.data_received(b"\r\n".join([*lines, b"", self._received[stopped.args[0] :]]))

    def _await_head(self) -> None:
        self._have_head()
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _have_head(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _goes_on(self) -> None:
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None

    def _refuse(self) -> None:
        """Say so and close. An answer that is still being sent has precedence."""
        self._have_head()
        if getattr(self.cycle, "response_complete", True):  # there is no cycle before the first request
            request_id = uuid4().hex
            scope = {"path": "", "state": {"request_id": request_id}}
            answer = ProblemResponse(scope, 431, HEADERS_TOO_LARGE)
            headers = [*answer.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
            lines = b"".join(b"%s: %s\r\n" % header for header in headers)
            self.transport.write(STATUS_LINE[431] + lines + b"\r\n" + bytes(answer.body))
        self.transport.close()
