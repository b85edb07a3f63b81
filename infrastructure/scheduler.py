"""Enqueues what is done regularly: once per tick, over all processes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Never

import structlog

from application.ports import Clock, UnitOfWork
from application.schedules import SCHEDULES, Schedule

RETRY_SECONDS = 5.0

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A tick is taken in the transaction that enqueues its job: by one process, and never for nothing. Of those that
    passed while nothing ran, only the last is made up for, at the start.

    Where the clocks of hosts differ, the first one to reach a tick takes it. By less than an interval, each tick is
    still taken once; by more, the hosts no longer know each other's ticks, and each takes its own.
    """

    work: UnitOfWork
    clock: Clock
    schedules: Sequence[Schedule] = SCHEDULES

    async def run(self) -> Never:
        """Until it is cancelled, which it may be at any time."""
        while True:
            seconds = await self.look()
            await asyncio.sleep(seconds)

    async def look(self) -> float:
        """Enqueue what is due, and return the seconds until there may be more."""
        now = self.clock()
        try:
            for schedule in self.schedules:
                await self._take(schedule, schedule.tick(now))
        except Exception as failure:  # noqa: BLE001  the database may be away, locked or full: ticks wait until it is not
            logger.warning("schedules wait for the database", error=type(failure).__name__)
            return RETRY_SECONDS
        return min(schedule.left(now) for schedule in self.schedules).total_seconds()

    async def _take(self, schedule: Schedule, tick: int) -> None:
        name = schedule.job.job_name
        async with self.work.write() as tx:
            if await tx.schedules.take(name, tick):
                await tx.jobs.configure(unique=name).enqueue(schedule.job)
