"""What becomes of the rest of a refused body: the connection ends with it, and the client still gets the answer."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interfaces.http.problems import REQUEST_TIMEOUT, Refused

SILENCE_SECONDS = 30.0  # how long a sender may keep us waiting for the next part of a body
DISCARDED_BYTES = 1024 * 1024
DISCARD_SECONDS = 1.0


class UnreadBodies:
    """An answer to a request whose body has not arrived in full says `Connection: close` (RFC 9112, 9.6).

    A connection that is closed on data still arriving is reset, and with it the answer may be lost: so the end of the
    answer waits until the client stops sending, for a bounded time and number of bytes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        arriving, closing = True, False

        async def receive_and_note() -> Message:
            nonlocal arriving
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    message = await receive()
            except TimeoutError:
                raise Refused(408, *REQUEST_TIMEOUT, f"Nothing arrived for {SILENCE_SECONDS} seconds.") from None
            arriving = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def send_and_close(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start" and arriving:
                closing = True
                MutableHeaders(scope=message)["Connection"] = "close"
            if message["type"] == "http.response.body" and closing and not message.get("more_body", False):
                await send({**message, "more_body": True})
                if not _is_cancelled():  # then the server stops, and has no time for this
                    await _discard(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app(scope, receive_and_note, send_and_close)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _discard(receive: Receive) -> None:
    left = DISCARDED_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
