"""The bytes of files in a dict."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from heapq import nsmallest

from application.ports import Clock, StoredContent
from domain.file import FileContentMissing, is_stored_name
from infrastructure.clock import utc_now

CHUNK = 512 * 1024


class MemoryStorage:
    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._contents: dict[str, bytes] = {}
        self._written_at: dict[str, datetime] = {}

    async def put(self, name: str, chunks: AsyncIterable[bytes]) -> None:
        self._contents[name] = b"".join([chunk async for chunk in chunks])
        self._written_at[name] = self._clock()

    async def size(self, name: str) -> int:
        return len(self._content(name))

    @asynccontextmanager
    async def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        yield _pieces(self._content(name)[start:stop])

    async def delete(self, name: str) -> None:
        self._contents.pop(name, None)

    async def page(self, *, after: str = "", limit: int = 1000) -> Sequence[StoredContent]:
        names = nsmallest(limit, (name for name in self._contents if name > after and is_stored_name(name)))
        return [StoredContent(name, len(self._contents[name]), self._written_at[name]) for name in names]

    async def ping(self) -> None:
        return

    def _content(self, name: str) -> bytes:
        try:
            return self._contents[name]
        except KeyError:
            raise FileContentMissing from None


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]
