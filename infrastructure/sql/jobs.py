"""Jobs in a table: the queue inside a transaction, and what the runner of an embedded service sees of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from infrastructure.enqueued import NewJob
from infrastructure.jobs import SLOTS, Delivery, fitting
from infrastructure.sql.engine import Engines
from infrastructure.sql.tables import jobs

LOOKED_AT = 100  # jobs at a time, so that a long queue does not make looking into it long

_due: ColumnElement[bool] = jobs.c.failed_at.is_(None) & (
    jobs.c.due_at.is_(None) | (jobs.c.due_at <= bindparam("now", type_=jobs.c.due_at.type))
)
_MOST_URGENT = (
    select(jobs.c.id, jobs.c.name)
    .where(_due, jobs.c.name.not_in(bindparam("full", expanding=True)))
    .where(jobs.c.id.not_in(bindparam("claimed", expanding=True)))
    .order_by(jobs.c.priority.desc(), jobs.c.id)
    .limit(LOOKED_AT)
)
_CLAIM = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
    .values(attempts=jobs.c.attempts + 1, due_at=None)  # and so it is known to run
    .returning(jobs.c.id, jobs.c.name, jobs.c.arguments, jobs.c.attempts)
)
_ENQUEUE = insert(jobs).on_conflict_do_nothing(index_elements=[jobs.c.unique_key])


@dataclass(frozen=True, slots=True)
class SqlJobQueue:
    """Stores the jobs of one transaction."""

    conn: AsyncConnection

    async def __call__(self, job: NewJob) -> None:
        values = {"name": job.name, "arguments": job.arguments, "priority": job.priority, "unique_key": job.unique}
        await self.conn.execute(_ENQUEUE, values | {"due_at": job.due_at()})


class SqlJobStore:
    """Who has claimed a job is known to this process only: when it dies, its jobs are free."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._claimed: set[int] = set()

    async def claim(self, running: Mapping[str, int], *, now: datetime) -> list[Delivery]:
        full = [name for name, number in running.items() if number >= SLOTS]
        async with self._engines.read.connect() as conn:  # so that an idle runner takes no write lock
            due = {"now": now, "full": full, "claimed": sorted(self._claimed)}
            rows = [(row.id, row.name) for row in await conn.execute(_MOST_URGENT, due)]
        ids = fitting([row for row in rows if row[0] not in self._claimed], running)
        if not ids:
            return []
        self._claimed.update(ids)
        try:
            async with self._engines.write.begin() as conn:
                deliveries = [Delivery(*row) for row in await conn.execute(_CLAIM, {"ids": ids})]
        except BaseException:  # nobody learns of these, so nobody would do them
            self._claimed.difference_update(ids)
            raise
        return sorted(deliveries, key=lambda delivery: ids.index(delivery.id))

    async def finish(self, delivery: Delivery) -> None:
        async with self._engines.write.begin() as conn:
            await conn.execute(delete(jobs).where(jobs.c.id == delivery.id))
        self._claimed.discard(delivery.id)

    async def put_back(self, delivery: Delivery, error: str, *, due_at: datetime) -> None:
        await self._update(delivery, error=error, due_at=due_at)

    async def bury(self, delivery: Delivery, error: str, *, at: datetime) -> None:
        await self._update(delivery, error=error, failed_at=at, unique_key=None)

    async def _update(self, delivery: Delivery, **values: object) -> None:
        async with self._engines.write.begin() as conn:
            await conn.execute(update(jobs).where(jobs.c.id == delivery.id).values(**values))
        self._claimed.discard(delivery.id)
