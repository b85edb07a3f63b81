"""What pgqueuer does not ask or do itself, on its tables."""

import contextlib
from collections.abc import Iterable, Mapping
from datetime import timedelta

import structlog
from pgqueuer import Job, Queries
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.query_helpers import cell
from pgqueuer.domain.models import TracebackRecord
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.driver import Driver
from typing_extensions import override

from infrastructure.jobs import UNKNOWN_JOB
from infrastructure.pgqueuer.driver import AWAY
from infrastructure.pgqueuer.schema import NOTIFY, SETTINGS

# As pgqueuer does it, but for a number of jobs of each kind; and `attempts` counts the deaths of workers too. pgqueuer
# counts failures only, and would retry a job that kills its worker for ever.
_CLAIM = """
WITH kind AS (
    SELECT * FROM unnest($1::text[], $2::int[]) AS kind (name, slots)
), due AS MATERIALIZED (
    SELECT job.id FROM kind CROSS JOIN LATERAL (
        SELECT id FROM (
            SELECT id FROM pgqueuer
            WHERE entrypoint = kind.name AND status = 'picked' AND heartbeat < now() - $4::interval
            LIMIT kind.slots FOR UPDATE SKIP LOCKED
        ) AS orphaned
        UNION ALL
        SELECT id FROM (
            SELECT id FROM pgqueuer
            WHERE entrypoint = kind.name AND status = 'queued' AND execute_after <= now()
            ORDER BY priority DESC, id
            LIMIT kind.slots FOR UPDATE SKIP LOCKED
        ) AS queued
        LIMIT kind.slots
    ) AS job
), claimed AS (
    UPDATE pgqueuer SET status = 'picked', updated = now(), heartbeat = now(), queue_manager_id = $3,
        attempts = attempts + (status = 'picked')::int
    WHERE id IN (SELECT id FROM due)
    RETURNING *
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
    SELECT id, status, entrypoint, priority FROM claimed
)
SELECT * FROM claimed ORDER BY priority DESC, id
"""

STOPPED = "stopped"
_PUT_BACK = f"""
WITH told AS ({NOTIFY})
UPDATE pgqueuer SET status = 'queued', updated = now(), queue_manager_id = NULL WHERE id = $1 AND queue_manager_id = $2
"""  # noqa: S608  nothing of a stranger's

_NEXT_DUE_IN = """
SELECT min(execute_after) - now() AS due_in FROM pgqueuer WHERE entrypoint = ANY($1::text[]) AND status = 'queued'
"""

_BURY_UNKNOWN = """
WITH unknown AS (
    SELECT id FROM pgqueuer
    WHERE status IN ('queued', 'picked') AND entrypoint <> ALL($1::text[])
        AND greatest(heartbeat, execute_after) < now() - $2::interval
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
            if traceback_record and traceback_record.exception_message == STOPPED:  # pgqueuer would count it
                await self.driver.execute(_PUT_BACK, job.id, job.queue_manager_id)
            else:
                await super().retry_job(job, delay, traceback_record)

    async def claim(
        self, slots: Mapping[QueueEntrypoint, int], manager: QueueManagerId, *, lease: timedelta
    ) -> list[Job]:
        """The most urgent jobs of each kind, as many as it has slots; first those whose worker lost its lease."""
        rows = await self.driver.fetch(_CLAIM, list(slots), list(slots.values()), manager, lease)
        return [Job.model_validate(row) for row in rows]

    async def next_due_in(self, kinds: Iterable[QueueEntrypoint]) -> timedelta | None:
        """Until the next queued job of these kinds is due; not positive if it is, None if there is none."""
        rows = await self.driver.fetch(_NEXT_DUE_IN, list(kinds))
        return cell(rows[0], "due_in", timedelta) if rows[0]["due_in"] is not None else None

    async def bury_unknown(self, known: list[str], *, after: timedelta) -> None:
        """Not at once: during an update, workers of the new release may be on their way."""
        for row in await self.driver.fetch(_BURY_UNKNOWN, known, after, UNKNOWN_JOB):
            logger.error("job buried", job=row["entrypoint"], id=row["job_id"], error=UNKNOWN_JOB)
