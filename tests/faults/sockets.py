"""Clients on bare sockets, who stop in the middle, and what the service has open meanwhile."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from tests.e2e.service import Service
from tests.faults.ledger import PART

PREFIX, SUFFIX = PART.split(b"%s")
SOON = 30.0  # for what happens at once, on a machine with too much to do


@dataclass(frozen=True)
class Line:
    """A connection, and how it ends: FIN is a polite end, RST that of a process that died with data unread."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def finish(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        option = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        self.writer.transport.abort()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Line]:
    # A small buffer: who reads nothing is soon not written to.
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), limit=2**16)
    try:
        yield Line(reader, writer)
    finally:
        if not writer.is_closing():
            writer.transport.abort()


def head(method: str, path: str, client: httpx2.AsyncClient, **headers: str | int) -> bytes:
    fields = {"host": "x", "authorization": client.headers.get("authorization", "Bearer none")} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()


def upload_head(path: str, client: httpx2.AsyncClient, size: int) -> bytes:
    """Of a file of this size."""
    length = len(PREFIX) + size + len(SUFFIX)
    return head("POST", path, client, content_type="multipart/form-data; boundary=b", content_length=length)


def held(service: Service, folder: Path) -> list[str]:
    """The files below the folder that it has open, and those who are connected to it."""
    process, port = psutil.Process(service.pid), int(service.url.rpartition(":")[2])
    files = [file.path for file in process.open_files() if file.path.startswith(str(folder))]
    lines = [f"{line.status} {line.raddr}" for line in process.net_connections("tcp") if line.laddr.port == port]
    return sorted(files + lines)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not holds():  # noqa: ASYNC110  another process sets no event
            await asyncio.sleep(0.02)
