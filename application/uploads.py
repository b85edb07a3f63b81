"""The use case that takes files in: room in the quota first, then the bytes, then the record."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Protocol

from application.cancellation import to_the_end
from application.ports import Clock, DatabaseAway, FileStorage, StorageAway, UnitOfWork
from domain.file import (
    DigestMismatch,
    EmptyFile,
    FileNotFound,
    FileTooLarge,
    QuotaExceeded,
    Room,
    TaskFile,
    checked_filename,
    extension_of,
    stored_name,
)
from domain.file_content import Inspection
from domain.file_type import file_type
from domain.task import TaskId
from domain.upload import LEASE, SILENCE, Upload
from domain.user import UserId


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file as its sender describes it. `declared_type` is empty, `sha256` and `size` are None, where nothing is said
    of it. A body that does not end as it should makes the file a little smaller or larger than `size`."""

    filename: str
    declared_type: str
    sha256: str | None
    size: int | None
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
    abandoned_after: timedelta  # what is not seen for so long is given up by the reconciler

    async def __call__(self, actor: UserId, task_id: TaskId, incoming: Incoming) -> TaskFile:
        async with self.work.read() as tx:
            left = await tx.uploads.left(task_id, owner=actor, quota=self.quota, now=self.clock())
        Room(self.largest, left).check(max(1, incoming.least_size()))  # no file is empty
        arriving = await incoming.open()
        extension = extension_of(checked_filename(arriving.filename))
        kind = file_type(extension, arriving.declared_type, allowed=self.allowed)
        upload = await self._begin(stored_name(task_id, extension), actor, arriving.size)
        # What tells its size can't grow by more than the end of its body; recording judges that.
        room = Room(self.largest, upload.reserved if arriving.size is None else self.quota)
        content = _Content(arriving, room, kind.inspect())
        try:
            await self.storage.put(upload.stored_name, self._renewed(upload, content.chunks()))
        except BaseException:
            await to_the_end(self._end(upload.stored_name))
            raise
        file = TaskFile(
            task_id=task_id,
            owner_id=actor,
            original_filename=arriving.filename,
            stored_name=upload.stored_name,
            content_type=kind.content_type,
            file_size=content.size,
            sha256=content.sha256,
            uploaded_at=self.clock(),
        )
        return await to_the_end(self._record(file))

    async def _begin(self, name: str, owner: UserId, size: int | None) -> Upload:
        """Reserve the size; where that is not told, as much as a file may have, or what is left."""
        asked = self.largest if size is None else min(size, self.largest)
        upload = Upload(name, owner, asked, self.clock())
        try:
            async with self.work.write() as tx:
                return await tx.uploads.begin(upload, quota=self.quota, least=1 if size is None else asked)
        except QuotaExceeded:
            if size is not None and size > self.largest:
                raise FileTooLarge from None  # whatever is left
            raise

    async def _renewed(self, upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass the chunks on, and renew the lease of the upload now and then."""
        seen_at, often = upload.seen_at, min(LEASE, max(self.abandoned_after, SILENCE)) / 3
        async for chunk in chunks:
            yield chunk
            if (now := self.clock()) - seen_at < often:
                continue
            seen_at = now
            with suppress(DatabaseAway):  # it may be back by the time that the file is recorded
                async with self.work.write() as tx:
                    await tx.uploads.renew(upload.stored_name, at=now)

    async def _end(self, name: str) -> None:
        with suppress(DatabaseAway):  # then the room is free as soon as the upload is not seen any more
            async with self.work.write() as tx:
                await tx.uploads.end(name)

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
            # bytes without a record can be swept up, a record without its bytes can't be mended. Their room is free as
            # soon as the upload is not seen any more.
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
        await self._end(file.stored_name)


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
