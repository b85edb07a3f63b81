"""Uploads that are refused, by whatever rule: they cost next to nothing, and nothing of them is kept."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import psutil
import pytest

from infrastructure.sql.engine import open_engines
from interfaces.http.unread_bodies import DISCARD_SECONDS, DISCARDED_BYTES
from tests.e2e.service import Service
from tests.e2e.started import logged_in, started
from tests.faults.audit import audit, facts_in
from tests.faults.sockets import PREFIX, SOON, upload_head

MEGABYTE = 2**20
SENT, LARGEST, QUOTA = 200 * MEGABYTE, 300 * MEGABYTE, 100 * MEGABYTE
APPLICATION_TAKES = 64 * 1024
BESIDE = 256 * 1024  # what the process reads besides, and the last piece, which may be too long
UPLOADS_PER_HOUR = 3


def pours(line: socket.socket) -> None:
    """The body, to a service that has enough of it long before."""
    with suppress(ConnectionError):
        for _ in range(SENT // MEGABYTE):
            line.sendall(b"x" * MEGABYTE)


def waits(line: socket.socket) -> None:
    """Not a byte of the content comes."""


@pytest.fixture
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    bounds = {"TASKWELL_MAX_FILE_BYTES": str(LARGEST), "TASKWELL_USER_QUOTA_BYTES": str(QUOTA)}
    limit = {"TASKWELL_LIMIT_UPLOAD": f"{UPLOADS_PER_HOUR}/hour"}
    async with started("embedded", request, **bounds, **limit) as service:
        yield service


@pytest.mark.parametrize("goes_on", [pours, waits])
async def test_a_refused_upload_is_told_why_is_hardly_read_and_leaves_nothing(
    service: Service, tmp_path: Path, goes_on: Callable[[socket.socket], None]
) -> None:
    nobody, me, other = (httpx2.AsyncClient(base_url=service.url, trust_env=False) for _ in range(3))
    async with nobody, me, other:
        await logged_in(me)
        await logged_in(other, "otto")
        mine, foreign = await _files_of_a_task(me), await _files_of_a_task(other)
        for client, path, size, status, code in (
            (nobody, mine, SENT, 401, "not-authenticated"),
            (me, foreign, SENT, 404, "task-not-found"),
            (me, mine, LARGEST + MEGABYTE, 413, "file-too-large"),
            (me, mine, SENT, 507, "quota-exceeded"),
            (me, mine, SENT, 429, "rate-limit-exceeded"),
        ):
            before, began = _read_by(service), time.monotonic()
            with socket.create_connection((me.base_url.host, me.base_url.port), timeout=SOON) as line:
                line.sendall(upload_head(path, client, size) + PREFIX)
                sending = asyncio.create_task(asyncio.to_thread(goes_on, line))
                start, _, body = (await asyncio.to_thread(_received, line)).partition(b"\r\n\r\n")
                await sending
            assert start.startswith(b"HTTP/1.1 %d " % status)
            assert b"\r\nconnection: close" in start.lower()
            assert json.loads(body)["code"] == code
            assert time.monotonic() - began < 5 * DISCARD_SECONDS
            assert _read_by(service) - before < APPLICATION_TAKES + DISCARDED_BYTES + BESIDE
    engines = open_engines(service.environment["TASKWELL_DATABASE_URL"], pool_size=1)
    found, facts = await audit(engines, tmp_path / "files"), await facts_in(engines)
    await engines.aclose()
    assert found.wrong() == {}
    assert {fact[0] for fact in facts} == {"task"}


async def _files_of_a_task(client: httpx2.AsyncClient) -> str:
    task = (await client.post("/tasks", json={"title": "Write"})).raise_for_status().json()
    return f"/tasks/{task['id']}/files"


def _received(line: socket.socket) -> bytes:
    """Up to the end of the connection. What came before a reset counts."""
    received = bytearray()
    with suppress(ConnectionError):
        while chunk := line.recv(65536):
            received += chunk
    return bytes(received)


def _read_by(service: Service) -> int:
    """Bytes that the process asked the system for, from files and connections."""
    counters = psutil.Process(service.pid).io_counters()
    return int(counters.read_chars)
