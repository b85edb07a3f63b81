"""Jobs in a table: the queue inside a transaction, and what the runner of an embedded service sees of it."""

from datetime import datetime
from typing import ParamSpec

from sqlalchemy import ColumnElement, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from application.ports import Job
from infrastructure.jobs import Delivery, pack
from infrastructure.sql.engine import Engines
from infrastructure.sql.tables import jobs

P = ParamSpec("P")

_due: ColumnElement[bool] = jobs.c.failed_at.is_(None) & (
    jobs.c.due_at.is_(None) | (jobs.c.due_at <= bindparam("now", type_=jobs.c.due_at.type))
)
_OLDEST_DUE = (
    select(jobs.c.id)
    .where(_due, jobs.c.id.not_in(bindparam("claimed", expanding=True)))
    .order_by(jobs.c.id)
    .limit(bindparam("limit"))
)
_CLAIM = (
    update(jobs)
    .where(jobs.c.id.in_(_OLDEST_DUE))
    .values(attempts=jobs.c.attempts + 1, due_at=None)  # and so it is known to run
    .returning(jobs.c.id, jobs.c.name, jobs.c.arguments, jobs.c.attempts)
)


class SqlJobQueue:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def enqueue(self, job: type[Job[P]], *args: P.args, **kwargs: P.kwargs) -> None:
        await self._conn.execute(insert(jobs), {"name": job.job_name, "arguments": pack(args, kwargs)})


class SqlJobStore:
    """Who has claimed a job is known to this process only: when it dies, its jobs are free."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._claimed: set[int] = set()

    async def claim(self, limit: int, *, now: datetime) -> list[Delivery]:
        async with self._engines.read.connect() as conn:  # so that an idle runner takes no write lock
            due = {"now": now, "claimed": sorted(self._claimed), "limit": 1}
            if (await conn.execute(_OLDEST_DUE, due)).first() is None:
                return []
        deliveries: list[Delivery] = []
        try:
            async with self._engines.write.begin() as conn:
                due = {"now": now, "claimed": sorted(self._claimed), "limit": limit}
                deliveries = sorted(Delivery(*row) for row in await conn.execute(_CLAIM, due))
                self._claimed.update(delivery.id for delivery in deliveries)
        except BaseException:  # nobody learns of these, so nobody would do them
            self._claimed.difference_update(delivery.id for delivery in deliveries)
            raise
        return deliveries

    async def finish(self, delivery: Delivery) -> None:
        async with self._engines.write.begin() as conn:
            await conn.execute(delete(jobs).where(jobs.c.id == delivery.id))
        self._claimed.discard(delivery.id)

    async def put_back(self, delivery: Delivery, error: str, *, due_at: datetime) -> None:
        await self._update(delivery, error=error, due_at=due_at)

    async def bury(self, delivery: Delivery, error: str, *, at: datetime) -> None:
        await self._update(delivery, error=error, failed_at=at)

    async def _update(self, delivery: Delivery, **values: object) -> None:
        async with self._engines.write.begin() as conn:
            await conn.execute(update(jobs).where(jobs.c.id == delivery.id).values(**values))
        self._claimed.discard(delivery.id)
