"""The operators' view of jobs in a database, whichever tables they lie in; and of those in the table of ours."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import FromClause, case, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from application.jobs import JobDepth, JobRecord, JobState
from infrastructure.sql.away import away
from infrastructure.sql.engine import Engines
from infrastructure.sql.tables import jobs


class JobTable(Protocol):
    """What differs from table to table. `rows` has a column for each field of `JobRecord`."""

    @property
    def rows(self) -> FromClause: ...
    async def retry(self, conn: AsyncConnection, job_ids: Sequence[int] | None) -> int: ...
    async def purge(self, conn: AsyncConnection, dead_before: datetime) -> int: ...
    async def prune(self, conn: AsyncConnection, before: datetime) -> None: ...


class SqlJobRecords:
    def __init__(self, engines: Engines, table: JobTable) -> None:
        self._engines = engines
        self._table = table
        self._rows = table.rows

    async def page(self, *, state: JobState | None = None, limit: int = 100) -> Sequence[JobRecord]:
        query = select(self._rows).order_by(self._rows.c.id).limit(limit)
        if state:
            query = query.where(self._rows.c.state == state)
        with away():
            async with self._engines.read.connect() as conn:
                return [JobRecord(**row) for row in (await conn.execute(query)).mappings()]

    async def find(self, job_id: int) -> JobRecord | None:
        with away():
            async with self._engines.read.connect() as conn:
                found = await conn.execute(select(self._rows).where(self._rows.c.id == job_id))
                row = found.mappings().first()
        return JobRecord(**row) if row else None

    async def retry(self, job_ids: Sequence[int] | None = None) -> int:
        with away():
            async with self._engines.write.begin() as conn:
                return await self._table.retry(conn, job_ids)

    async def purge(self, *, dead_before: datetime) -> int:
        with away():
            async with self._engines.write.begin() as conn:
                return await self._table.purge(conn, dead_before)

    async def prune(self, *, before: datetime) -> None:
        with away():
            async with self._engines.write.begin() as conn:
                await self._table.prune(conn, before)

    async def depths(self) -> Sequence[JobDepth]:
        kind = self._rows.c.name, self._rows.c.state
        query = select(*kind, func.count(), func.min(self._rows.c.due_at)).group_by(*kind).order_by(*kind)
        with away():
            async with self._engines.read.connect() as conn:
                return [JobDepth(*row) for row in await conn.execute(query)]


class OwnJobTable:
    """Of the embedded service. To claim a job is to count the delivery and forget when it was due."""

    _state = case(
        (jobs.c.failed_at.is_not(None), "dead"),
        ((jobs.c.attempts > 0) & jobs.c.due_at.is_(None), "running"),
        else_="waiting",
    )
    rows: FromClause = select(
        jobs.c.id,
        jobs.c.name,
        _state.label("state"),
        jobs.c.attempts,
        jobs.c.priority,
        jobs.c.enqueued_at,
        func.coalesce(jobs.c.due_at, jobs.c.enqueued_at).label("due_at"),
        jobs.c.error,
        jobs.c.arguments,
    ).subquery("job")

    async def retry(self, conn: AsyncConnection, job_ids: Sequence[int] | None) -> int:
        again = update(jobs).where(jobs.c.failed_at.is_not(None)).values(attempts=0, failed_at=None, due_at=None)
        if job_ids is not None:
            again = again.where(jobs.c.id.in_(job_ids))
        return (await conn.execute(again)).rowcount

    async def purge(self, conn: AsyncConnection, dead_before: datetime) -> int:
        return (await conn.execute(delete(jobs).where(jobs.c.failed_at < dead_before))).rowcount

    async def prune(self, conn: AsyncConnection, before: datetime) -> None:
        """Nothing is kept."""
