"""Jobs in a dict: the queue inside a transaction, and what a runner sees of it."""

import itertools
from collections import Counter
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

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
