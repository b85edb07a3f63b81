"""Whether the service can do its work now, and how much of it waits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from application.jobs import JobDepth, JobRecords
from application.ports import Cache, Clock, FileStorage, UnitOfWork
from domain.errors import Unavailable

PATIENCE_SECONDS = 0.7  # a part that hangs is away; the answer itself has to come within a second


@dataclass(frozen=True, slots=True)
class Health:
    checks: dict[str, Literal["ok", "away"]]
    missing: tuple[str, ...]  # parts that are away and that the service can't do without


@dataclass(frozen=True, slots=True)
class CheckHealth:
    work: UnitOfWork
    storage: FileStorage
    redis: Cache | None  # a cache in this process can't be away

    async def __call__(self) -> Health:
        needed = {"database": self.work.ping, "storage": self.storage.ping}
        parts = needed | ({"redis": self.redis.ping} if self.redis else {})
        states = await asyncio.gather(*(_state(ping) for ping in parts.values()))
        checks = dict(zip(parts, states, strict=True))
        return Health(checks, tuple(part for part in needed if checks[part] == "away"))


@dataclass(frozen=True, slots=True)
class CountJobs:
    """The jobs that are stored, and when it was that they were counted; none while the database is away."""

    records: JobRecords
    clock: Clock

    async def __call__(self) -> tuple[Sequence[JobDepth], datetime]:
        depths: Sequence[JobDepth] = ()
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                depths = await self.records.depths()
        return depths, self.clock()


async def _state(ping: Callable[[], Awaitable[None]]) -> Literal["ok", "away"]:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await ping()
    except (Unavailable, TimeoutError):
        return "away"
    return "ok"
