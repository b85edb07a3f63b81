"""Statistics over dicts."""

from datetime import datetime

from domain.stats import Day, TaskStats, tally
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

    async def recount(self, owner: UserId) -> bool:
        """Nothing is kept that could be wrong; but a recount is a write, and a read refuses it."""
        self._state.versions[owner] = await self.version(owner)
        return False
