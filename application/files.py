"""Use cases on files that are stored: on deletion the record goes first, and the bytes second."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar

from application.ports import FileStorage, UnitOfWork
from domain.file import FileContentMissing, FileId, FileNotFound, TaskFile
from domain.task import TaskId
from domain.user import UserId


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
