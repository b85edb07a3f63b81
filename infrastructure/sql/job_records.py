"""The operators' view of jobs in a database, whichever tables they lie in; and of those in the table of ours."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import (
    Boolean,
    Executable,
    FromClause,
    RowMapping,
    Select,
    bindparam,
    case,
    delete,
    false,
    func,
    select,
    update,
)

from application.jobs import JobDepth, JobRecord, JobState
from infrastructure.clock import utc_now
from infrastructure.sql.away import away
from infrastructure.sql.engine import Engines
from infrastructure.sql.tables import UtcDateTime, jobs


class JobTable(Protocol):
    """What differs from table to table. `rows` has a column for each field of `JobRecord`."""

    @property
    def rows(self) -> FromClause: ...
    @property
    def retry(self) -> Executable: ...  # :ids, or :all; :now
    @property
    def purge(self) -> Executable: ...  # :before
    @property
    def prune(self) -> Executable: ...  # :before


class SqlJobRecords:
    def __init__(self, engines: Engines, table: JobTable) -> None:
        self._engines = engines
        self._table = table
        self._rows = table.rows

    async def page(self, *, state: JobState | None = None, limit: int = 100) -> Sequence[JobRecord]:
        query = select(self._rows).order_by(self._rows.c.id).limit(limit)
        if state:
            query = query.where(self._rows.c.state == state)
        return [JobRecord(**row) for row in await self._read(query)]

    async def find(self, job_id: int) -> JobRecord | None:
        found = await self._read(select(self._rows).where(self._rows.c.id == job_id))
        return JobRecord(**found[0]) if found else None

    async def retry(self, job_ids: Sequence[int] | None = None) -> int:
        return await self._write(self._table.retry, all=job_ids is None, ids=[*(job_ids or ())], now=utc_now())

    async def purge(self, *, dead_before: datetime) -> int:
        return await self._write(self._table.purge, before=dead_before)

    async def prune(self, *, before: datetime) -> None:
        await self._write(self._table.prune, before=before)

    async def depths(self) -> Sequence[JobDepth]:
        kind = self._rows.c.name, self._rows.c.state
        figures = func.count().label("count"), func.min(self._rows.c.due_at).label("oldest")
        return [JobDepth(**row) for row in await self._read(select(*kind, *figures).group_by(*kind).order_by(*kind))]

    async def _read(self, query: Select[Any]) -> Sequence[RowMapping]:
        with away():
            async with self._engines.read.connect() as conn:
                return [*(await conn.execute(query)).mappings()]

    async def _write(self, statement: Executable, **values: object) -> int:
        """Return how many rows it touched."""
        with away():
            async with self._engines.write.begin() as conn:
                return (await conn.execute(statement, values)).rowcount


class EmbeddedJobTable:
    """Of the embedded service. To claim a job is to count the delivery and forget when it was due."""

    _state = case(
        (jobs.c.failed_at.is_not(None), "dead"),
        ((jobs.c.attempts > 0) & jobs.c.due_at.is_(None), "running"),
        else_="waiting",
    )
    rows: FromClause = select(
        *jobs.c["id", "name", "attempts", "priority", "enqueued_at", "error", "arguments"],
        _state.label("state"),
        func.coalesce(jobs.c.due_at, jobs.c.enqueued_at).label("due_at"),
    ).subquery("job")
    retry = (
        update(jobs)
        .where(bindparam("all", type_=Boolean) | jobs.c.id.in_(bindparam("ids", expanding=True)))
        .where(jobs.c.failed_at.is_not(None))
        .values(attempts=0, failed_at=None, due_at=bindparam("now", type_=UtcDateTime))
    )
    purge = delete(jobs).where(jobs.c.failed_at < bindparam("before", type_=UtcDateTime))
    prune = delete(jobs).where(false())  # nothing is kept of a job that is done
