"""The bytes of files under one folder: written aside, made durable, renamed into place."""

import asyncio
import errno
import os
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from heapq import nsmallest
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar
from uuid import uuid4

from application.cancellation import to_the_end
from application.ports import StorageAway, StorageFull, StoredContent
from domain.file import FileContentMissing, is_stored_name
from infrastructure.batches import batches

P = ParamSpec("P")
T = TypeVar("T")

DRAFT = ".draft-"  # what stands before the name of an unfinished file
TRIAL = re.compile(rf"{re.escape(DRAFT)}[0-9a-f]{{32}}")  # what `ping` writes
CHUNK = 512 * 1024
BATCH = 1024 * 1024  # in which is written, while the next is gathered
THREADS = 8
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FilesystemStorage:
    """Every call into the operating system runs in a thread of ours: a slow disk delays files, and nothing else."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._created, self._creating = False, Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="files")

    def close(self) -> None:
        """Wait for no thread: one may hang on its disk."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def put(self, name: str, chunks: AsyncIterable[bytes]) -> None:
        draft = _Handle(self._root / f"{DRAFT}{name}")
        try:
            await self._write(draft, chunks)
            await to_the_end(self._call(draft.publish, self._root / name))
        except BaseException:
            await to_the_end(self._call(draft.discard))
            raise

    async def size(self, name: str) -> int:
        return await self._call(self._size, self._root / name)

    @asynccontextmanager
    async def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        file = _Handle(self._root / name)
        try:
            await to_the_end(self._call(self._open, file, os.O_RDONLY))
            async with aclosing(self._pieces(file, start, stop)) as pieces:
                yield pieces
        finally:
            await to_the_end(self._call(file.close))

    async def delete(self, name: str) -> None:
        await self._call(self._delete, self._root / name)

    async def page(self, *, after: str = "", limit: int = 1000) -> Sequence[StoredContent]:
        return await self._call(self._page, after, limit)

    async def ping(self) -> None:
        with suppress(StorageFull):
            await self._call(self._try_out)

    async def _call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it in a thread. What the operating system refuses there becomes an error of the port."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))
        except OSError as error:
            raise (StorageFull if error.errno in FULL else StorageAway) from error

    async def _write(self, draft: "_Handle", chunks: AsyncIterable[bytes]) -> None:
        """One batch is being written while the next is gathered: hashing and parsing don't wait for the disk."""
        writing = asyncio.ensure_future(self._call(self._open, draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            await to_the_end(writing)  # a storage that is away is not worth asking the sender for more
            async with aclosing(batches(chunks, BATCH)) as gathered:
                async for batch in gathered:
                    await to_the_end(writing)
                    writing = asyncio.ensure_future(self._call(draft.write, batch))
            await to_the_end(writing)
        finally:
            await to_the_end(asyncio.gather(writing, return_exceptions=True))

    async def _pieces(self, file: "_Handle", start: int, stop: int | None) -> AsyncGenerator[bytes, None]:
        """One piece is being read while the one before is on its way to the reader."""

        def read() -> asyncio.Future[bytes]:
            length = CHUNK if stop is None else min(CHUNK, stop - start)
            return asyncio.ensure_future(self._call(os.pread, file.descriptor, length, start))

        reading = read()
        try:
            while piece := await to_the_end(reading):
                start += len(piece)
                reading = read()
                yield piece
        finally:
            await to_the_end(asyncio.gather(reading, return_exceptions=True))

    # What follows runs in a thread.

    def _ready(self) -> None:
        """Create the folder at first use only: later, a folder that is gone is a disk that is gone."""
        with self._creating:
            if not self._created:
                created = [folder for folder in (self._root, *self._root.parents) if not folder.exists()]
                self._root.mkdir(parents=True, exist_ok=True)
                for folder in created:
                    _sync_folder(folder.parent)
                self._created = True

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """What is not there is `FileContentMissing`, or `OSError` if it is the whole folder."""
        self._ready()
        try:
            yield
        except FileNotFoundError:
            self._root.stat()
            raise FileContentMissing from None

    def _open(self, file: "_Handle", flags: int) -> None:
        with self._looking():
            file.open(flags)

    def _size(self, path: Path) -> int:
        with self._looking():
            return path.stat().st_size

    def _delete(self, path: Path) -> None:
        self._ready()
        path.unlink(missing_ok=True)
        self._root.stat()

    def _page(self, after: str, limit: int) -> list[StoredContent]:
        self._ready()
        while names := self._names(after, limit):
            if found := [content for name in names if (content := self._find(name))]:
                return found
            after = names[-1]  # all of them were deleted in between
        return []

    def _names(self, after: str, limit: int) -> list[str]:
        """In the memory that `limit` names need, however many there are."""
        with os.scandir(self._root) as entries:
            return nsmallest(limit, (entry.name for entry in entries if entry.name > after and _is_ours(entry)))

    def _find(self, name: str) -> StoredContent | None:
        try:
            stat = (self._root / name).lstat()
        except FileNotFoundError:
            return None
        written_at = datetime.fromtimestamp(stat.st_mtime, UTC)
        draft_of = name.removeprefix(DRAFT) if name.startswith(DRAFT) else None
        return StoredContent(name, stat.st_size, written_at, draft_of)

    def _try_out(self) -> None:
        self._ready()
        trial = _Handle(self._root / f"{DRAFT}{uuid4().hex}")
        try:
            trial.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            trial.write(b"?")
        finally:
            trial.discard()


class _Handle:
    """An open file. It keeps its descriptor itself, and so can be closed even if its opener was cancelled meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = -1

    def open(self, flags: int) -> None:
        self.descriptor = os.open(self._path, flags | os.O_CLOEXEC, 0o600)

    def write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def publish(self, path: Path) -> None:
        """Give it its name, durably. After a failed fsync nobody knows what is on the disk: it can't be tried again."""
        os.fsync(self.descriptor)
        self.close()
        self._path = self._path.rename(path)
        _sync_folder(path.parent)

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def discard(self) -> None:
        """As far as the disk lets us: what stays is recognised by its name, or by having no record."""
        with suppress(OSError):
            self.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    named = is_stored_name(entry.name.removeprefix(DRAFT)) or TRIAL.fullmatch(entry.name)
    return bool(named) and entry.is_file(follow_symlinks=False)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
