"""pgqueuer's tables, as far as they are the operators' view of jobs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, DateTime, FromClause, Integer, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

# Each claim is logged, and so is each error, as a type only. A dead job's attempts are those before its last failure,
# another's those since.
_ROWS = """
SELECT id, entrypoint AS name, priority, created AS enqueued_at, execute_after AS due_at,
    CASE status WHEN 'queued' THEN 'waiting' WHEN 'picked' THEN 'running' ELSE 'dead' END AS state,
    coalesce(convert_from(payload, 'UTF8'), '') AS arguments,
    (SELECT count(*) FROM pgqueuer_log WHERE job_id = job.id AND status = 'picked' AND id > coalesce((
        SELECT id FROM pgqueuer_log WHERE job_id = job.id AND status = 'failed'
        ORDER BY id DESC OFFSET CASE job.status WHEN 'failed' THEN 1 ELSE 0 END LIMIT 1
    ), 0)) AS attempts,
    (SELECT traceback ->> 'exception_message' FROM pgqueuer_log WHERE job_id = job.id AND traceback IS NOT NULL
        ORDER BY id DESC LIMIT 1) AS error
FROM pgqueuer AS job
"""

# As pgqueuer's own, but that another job may have taken the unique key meanwhile, and that a job which no worker knows
# is given as much time as a new one.
_RETRY = """
WITH requeued AS (
    UPDATE pgqueuer SET status = 'queued', execute_after = now(), updated = now(), heartbeat = now(), attempts = 0,
        queue_manager_id = NULL, dedupe_key = NULL
    WHERE status = 'failed' AND (:ids IS NULL OR id = ANY(:ids))
    RETURNING id, entrypoint, priority
)
INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority) SELECT id, 'queued', entrypoint, priority FROM requeued
"""

_PURGE = "DELETE FROM pgqueuer WHERE status = 'failed' AND updated < :before"

_PRUNE = """
DELETE FROM pgqueuer_log USING (
    SELECT id FROM pgqueuer_log AS old WHERE created < :before
    AND NOT EXISTS (SELECT FROM pgqueuer WHERE pgqueuer.id = old.job_id)
) AS old WHERE pgqueuer_log.id = old.id
"""


class PgqueuerJobTable:
    rows: FromClause = (
        text(_ROWS)
        .columns(
            id=BigInteger(),
            name=Text(),
            priority=Integer(),
            enqueued_at=DateTime(timezone=True),
            due_at=DateTime(timezone=True),
            state=Text(),
            arguments=Text(),
            attempts=BigInteger(),
            error=Text(),
        )
        .subquery("job")
    )

    async def retry(self, conn: AsyncConnection, job_ids: Sequence[int] | None) -> int:
        ids = bindparam("ids", None if job_ids is None else [*job_ids], ARRAY(BigInteger))
        return (await conn.execute(text(_RETRY).bindparams(ids))).rowcount

    async def purge(self, conn: AsyncConnection, dead_before: datetime) -> int:
        return (await conn.execute(text(_PURGE), {"before": dead_before})).rowcount

    async def prune(self, conn: AsyncConnection, before: datetime) -> None:
        await conn.execute(text(_PRUNE), {"before": before})
