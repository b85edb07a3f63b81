"""Enqueues on the very connection, and so in the very transaction, of the change that the job belongs to."""

from datetime import timedelta
from typing import ParamSpec

from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from sqlalchemy.ext.asyncio import AsyncConnection

from application.ports import Job
from infrastructure.jobs import pack
from infrastructure.pgqueuer.schema import SETTINGS

P = ParamSpec("P")

_ENQUEUE = QueryQueueBuilder(settings=SETTINGS).build_enqueue_query()


class PgqueuerJobQueue:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def enqueue(self, job: type[Job[P]], *args: P.args, **kwargs: P.kwargs) -> None:
        # Through SQLAlchemy, which begins the transaction with its first statement; one that went past it to the driver
        # would escape the transaction. A list each: priority, entrypoint, payload, delay, dedupe key, headers.
        row = [0], [job.job_name], [pack(args, kwargs).encode()], [timedelta()], [None], ["null"]
        await self._conn.exec_driver_sql(_ENQUEUE, row)
