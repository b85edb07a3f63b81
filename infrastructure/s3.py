"""The bytes of files in a bucket of an S3 service: small ones in one request, others part by part."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from random import uniform
from typing import TYPE_CHECKING, Never, Self

import obstore
from obstore import delete_async, get_async, head_async, list_with_delimiter_async, put_async
from obstore.exceptions import BaseError, GenericError

from application.cancellation import to_the_end
from application.ports import StorageAway, StorageFull, StoredContent
from domain.file import FileContentMissing, is_stored_name
from infrastructure.batches import batches
from infrastructure.s3_bucket import PATIENCE_SECONDS, TRIES, Bucket

if TYPE_CHECKING:  # these are nowhere at run time
    from obstore import BytesStream, ObjectMeta

PART = 5 * 1024 * 1024  # the smallest that S3 takes
PARTS_AT_ONCE = 2  # of one file, while the next is being filled: 15 MiB in memory
CHUNK = 512 * 1024
# What MinIO, Ceph and others answer; SeaweedFS has no words for it, so a full one is away.
FULL = re.compile("507 Insufficient Storage|<Code>[A-Za-z]*(QuotaExceeded|StorageFull|InsufficientStorage)</Code>")
TRIAL = ".trial"  # what `ping` writes; names of ours never begin so


class S3Storage:
    """Says `StorageAway` within `PATIENCE_SECONDS`, in whatever way the service fails.

    An upload whose end the service didn't acknowledge may leave parts there, which nobody sees and a lifecycle rule of
    the bucket removes; or it may come through after all, as a file without a record.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._store = bucket.store()
        self._without_retries = bucket.store(tries=1)

    async def put(self, name: str, chunks: AsyncIterable[bytes]) -> None:
        async with aclosing(batches(chunks, CHUNK)) as pieces:
            head = deque[bytes]()
            async for piece in pieces:
                head.append(piece)
                if sum(map(len, head)) >= PART:
                    source = _Source(head, pieces)
                    await self._unless_cancelled(name, self._put_parts(name, source), source)
                    return
            await self._unless_cancelled(name, self._put(name, b"".join(head)))

    async def size(self, name: str) -> int:
        async with _patience():
            try:
                return (await head_async(self._store, name))["size"]
            except FileNotFoundError:
                await self._missing()

    @asynccontextmanager
    async def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        async with _patience():
            stream = await self._open(name, start, stop)
        async with aclosing(_pieces(stream)) as pieces:
            yield pieces

    async def delete(self, name: str) -> None:
        """obstore deletes by a POST, which it does not repeat after a timeout. For us it is safe."""
        async with _patience():
            for tries_left in reversed(range(TRIES)):
                try:
                    await delete_async(self._without_retries, name)
                except BaseError:
                    if not tries_left:
                        raise
                    await asyncio.sleep(uniform(0.1, 0.3))  # noqa: S311 # jitter is no secret
                else:
                    return

    async def page(self, *, after: str = "", limit: int = 1000) -> Sequence[StoredContent]:
        found: list[StoredContent] = []
        listing = obstore.list(self._store, offset=after or None, chunk_size=limit)
        while len(found) < limit:
            async with _patience():  # for each request: there may be a million things of others
                batch = await anext(listing, None)
            if batch is None:
                break
            found += [_stored(one) for one in batch if one["path"] == TRIAL or is_stored_name(one["path"])]
        return found[:limit]

    async def ping(self) -> None:
        async with _patience():
            with suppress(StorageFull):
                await self._put(TRIAL, b"?")
            await self.delete(TRIAL)

    async def _put(self, name: str, content: bytes) -> None:
        async with _patience():
            await put_async(self._store, name, content, use_multipart=False)

    async def _put_parts(self, name: str, source: "_Source") -> None:
        try:
            async with _patience() as source.patience:
                await put_async(self._store, name, source, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)
        except StorageAway:
            if source.error:  # it failed, not the storage
                raise source.error from None
            raise

    async def _unless_cancelled(
        self, name: str, putting: Coroutine[None, None, None], source: "_Source | None" = None
    ) -> None:
        """Cancelling a request of obstore leaves open what it did until then, so it always runs to an end."""
        task = asyncio.ensure_future(putting)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if source:
                source.stop()
            await to_the_end(self._undo(name, task))
            raise

    async def _undo(self, name: str, putting: asyncio.Task[None]) -> None:
        await asyncio.wait({putting})
        if not putting.cancelled() and not putting.exception():  # it was too late to stop it
            with suppress(StorageAway):
                await self.delete(name)

    async def _open(self, name: str, start: int, stop: int | None) -> "BytesStream | None":
        """None if there is nothing in this range: to S3 such a range is an error."""
        try:
            if stop is not None:
                result = await get_async(self._store, name, options={"range": (start, stop)})
            else:
                result = await get_async(self._store, name, options={"range": {"offset": start}} if start else None)
        except FileNotFoundError:
            await self._missing()
        except GenericError:
            size = await self.size(name)
            if start < (size if stop is None else min(stop, size)):
                raise
            return None
        return result.stream(min_chunk_size=CHUNK)

    async def _missing(self) -> Never:
        """Raise `FileContentMissing`, or another error if it is the whole bucket that is missing."""
        await list_with_delimiter_async(self._store, TRIAL)  # in a folder of this name there is nothing
        raise FileContentMissing


class _Source:
    """What obstore asks for more of the file; remembers what went wrong with it.

    Once it was stopped it raises, which makes obstore end the upload as it should be.
    """

    def __init__(self, head: deque[bytes], rest: AsyncGenerator[bytes, None]) -> None:
        self._head = head
        self._rest = rest
        self._next: asyncio.Future[bytes] | None = None
        self._stopped = False
        self.error: Exception | None = None
        self.patience: asyncio.Timeout

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self.patience.reschedule(None)  # it is the sender who is waited for
        try:
            batch = self._head.popleft() if self._head else await self._pull()
        except Exception as error:
            self.error = error
            raise
        finally:
            self.patience.reschedule(asyncio.get_running_loop().time() + PATIENCE_SECONDS)
        if not batch:
            raise StopAsyncIteration
        return batch

    def stop(self) -> None:
        self._stopped = True
        if self._next:
            self._next.cancel()

    async def _pull(self) -> bytes:
        if self._stopped:
            raise asyncio.CancelledError
        self._next = asyncio.ensure_future(anext(self._rest, b""))
        return await self._next


@asynccontextmanager
async def _patience() -> AsyncIterator[asyncio.Timeout]:
    """What goes wrong inside, or takes too long, becomes an error of the port."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS) as patience:
            yield patience
    except (BaseError, OSError) as error:
        raise (StorageFull if FULL.search(str(error)) else StorageAway) from error


def _stored(found: "ObjectMeta") -> StoredContent:
    name = found["path"]
    return StoredContent(name, found["size"], found["last_modified"], draft_of=name if name == TRIAL else None)


async def _pieces(stream: "BytesStream | None") -> AsyncGenerator[bytes, None]:
    piece = bytearray()
    while stream:
        async with _patience():
            chunk = await anext(stream, None)
        if chunk is None:
            break
        piece += chunk
        while len(piece) >= CHUNK:
            yield bytes(piece[:CHUNK])
            del piece[:CHUNK]
    if piece:
        yield bytes(piece)
