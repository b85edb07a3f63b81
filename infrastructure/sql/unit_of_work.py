"""One connection per unit of work: by itself for a read, in one transaction for a write."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from application.jobs import JobQueue
from infrastructure.enqueued import Add, EnqueuedJobs, refuse
from infrastructure.sql.away import away
from infrastructure.sql.engine import Engines
from infrastructure.sql.files import SqlFileRepository
from infrastructure.sql.reminders import SqlReminderRepository
from infrastructure.sql.schedules import SqlSchedules
from infrastructure.sql.session import Session
from infrastructure.sql.stats import SqlStatsRepository
from infrastructure.sql.tasks import SqlTaskRepository
from infrastructure.sql.uploads import SqlUploadRepository
from infrastructure.sql.users import SqlUserRepository


class SqlTransaction:
    def __init__(self, session: Session, jobs: JobQueue) -> None:
        self.users = SqlUserRepository(session)
        self.tasks = SqlTaskRepository(session)
        self.files = SqlFileRepository(session)
        self.stats = SqlStatsRepository(session)
        self.uploads = SqlUploadRepository(session)
        self.reminders = SqlReminderRepository(session)
        self.schedules = SqlSchedules(session)
        self.jobs = jobs


class SqlUnitOfWork:
    def __init__(self, engines: Engines, jobs: Callable[[AsyncConnection], Add], on_jobs: Callable[[], None]) -> None:
        """`jobs` stores those of a transaction; `on_jobs` is called after each commit that enqueued something."""
        self._engines = engines
        self._jobs = jobs
        self._on_jobs = on_jobs

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlTransaction]:
        with away():
            async with self._engines.read.connect() as conn:
                yield SqlTransaction(Session(conn, writes=False), EnqueuedJobs(refuse))

    @asynccontextmanager
    async def write(self) -> AsyncIterator[SqlTransaction]:
        with away():
            async with self._engines.write.begin() as conn:
                jobs = EnqueuedJobs(self._jobs(conn))
                yield SqlTransaction(Session(conn, writes=True), jobs)
        if jobs.names:
            self._on_jobs()

    async def ping(self) -> None:
        with away():
            async with self._engines.read.connect() as conn:
                await conn.execute(text("SELECT 1"))
