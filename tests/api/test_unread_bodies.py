"""Answers to requests whose body nobody read to its end."""

import asyncio
from collections.abc import Iterable
from copy import deepcopy

import pytest
from starlette.types import Message, Receive, Scope, Send

from interfaces.http.unread_bodies import DISCARDED_BYTES, UnreadBodies

PIECE = 64 * 1024
LENGTH = (b"content-length", b"2")
WHOLE: list[Message] = [
    {"type": "http.response.start", "status": 413, "headers": [LENGTH]},
    {"type": "http.response.body", "body": b"no"},
]


class Exchange:
    """One request with a body in pieces, answered after some of them were read."""

    def __init__(self, pieces: Iterable[bytes], *, reads: int, silent: bool = False, length: bytes = b"1") -> None:
        self._pieces = list(pieces)
        self._reads, self._silent, self._length = reads, silent, length
        self.events: list[str] = []
        self.sent: list[Message] = []

    async def run(self) -> None:
        await UnreadBodies(self._app)(
            {"type": "http", "headers": [(b"content-length", self._length)]}, self._receive, self._send
        )

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(self._reads):
            await receive()
        for message in WHOLE:
            await send(deepcopy(message))

    async def _receive(self) -> Message:
        if not self._pieces and self._silent:
            self.events.append("waiting")
            await asyncio.Event().wait()
        self.events.append("received")
        return {"type": "http.request", "body": self._pieces.pop(0), "more_body": bool(self._pieces) or self._silent}

    async def _send(self, message: Message) -> None:
        self.events.append("start" if "status" in message else "more" if message.get("more_body") else "end")
        self.sent.append(message)

    @property
    def closes(self) -> bool:
        return (b"connection", b"close") in self.sent[0]["headers"]


@pytest.mark.parametrize(("pieces", "length"), [([b"x"], b"1"), ([b"x", b"y", b""], b"1"), ([b""], b"0")])
async def test_a_body_that_was_read_is_no_reason_to_close(pieces: list[bytes], length: bytes) -> None:
    exchange = Exchange(pieces, reads=len(pieces), length=length)
    await exchange.run()
    assert exchange.sent == WHOLE
    assert exchange.events == ["received"] * len(pieces) + ["start", "end"]


async def test_no_body_is_no_reason_to_close() -> None:
    exchange = Exchange([], reads=0, length=b"0")
    await exchange.run()
    assert exchange.sent == WHOLE


@pytest.mark.parametrize("reads", [0, 1, 2])
async def test_the_answer_is_complete_before_the_rest_is_discarded_and_ends_after_it(reads: int) -> None:
    exchange = Exchange([b"x"] * 3, reads=reads)
    await exchange.run()
    assert exchange.events == ["received"] * reads + ["start", "more"] + ["received"] * (3 - reads) + ["end"]
    assert b"".join(message.get("body", b"") for message in exchange.sent) == b"no"
    assert exchange.closes


async def test_no_more_than_a_megabyte_is_discarded() -> None:
    exchange = Exchange([b"x" * PIECE] * 100, reads=0)
    await exchange.run()
    assert exchange.events.count("received") == DISCARDED_BYTES // PIECE
    assert exchange.events[-1] == "end"
    assert exchange.closes


async def test_a_client_that_falls_silent_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interfaces.http.unread_bodies.DISCARD_SECONDS", 0.01)
    exchange = Exchange([b"x"], reads=0, silent=True)
    await asyncio.wait_for(exchange.run(), timeout=5)
    assert exchange.events == ["start", "more", "received", "waiting", "end"]
    assert exchange.closes
