"""pgqueuer's tables, as far as they are the operators' view of jobs."""

from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, FromClause, Integer, Text, bindparam, text

from infrastructure.pgqueuer.schema import NOTIFY

# `attempts` counts failures and deaths; this one is over, or not yet told of. Errors are kept in the log.
_ROWS = """
SELECT id, entrypoint AS name, priority, created AS enqueued_at, execute_after AS due_at,
    CASE status WHEN 'queued' THEN 'waiting' WHEN 'picked' THEN 'running' ELSE 'dead' END AS state,
    attempts + (status <> 'queued')::int AS attempts, coalesce(convert_from(payload, 'UTF8'), '') AS arguments,
    (SELECT traceback ->> 'exception_message' FROM pgqueuer_log WHERE job_id = job.id AND traceback IS NOT NULL
        ORDER BY id DESC LIMIT 1) AS error
FROM pgqueuer AS job
"""

# Unlike pgqueuer's own: another job may have taken the unique key meanwhile; a job that no worker knows is given as
# much time as a new one; and workers are told.
_RETRY = f"""
WITH told AS ({NOTIFY})
UPDATE pgqueuer SET status = 'queued', attempts = 0, execute_after = now(), updated = now(), heartbeat = now(),
    queue_manager_id = NULL, dedupe_key = NULL
WHERE status = 'failed' AND (:all OR id = ANY(:ids))
"""  # noqa: S608  nothing of a stranger's

_PRUNE = """
DELETE FROM pgqueuer_log AS old WHERE created < :before
AND NOT EXISTS (SELECT FROM pgqueuer WHERE pgqueuer.id = old.job_id)
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
            attempts=Integer(),
            arguments=Text(),
            error=Text(),
        )
        .subquery("job")
    )
    retry = text(_RETRY).bindparams(bindparam("all", type_=Boolean), bindparam("ids", type_=ARRAY(BigInteger)))
    purge = text("DELETE FROM pgqueuer WHERE status = 'failed' AND updated < :before")
    prune = text(_PRUNE)
