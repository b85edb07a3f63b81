"""Jobs in a dict: the queue inside a transaction, and what a runner sees of it."""

import itertools
from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ParamSpec

from application.ports import Job
from infrastructure.jobs import Delivery, pack
from infrastructure.memory.database import MemoryDatabase

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class StoredJob:
    """Due at once without `due_at`; buried once there is `failed_at`."""

    id: int
    name: str
    arguments: str
    attempts: int = 0
    due_at: datetime | None = None
    failed_at: datetime | None = None
    error: str | None = None
    enqueued_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class MemoryJobQueue:
    def __init__(self, rows: MutableMapping[int, StoredJob], ids: "itertools.count[int]") -> None:
        self._rows = rows
        self._ids = ids

    async def enqueue(self, job: type[Job[P]], *args: P.args, **kwargs: P.kwargs) -> None:
        row = StoredJob(next(self._ids), job.job_name, pack(args, kwargs))
        self._rows[row.id] = row


class MemoryJobStore:
    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._claimed: set[int] = set()

    async def claim(self, limit: int, *, now: datetime) -> list[Delivery]:
        if not self._due(self._database.snapshot().jobs, now):
            return []
        async with self._database.draft() as draft:
            rows = [replace(row, attempts=row.attempts + 1, due_at=None) for row in self._due(draft.jobs, now)[:limit]]
            draft.jobs.update({row.id: row for row in rows})
            self._claimed.update(row.id for row in rows)
        return [Delivery(row.id, row.name, row.arguments, row.attempts) for row in rows]

    async def finish(self, delivery: Delivery) -> None:
        async with self._database.draft() as draft:
            draft.jobs.pop(delivery.id, None)
        self._claimed.discard(delivery.id)

    async def put_back(self, delivery: Delivery, error: str, *, due_at: datetime) -> None:
        async with self._database.draft() as draft:
            draft.jobs[delivery.id] = replace(draft.jobs[delivery.id], error=error, due_at=due_at)
        self._claimed.discard(delivery.id)

    async def bury(self, delivery: Delivery, error: str, *, at: datetime) -> None:
        async with self._database.draft() as draft:
            draft.jobs[delivery.id] = replace(draft.jobs[delivery.id], error=error, failed_at=at)
        self._claimed.discard(delivery.id)

    def _due(self, rows: MutableMapping[int, StoredJob], now: datetime) -> list[StoredJob]:
        waiting = (row for row in rows.values() if row.failed_at is None and row.id not in self._claimed)
        return sorted((row for row in waiting if row.due_at is None or row.due_at <= now), key=lambda row: row.id)
