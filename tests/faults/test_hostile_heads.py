"""Heads of requests that are meant to hurt: without an end in bytes or time, or asking for another protocol."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interfaces.http.protocol import HEAD_SECONDS
from tests.e2e.service import Service
from tests.e2e.started import started

MEGABYTE = 2**20
SOON = 30
LIVE = b"GET /health/live HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with started("embedded", request) as service:
        yield service


async def answered(service: Service, *packets: bytes) -> bytes:
    """Send one after the other; return what arrives until the connection ends or is reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
    received = bytearray()
    try:
        async with asyncio.timeout(SOON):
            for packet in packets:
                writer.write(packet)
                await writer.drain()
            while chunk := await reader.read(65536):
                received += chunk
    except ConnectionError:
        pass
    finally:
        writer.close()
    return bytes(received)


ENDLESS = {
    "value": (LIVE + b"X: ", b"y" * MEGABYTE),
    "headers": (LIVE, b"X: y\r\n" * 100_000),
    "path": (b"GET /", b"y" * MEGABYTE),
    "name": (LIVE, b"y" * MEGABYTE),
}


@pytest.mark.parametrize(("start", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_a_head_without_end_is_refused_before_it_is_collected(
    service: Service, start: bytes, more: bytes
) -> None:
    before = _memory(service)
    answer = await answered(service, start, *[more] * 64)
    # The reset of a connection that still sends may overtake the answer.
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 ")
        assert b"\r\nconnection: close" in head
        request_id = re.search(rb"x-request-id: (\S+)", head)
        problem = json.loads(body)
        assert (problem["code"], problem["status"]) == ("headers-too-large", 431)
        assert request_id
        assert problem["request_id"] == request_id[1].decode()
    assert _memory(service) - before < 16 * MEGABYTE
    assert await answered(service, LIVE + b"Connection: close\r\n\r\n")


@pytest.mark.parametrize("start", [b"", LIVE], ids=["silent", "half"])
async def test_a_head_that_never_comes_is_not_waited_for(service: Service, start: bytes) -> None:
    began = asyncio.get_running_loop().time()
    assert await answered(service, start) == b""
    assert asyncio.get_running_loop().time() - began >= HEAD_SECONDS - 1


@pytest.mark.parametrize("apart", [False, True], ids=["one packet", "two packets"])
async def test_a_wish_for_another_protocol_is_ignored_with_its_body(service: Service, apart: bool) -> None:
    body = b'{"username": "smuggled", "password": "GET /health/live HTTP/1.1"}'
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    head = b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n%s\r\n" % (len(body), wish)
    last = LIVE + b"Connection: close\r\n\r\n"
    answer = await answered(service, *([head, body, last] if apart else [head + body + last]))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"401", b"200"]
    assert b"wrong-credentials" in answer


def _memory(service: Service) -> int:
    """Resident bytes of the process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{service.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024
