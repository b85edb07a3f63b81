"""Jobs in a table: the queue inside a transaction, and what the runner of an embedded service sees of it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, text, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from infrastructure.enqueued import NewJob
from infrastructure.jobs import SLOTS, Delivery
from infrastructure.sql.engine import Engines
from infrastructure.sql.tables import jobs

# Kind by kind, each from the front of its queue, as the index has them: a look does not grow with what waits.
FITTING = text(
    """
WITH RECURSIVE kind (name) AS (
    SELECT min(name) FROM jobs UNION ALL
    SELECT (SELECT min(name) FROM jobs WHERE name > kind.name) FROM kind WHERE kind.name IS NOT NULL
)
SELECT jobs.id, jobs.name FROM kind JOIN jobs ON jobs.id IN (
    SELECT id FROM jobs AS job WHERE job.name = kind.name AND failed_at IS NULL AND (due_at IS NULL OR due_at <= :now)
    AND id NOT IN :claimed ORDER BY priority DESC, id LIMIT :slots
)
ORDER BY jobs.priority DESC, jobs.id
"""
).bindparams(bindparam("now", type_=jobs.c.due_at.type), bindparam("claimed", expanding=True))
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
        self._claimed: dict[int, str] = {}  # and their kinds

    async def claim(self, *, now: datetime) -> list[Delivery]:
        looked_for = {"now": now, "claimed": list(self._claimed), "slots": SLOTS}
        async with self._engines.read.connect() as conn:  # so that an idle runner takes no write lock
            fitting = (await conn.execute(FITTING, looked_for)).all()
        ids = self._take(fitting)
        if not ids:
            return []
        try:
            async with self._engines.write.begin() as conn:
                deliveries = [Delivery(*row) for row in await conn.execute(_CLAIM, {"ids": ids})]
        except BaseException:  # nobody learns of these, so nobody would do them
            for job_id in ids:
                del self._claimed[job_id]
            raise
        return sorted(deliveries, key=lambda delivery: ids.index(delivery.id))

    def _take(self, fitting: Iterable[Row[int, str]]) -> list[int]:
        """Those for which there is a slot."""
        running, ids = Counter(self._claimed.values()), []
        for job_id, kind in fitting:
            if running[kind] < SLOTS and job_id not in self._claimed:
                running[kind] += 1
                self._claimed[job_id] = kind
                ids.append(job_id)
        return ids

    async def finish(self, delivery: Delivery) -> None:
        async with self._engines.write.begin() as conn:
            await conn.execute(delete(jobs).where(jobs.c.id == delivery.id))
        self._claimed.pop(delivery.id, None)

    async def keep(self, delivery: Delivery, **changes: Any) -> None:
        async with self._engines.write.begin() as conn:
            await conn.execute(update(jobs).where(jobs.c.id == delivery.id).values(changes))
        self._claimed.pop(delivery.id, None)
