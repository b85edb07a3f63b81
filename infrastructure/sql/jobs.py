"""Jobs in a table: the queue inside a transaction, and what the runner of an embedded service sees of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from infrastructure.enqueued import NewJob
from infrastructure.jobs import SLOTS, Delivery
from infrastructure.sql.engine import Engines
from infrastructure.sql.tables import jobs

_due: ColumnElement[bool] = jobs.c.failed_at.is_(None) & (
    jobs.c.due_at.is_(None) | (jobs.c.due_at <= bindparam("now", type_=jobs.c.due_at.type))
)
_claimed = jobs.c.id.in_(bindparam("claimed", expanding=True))
_urgency = jobs.c.priority.desc(), jobs.c.id
_place = func.row_number().over(partition_by=jobs.c.name, order_by=(_claimed.desc(), *_urgency))
_queue = select(jobs.c.id, jobs.c.priority, _claimed.label("claimed"), _place.label("place")).where(_due).subquery()
_FITTING = (
    select(_queue.c.id)
    .where(_queue.c.place <= SLOTS, ~_queue.c.claimed)
    .order_by(_queue.c.priority.desc(), _queue.c.id)
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

    async def claim(self, *, now: datetime) -> list[Delivery]:
        async with self._engines.read.connect() as conn:  # so that an idle runner takes no write lock
            fitting = await conn.scalars(_FITTING, {"now": now, "claimed": sorted(self._claimed)})
        ids = [job_id for job_id in fitting if job_id not in self._claimed]
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

    async def keep(self, delivery: Delivery, **changes: Any) -> None:
        async with self._engines.write.begin() as conn:
            await conn.execute(update(jobs).where(jobs.c.id == delivery.id).values(changes))
        self._claimed.discard(delivery.id)
