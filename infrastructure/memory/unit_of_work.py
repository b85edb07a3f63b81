"""The unit of work over dicts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from application.jobs import JobQueue
from infrastructure.enqueued import EnqueuedJobs, refuse
from infrastructure.memory.database import MemoryDatabase, MemoryState
from infrastructure.memory.files import MemoryFileRepository
from infrastructure.memory.jobs import MemoryJobQueue
from infrastructure.memory.reminders import MemoryReminderRepository
from infrastructure.memory.schedules import MemorySchedules
from infrastructure.memory.stats import MemoryStatsRepository
from infrastructure.memory.tasks import MemoryTaskRepository
from infrastructure.memory.uploads import MemoryUploadRepository
from infrastructure.memory.users import MemoryUserRepository


class MemoryTransaction:
    def __init__(self, state: MemoryState, database: MemoryDatabase, jobs: JobQueue) -> None:
        self.users = MemoryUserRepository(state, database.ids)
        self.tasks = MemoryTaskRepository(state, database.ids)
        self.files = MemoryFileRepository(state, database.ids)
        self.stats = MemoryStatsRepository(state)
        self.uploads = MemoryUploadRepository(state)
        self.reminders = MemoryReminderRepository(state)
        self.schedules = MemorySchedules(state)
        self.jobs = jobs


class MemoryUnitOfWork:
    def __init__(self, database: MemoryDatabase, on_jobs: Callable[[], None]) -> None:
        """`on_jobs` is called after each commit that enqueued something."""
        self._database = database
        self._on_jobs = on_jobs

    @asynccontextmanager
    async def read(self) -> AsyncIterator[MemoryTransaction]:
        try:
            yield MemoryTransaction(self._database.snapshot(), self._database, EnqueuedJobs(refuse))
        except TypeError as error:
            raise RuntimeError("a write needs work.write()") from error

    @asynccontextmanager
    async def write(self) -> AsyncIterator[MemoryTransaction]:
        async with self._database.draft() as draft:
            jobs = EnqueuedJobs(MemoryJobQueue(draft.jobs, self._database.ids))
            yield MemoryTransaction(draft, self._database, jobs)
        if jobs.names:
            self._on_jobs()

    async def ping(self) -> None:
        return
