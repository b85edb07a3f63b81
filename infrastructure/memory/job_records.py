"""The operators' view of jobs in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from application.jobs import JobDepth, JobRecord, JobState
from infrastructure.clock import utc_now
from infrastructure.memory.database import MemoryDatabase
from infrastructure.memory.jobs import StoredJob


class MemoryJobRecords:
    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def page(self, *, state: JobState | None = None, limit: int = 100) -> Sequence[JobRecord]:
        return [job for job in self._jobs() if state in (None, job.state)][:limit]

    async def find(self, job_id: int) -> JobRecord | None:
        return next((job for job in self._jobs() if job.id == job_id), None)

    async def retry(self, job_ids: Sequence[int] | None = None) -> int:
        async with self._database.draft() as draft:
            dead = [row for row in draft.jobs.values() if row.failed_at and (job_ids is None or row.id in job_ids)]
            draft.jobs.update({row.id: replace(row, attempts=0, failed_at=None, due_at=utc_now()) for row in dead})
        return len(dead)

    async def purge(self, *, dead_before: datetime) -> int:
        async with self._database.draft() as draft:
            dead = [row.id for row in draft.jobs.values() if row.failed_at and row.failed_at < dead_before]
            for job_id in dead:
                del draft.jobs[job_id]
        return len(dead)

    async def prune(self, *, before: datetime) -> None:
        """Nothing is kept."""

    async def depths(self) -> Sequence[JobDepth]:
        due: dict[tuple[str, JobState], list[datetime]] = {}
        for job in self._jobs():
            due.setdefault((job.name, job.state), []).append(job.due_at)
        return [JobDepth(*kind, len(times), min(times)) for kind, times in sorted(due.items())]

    def _jobs(self) -> list[JobRecord]:
        return [_record(row) for _, row in sorted(self._database.snapshot().jobs.items())]


def _record(row: StoredJob) -> JobRecord:
    """To claim a job is to count the delivery and forget when it was due."""
    running = row.attempts > 0 and row.due_at is None
    return JobRecord(
        id=row.id,
        name=row.name,
        state="dead" if row.failed_at else "running" if running else "waiting",
        attempts=row.attempts,
        priority=row.priority,
        enqueued_at=row.enqueued_at,
        due_at=row.due_at or row.enqueued_at,
        error=row.error,
        arguments=row.arguments,
    )
