"""The bytes of files in a dict."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

from domain.file import FileContentMissing

CHUNK = 256 * 1024


class MemoryStorage:
    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    async def put(self, name: str, chunks: AsyncIterable[bytes]) -> None:
        self._contents[name] = b"".join([chunk async for chunk in chunks])

    async def size(self, name: str) -> int:
        return len(self._content(name))

    @asynccontextmanager
    async def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        yield _pieces(self._content(name)[start:stop])

    async def delete(self, name: str) -> None:
        self._contents.pop(name, None)

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
