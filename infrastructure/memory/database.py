"""All state in dicts of frozen rows: a write works on a copy and publishes it as a whole."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from domain.file import FileId, TaskFile
from domain.task import Task, TaskId
from domain.upload import Upload
from domain.user import NotAuthenticated, User, UserId

if TYPE_CHECKING:
    from infrastructure.memory.jobs import StoredJob


@dataclass
class MemoryState:
    users: MutableMapping[UserId, User] = field(default_factory=dict)
    versions: MutableMapping[UserId, int] = field(default_factory=dict)
    tasks: MutableMapping[TaskId, Task] = field(default_factory=dict)
    files: MutableMapping[FileId, TaskFile] = field(default_factory=dict)
    uploads: MutableMapping[str, Upload] = field(default_factory=dict)
    jobs: "MutableMapping[int, StoredJob]" = field(default_factory=dict)

    def map(self, wrap: Callable[[Any], Any]) -> "MemoryState":
        return MemoryState(**{name: wrap(rows) for name, rows in vars(self).items()})

    def touch(self, owner: UserId) -> None:
        """Mark the owner's statistics as changed. Raise `NotAuthenticated` if the owner is gone."""
        if owner not in self.versions:
            raise NotAuthenticated
        self.versions[owner] += 1

    def held(self, owner: UserId, now: datetime) -> int:
        """The bytes of the owner's quota that files and live uploads hold."""
        files = sum(file.file_size for file in self.files.values() if file.owner_id == owner)
        live = (one.reserved for one in self.uploads.values() if one.owner_id == owner and one.holds_room(now))
        return files + sum(live)


class MemoryDatabase:
    def __init__(self) -> None:
        self._state = MemoryState()
        self._lock = asyncio.Lock()
        self.ids = itertools.count(1)

    def snapshot(self) -> MemoryState:
        """What is committed; writing to it raises `TypeError`."""
        return self._state.map(MappingProxyType)

    @asynccontextmanager
    async def draft(self) -> AsyncIterator[MemoryState]:
        """A copy that becomes the committed state on a clean exit; one at a time."""
        async with self._lock:
            draft = self._state.map(dict)
            yield draft
            self._state = draft
