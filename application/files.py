"""Use cases on files: the bytes go first and the record second; on deletion it is the other way round."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Protocol

from application.cancellation import to_the_end
from application.ports import Clock, DatabaseAway, FileStorage, StorageAway, UnitOfWork
from domain.file import (
    DigestMismatch,
    EmptyFile,
    FileContentMissing,
    FileId,
    FileNotFound,
    Room,
    TaskFile,
    checked_filename,
    extension_of,
    stored_name,
)
from domain.file_content import Inspection
from domain.file_type import file_type
from domain.task import TaskId
from domain.user import UserId


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file as its sender describes it. `declared_type` is empty, `sha256` is None, where nothing is said of it."""

    filename: str
    declared_type: str
    sha256: str | None
    chunks: AsyncIterable[bytes]


class Incoming(Protocol):
    """A file on its way, nothing of it read yet."""

    def least_size(self) -> int:
        """How many bytes it must have at least, by what is announced; 0 if nothing is."""
        ...

    async def open(self) -> IncomingFile:
        """Read on, up to the first byte of the content."""
        ...


@dataclass(frozen=True, slots=True)
class UploadFile:
    """Store a file and record it. Whatever can be refused beforehand is; whatever fails later leaves nothing behind."""

    work: UnitOfWork
    storage: FileStorage
    clock: Clock
    largest: int
    quota: int
    allowed: frozenset[str]

    async def __call__(self, actor: UserId, task_id: TaskId, incoming: Incoming) -> TaskFile:
        async with self.work.read() as tx:
            await tx.tasks.get(task_id, owner=actor)
            room = Room(self.largest, left=self.quota - await tx.files.bytes_of(actor))
        room.check(incoming.least_size())
        arriving = await incoming.open()
        extension = extension_of(checked_filename(arriving.filename))
        kind = file_type(extension, arriving.declared_type, allowed=self.allowed)
        content = _Content(arriving, room, kind.inspect())
        name = stored_name(task_id, extension)
        await self.storage.put(name, content.chunks())
        file = TaskFile(
            task_id=task_id,
            owner_id=actor,
            original_filename=arriving.filename,
            stored_name=name,
            content_type=kind.content_type,
            file_size=content.size,
            sha256=content.sha256,
            uploaded_at=self.clock(),
        )
        return await to_the_end(self._record(file))

    async def _record(self, file: TaskFile) -> TaskFile:
        added: TaskFile | None = None
        try:
            async with self.work.write() as tx:
                added = await tx.files.add(file, quota=self.quota)
        except BaseException as error:
            if added is None:
                await self._discard(file)
                raise
            # Lost while committing: nobody said whether it was done, and it may still be going on. So the bytes stay:
            # bytes without a record can be swept up, a record without its bytes can't be mended.
            if isinstance(error, DatabaseAway) and await self._is_recorded(added):
                return added
            raise
        return added

    async def _is_recorded(self, file: TaskFile) -> bool:
        try:
            async with self.work.read() as tx:
                await tx.files.get(file.id, owner=file.owner_id)
        except FileNotFound:
            return False
        return True

    async def _discard(self, file: TaskFile) -> None:
        with suppress(StorageAway):  # what went wrong before is what the caller has to hear
            await self.storage.delete(file.stored_name)


class _Content:
    """What flows into the storage: counted, hashed and looked at on the way, up to the first rule that it breaks."""

    def __init__(self, arriving: IncomingFile, room: Room, inspection: Inspection) -> None:
        self._arriving = arriving
        self._room = room
        self._inspection = inspection
        self._hash = sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._arriving.chunks:
            self.size += len(chunk)
            self._room.check(self.size)
            self._inspection.feed(chunk)
            self._hash.update(chunk)
            yield chunk
        if self.size == 0:
            raise EmptyFile(pointer="/file", reason="empty")
        self._inspection.finish()
        if self._arriving.sha256 not in {None, self.sha256}:
            raise DigestMismatch(pointer="/file", reason="digest")


@dataclass(frozen=True, slots=True)
class ListFiles:
    """The files of a task, oldest first."""

    work: UnitOfWork

    async def __call__(self, actor: UserId, task_id: TaskId) -> Sequence[TaskFile]:
        async with self.work.read() as tx:
            return await tx.files.of_task(task_id, owner=actor)


@dataclass(frozen=True, slots=True)
class GetFile:
    work: UnitOfWork

    async def __call__(self, actor: UserId, task_id: TaskId, file_id: FileId) -> TaskFile:
        async with self.work.read() as tx:
            file = await tx.files.get(file_id, owner=actor)
        if file.task_id != task_id:
            raise FileNotFound
        return file


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file whose bytes are there."""

    file: TaskFile
    storage: FileStorage

    def read(self, start: int, stop: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self.storage.read(self.file.stored_name, start=start, stop=stop)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """Raise `FileContentMissing` if the file is recorded, and its bytes are gone or cut short."""

    work: UnitOfWork
    storage: FileStorage

    async def __call__(self, actor: UserId, file_id: FileId) -> OpenedFile:
        file = await self._recorded(actor, file_id)
        if not await self._is_whole(file):
            await self._recorded(actor, file_id)  # if the record is gone by now too, that is the answer
            raise FileContentMissing
        return OpenedFile(file, self.storage)

    async def _is_whole(self, file: TaskFile) -> bool:
        try:
            return await self.storage.size(file.stored_name) == file.file_size
        except FileContentMissing:
            return False

    async def _recorded(self, actor: UserId, file_id: FileId) -> TaskFile:
        async with self.work.read() as tx:
            return await tx.files.get(file_id, owner=actor)


@dataclass(frozen=True, slots=True)
class RemoveFileContents:
    """Free the bytes of files that are no longer recorded."""

    job_name: ClassVar[str] = "remove-file-contents"
    storage: FileStorage

    async def __call__(self, stored_names: Sequence[str]) -> None:
        for name in stored_names:
            await self.storage.delete(name)


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """The record goes now, the bytes surely and soon."""

    work: UnitOfWork

    async def __call__(self, actor: UserId, file_id: FileId) -> None:
        async with self.work.write() as tx:
            file = await tx.files.get(file_id, owner=actor)
            await tx.files.delete(file)
            await tx.jobs.enqueue(RemoveFileContents, [file.stored_name])
