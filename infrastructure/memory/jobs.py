"""Jobs in a dict: the queue inside a transaction, what a runner sees of it, and what operators see."""

import itertools
from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from application.jobs import JobDepth, JobRecord, JobState
from infrastructure.clock import utc_now
from infrastructure.enqueued import NewJob
from infrastructure.jobs import SLOTS, Delivery
from infrastructure.memory.database import MemoryDatabase


@dataclass(frozen=True, slots=True)
class StoredJob:
    """Due at once without `due_at`; buried once there is `failed_at`."""

    id: int
    name: str
    arguments: str
    due_at: datetime | None
    priority: int
    unique_key: str | None
    attempts: int = 0
    failed_at: datetime | None = None
    error: str | None = None
    enqueued_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True)
class MemoryJobQueue:
    """Stores the jobs of one transaction."""

    rows: MutableMapping[int, StoredJob]
    ids: "itertools.count[int]"

    async def __call__(self, job: NewJob) -> None:
        if job.unique is not None and any(row.unique_key == job.unique for row in self.rows.values()):
            return
        row = StoredJob(next(self.ids), job.name, job.arguments, job.due_at(), job.priority, job.unique)
        self.rows[row.id] = row


class MemoryJobStore:
    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._claimed: set[int] = set()

    async def claim(self, *, now: datetime) -> list[Delivery]:
        if not self._fitting(self._database.snapshot().jobs, now):
            return []
        async with self._database.draft() as draft:
            rows = [replace(row, attempts=row.attempts + 1, due_at=None) for row in self._fitting(draft.jobs, now)]
            draft.jobs.update({row.id: row for row in rows})
            self._claimed.update(row.id for row in rows)
        return [Delivery(row.id, row.name, row.arguments, row.attempts) for row in rows]

    async def finish(self, delivery: Delivery) -> None:
        async with self._database.draft() as draft:
            draft.jobs.pop(delivery.id, None)
        self._claimed.discard(delivery.id)

    async def keep(self, delivery: Delivery, **changes: Any) -> None:
        async with self._database.draft() as draft:
            draft.jobs[delivery.id] = replace(draft.jobs[delivery.id], **changes)
        self._claimed.discard(delivery.id)

    def _fitting(self, rows: Mapping[int, StoredJob], now: datetime) -> list[StoredJob]:
        waiting = (row for row in rows.values() if row.failed_at is None and row.id not in self._claimed)
        due = [row for row in waiting if row.due_at is None or row.due_at <= now]
        taken, fitting = Counter(rows[job_id].name for job_id in self._claimed), []
        for row in sorted(due, key=lambda row: (-row.priority, row.id)):
            if taken[row.name] < SLOTS:
                taken[row.name] += 1
                fitting.append(row)
        return fitting


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
