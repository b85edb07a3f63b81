"""Statistics over dicts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from heapq import nsmallest

from domain.stats import Day, TaskStats, tally
from domain.task import Task
from domain.user import NotAuthenticated, UserId
from infrastructure.memory.database import MemoryState


class MemoryStatsRepository:
    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def version(self, owner: UserId) -> int:
        if owner not in self._state.versions:
            raise NotAuthenticated
        return self._state.versions[owner]

    async def tally(self, owner: UserId, *, today: Day, now: datetime) -> TaskStats:
        await self.version(owner)
        tasks = [task for task in self._state.tasks.values() if task.owner_id == owner]
        files = [file for file in self._state.files.values() if file.owner_id == owner]
        return tally(tasks, files, today=today, now=now)

    async def audit(self, *, after: UserId, limit: int = 100) -> Sequence[tuple[UserId, bool]]:
        owners = nsmallest(limit, (owner for owner in self._state.users if owner > after))
        return [(owner, not self._miscounted(owner)) for owner in owners]

    async def recount(self, owner: UserId) -> bool:
        miscounted = self._miscounted(owner)
        self._state.versions[owner] = await self.version(owner) + bool(miscounted)  # a write: a read refuses it
        self._state.tasks.update({task.id: task for task in miscounted})
        return bool(miscounted)

    def _miscounted(self, owner: UserId) -> list[Task]:
        """The tasks whose number of files is wrong, mended; no other number is kept."""
        files = Counter(file.task_id for file in self._state.files.values())
        mine = [task for task in self._state.tasks.values() if task.owner_id == owner]
        return [
            replace(task, file_count=files[task.id], version=task.version + 1)
            for task in mine
            if task.file_count != files[task.id]
        ]
