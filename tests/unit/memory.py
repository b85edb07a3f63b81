"""The unit of work in memory, and what it was told to do later."""

import json

from infrastructure.memory.database import MemoryDatabase
from infrastructure.memory.unit_of_work import MemoryUnitOfWork


class Work(MemoryUnitOfWork):
    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.woken = 0
        super().__init__(self.database, on_jobs=self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def jobs(self) -> list[tuple[str, list[object]]]:
        """The name and the arguments of each job that was committed, in order."""
        return [(job.name, json.loads(job.arguments)[0]) for job in self.database.snapshot().jobs.values()]
