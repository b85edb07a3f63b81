"""One connection per unit of work: by itself for a read, in one transaction for a write."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncConnection

from application.ports import DatabaseAway, JobQueue
from infrastructure.enqueued import NoJobs, NoticedJobs
from infrastructure.sql.engine import Engines
from infrastructure.sql.files import SqlFileRepository
from infrastructure.sql.session import Session
from infrastructure.sql.stats import SqlStatsRepository
from infrastructure.sql.tasks import SqlTaskRepository
from infrastructure.sql.users import SqlUserRepository

AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, OSError, TimeoutError)
# Classes of SQLSTATE: no connection, wrong password, no such database, deadlock, full, not ready, told to stop, disk.
AWAY_STATES = ("08", "28", "3D", "40", "53", "55", "57", "58")
READ_ONLY = "25006"  # a server that was demoted


class SqlTransaction:
    def __init__(self, session: Session, jobs: JobQueue) -> None:
        self.users = SqlUserRepository(session)
        self.tasks = SqlTaskRepository(session)
        self.files = SqlFileRepository(session)
        self.stats = SqlStatsRepository(session)
        self.jobs = jobs


class SqlUnitOfWork:
    def __init__(
        self, engines: Engines, jobs: Callable[[AsyncConnection], JobQueue], on_jobs: Callable[[], None]
    ) -> None:
        """`jobs` makes the queue of a transaction; `on_jobs` is called after each commit that enqueued something."""
        self._engines = engines
        self._jobs = jobs
        self._on_jobs = on_jobs

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlTransaction]:
        with _away():
            async with self._engines.read.connect() as conn:
                yield SqlTransaction(Session(conn, writes=False), NoJobs())

    @asynccontextmanager
    async def write(self) -> AsyncIterator[SqlTransaction]:
        with _away():
            async with self._engines.write.begin() as conn:
                jobs = NoticedJobs(self._jobs(conn))
                yield SqlTransaction(Session(conn, writes=True), jobs)
        if jobs.enqueued:
            self._on_jobs()

    async def ping(self) -> None:
        with _away():
            async with self._engines.read.connect() as conn:
                await conn.execute(text("SELECT 1"))


@contextmanager
def _away() -> Iterator[None]:
    """A database that is gone, full, read-only or too slow is `DatabaseAway`; a mistake of ours stays an error."""
    try:
        yield
    except AWAY as error:
        raise DatabaseAway from error
    except exc.DBAPIError as error:
        state = str(getattr(error.orig, "sqlstate", None) or "")
        if error.connection_invalidated or state == READ_ONLY or state.startswith(AWAY_STATES):
            raise DatabaseAway from error
        raise
