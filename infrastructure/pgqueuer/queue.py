"""Enqueues on the very connection, and so in the very transaction, of the change that the job belongs to."""

from dataclasses import dataclass

from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from sqlalchemy.ext.asyncio import AsyncConnection

from infrastructure.enqueued import NewJob
from infrastructure.pgqueuer.schema import SETTINGS

_ENQUEUE = QueryQueueBuilder(settings=SETTINGS).build_enqueue_query(on_conflict="skip")


@dataclass(frozen=True, slots=True)
class PgqueuerJobQueue:
    """Stores the jobs of one transaction."""

    conn: AsyncConnection

    async def __call__(self, job: NewJob) -> None:
        # Through SQLAlchemy, which begins the transaction with its first statement; one that went past it to the driver
        # would escape the transaction. A list each: priority, entrypoint, payload, delay, dedupe key, headers.
        row = [job.priority], [job.name], [job.arguments.encode()], [job.delay], [job.unique], ["null"]
        await self.conn.exec_driver_sql(_ENQUEUE, row)
