"""Contents to store, from sources good and bad."""

import asyncio
from collections.abc import AsyncIterator

from application.ports import FileStorage
from infrastructure.filesystem import CHUNK

LONG = bytes(range(256)) * (3 * CHUNK // 256) + b"end"


async def some(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def broken() -> AsyncIterator[bytes]:
    yield LONG
    raise ConnectionResetError


async def endless(reached: asyncio.Event) -> AsyncIterator[bytes]:
    yield LONG
    reached.set()
    await asyncio.Event().wait()


async def content(storage: FileStorage, name: str, start: int = 0, stop: int | None = None) -> bytes:
    async with storage.read(name, start=start, stop=stop) as chunks:
        return b"".join([chunk async for chunk in chunks])
