"""What the use cases on files are tested with: a database and a storage that can be lost, and a sender."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from application.files import ListFiles
from application.ports import DatabaseAway
from application.uploads import IncomingFile
from domain.file import TaskFile
from domain.task import Task
from infrastructure.memory.database import MemoryDatabase
from infrastructure.memory.storage import MemoryStorage
from infrastructure.memory.unit_of_work import MemoryUnitOfWork

LARGEST = 100
QUOTA = 150
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8


class Work(MemoryUnitOfWork):
    """A database that can be lost: before a commit, or after one that nobody heard of any more."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        super().__init__(self.database, on_jobs=lambda: None)
        self.lost_before_commit = self.lost_after_commit = self.lost = False

    def lose(self, *when: str) -> Callable[[], None]:
        """To be called at some moment."""

        def lose() -> None:
            for moment in when:
                setattr(self, moment, True)

        return lose

    @override
    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        if self.lost:
            raise DatabaseAway
        async with super().read() as tx:
            yield tx

    @override
    @asynccontextmanager
    async def write(self) -> AsyncIterator[Any]:
        async with super().write() as tx:
            yield tx
            if self.lost_before_commit:
                raise DatabaseAway
        if self.lost_after_commit:
            raise DatabaseAway

    def reserved(self) -> list[int]:
        return [upload.reserved for upload in self.database.snapshot().uploads.values()]

    def jobs(self) -> list[tuple[str, list[object]]]:
        return [(job.name, json.loads(job.arguments)[0]) for job in self.database.snapshot().jobs.values()]


class Storage(MemoryStorage):
    def names(self) -> list[str]:
        return list(self._contents)


@dataclass
class Sent:
    """An `Incoming` that counts how far it was read."""

    content: bytes = b"Hello"
    filename: str = "notes.txt"
    declared_type: str = ""
    sha256: str | None = None
    announced: int = 0
    size: int | None = None
    chunk: int = 10
    breaks_off: bool = False
    waits: asyncio.Event | None = None
    at_the_end: Callable[[], None] | None = None
    opened: bool = field(default=False, init=False)
    read: int = field(default=0, init=False)

    def least_size(self) -> int:
        return self.announced

    async def open(self) -> IncomingFile:
        self.opened = True
        return IncomingFile(self.filename, self.declared_type, self.sha256, self.size, self.chunks())

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), self.chunk):
            self.read += 1
            yield self.content[start : start + self.chunk]
        if self.waits:
            self.waits.set()
            await asyncio.Event().wait()
        if self.at_the_end:
            self.at_the_end()
        if self.breaks_off:
            raise ConnectionResetError


async def files_of(work: Work, task: Task) -> list[TaskFile]:
    return list(await ListFiles(work)(task.owner_id, task.id))


async def content(storage: Storage, name: str) -> bytes:
    async with storage.read(name) as chunks:
        return b"".join([chunk async for chunk in chunks])
