"""What pgqueuer does not ask or do itself, on its tables."""

import contextlib
from datetime import timedelta

import structlog
from pgqueuer import Job, Queries
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.models import TracebackRecord
from pgqueuer.ports.driver import Driver
from typing_extensions import override

from infrastructure.jobs import UNKNOWN_JOB
from infrastructure.pgqueuer.driver import AWAY
from infrastructure.pgqueuer.schema import SETTINGS

# pgqueuer counts failures; a job that kills its worker never fails. Each claim is logged, so that can be counted,
# from when an operator last sent the job back.
_COUNT_DELIVERIES = """
SELECT count(*) AS deliveries FROM pgqueuer_log WHERE job_id = $1 AND status = 'picked'
AND id > coalesce((SELECT max(id) FROM pgqueuer_log WHERE job_id = $1 AND status = 'failed'), 0)
"""

_BURY_UNKNOWN = """
WITH unknown AS (
    SELECT id FROM pgqueuer
    WHERE status IN ('queued', 'picked') AND entrypoint <> ALL($1::text[]) AND heartbeat < now() - $2::interval
    FOR UPDATE SKIP LOCKED
), buried AS (
    UPDATE pgqueuer SET status = 'failed', updated = now(), queue_manager_id = NULL
    WHERE id IN (SELECT id FROM unknown)
    RETURNING id, entrypoint, priority
)
INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, traceback)
SELECT id, 'failed', entrypoint, priority, jsonb_build_object(
    'job_id', id, 'timestamp', now(), 'exception_type', 'JobBuried', 'exception_message', $3::text,
    'traceback', '', 'additional_context', NULL
) FROM buried
RETURNING job_id, entrypoint
"""

logger = structlog.get_logger()


class JobQueries(Queries):
    def __init__(self, driver: Driver) -> None:
        super().__init__(
            driver,
            qbe=QueryBuilderEnvironment(SETTINGS),
            qbq=QueryQueueBuilder(SETTINGS),
            qbs=QuerySchedulerBuilder(SETTINGS),
        )

    @override
    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        # pgqueuer would take a failure of this for one of the job, and its last: better to let its lease run out.
        with contextlib.suppress(*AWAY):
            await super().retry_job(job, delay, traceback_record)

    async def count_deliveries(self, job: Job) -> int:
        rows = await self.driver.fetch(_COUNT_DELIVERIES, job.id)
        return int(str(rows[0]["deliveries"]))

    async def bury_unknown(self, known: list[str], *, after: timedelta) -> None:
        """Not at once: during an update, workers of the new release may be on their way."""
        for row in await self.driver.fetch(_BURY_UNKNOWN, known, after, UNKNOWN_JOB):
            logger.error("job buried", job=row["entrypoint"], id=row["job_id"], error=UNKNOWN_JOB)
