"""Runs jobs inside the one process that an embedded service is; what that leaves at its death is the next one's."""

import asyncio
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import structlog

from infrastructure.clock import utc_now
from infrastructure.draining import forward, work_until
from infrastructure.jobs import Again, Buried, Deliveries, Delivery, Jobs, Outcome, Pace, Stopped

PACE = Pace(poll=timedelta(seconds=1))  # how late a retry may start; what is enqueued starts at once

logger = structlog.get_logger()


class JobStore(Protocol):
    """The jobs that are committed. One process has the store for itself, so whoever starts has all jobs to do."""

    async def claim(self, *, now: datetime) -> list[Delivery]:
        """The jobs that are due and fit: of each kind the most urgent, as many as it has slots beside those that are
        claimed. Each is counted as delivered, and claimed by nobody else before one of the calls below says what became
        of it. Write nothing if there is none."""
        ...

    async def finish(self, delivery: Delivery) -> None:
        """Forget the job: it is done."""
        ...

    async def keep(self, delivery: Delivery, **changes: Any) -> None:
        """Set `due_at`, to put the job back, or `failed_at`, to bury it; and what else there is to know of it."""
        ...


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Looks for work whenever `enqueued` is set, which each commit with a job in it does."""

    store: JobStore
    jobs: Jobs
    _: KW_ONLY
    enqueued: asyncio.Event
    pace: Pace = PACE

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and what then runs has ended. Cancelling this cancels what runs and puts it back."""
        deliver = Deliveries(self.jobs, backoff=self.pace.backoff)
        await work_until(stop, partial(self._work, deliver), deliver)

    async def _work(self, deliver: Deliveries, stopping: asyncio.Event) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            with forward(stopping, self.enqueued):
                while not stopping.is_set():
                    self.enqueued.clear()
                    for delivery in await self._claim():
                        task = asyncio.create_task(self._run(deliver, delivery))
                        running.add(task)
                        task.add_done_callback(running.discard)
                        task.add_done_callback(lambda _: self.enqueued.set())
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self.enqueued.wait(), self.pace.poll.total_seconds())
                if running:
                    await asyncio.wait(running)
        finally:
            for task in running:
                task.cancel()

    async def _claim(self) -> list[Delivery]:
        try:
            return await self.store.claim(now=utc_now())
        except Exception as failure:  # noqa: BLE001  the database may be away, locked or full: jobs wait until it is not
            logger.warning("jobs wait for the database", error=type(failure).__name__)
            return []

    async def _run(self, deliver: Deliveries, delivery: Delivery) -> None:
        outcome = await deliver(delivery)
        while True:
            try:
                return await self._settle(delivery, outcome)
            except Exception as failure:  # noqa: BLE001  the job is kept until then, and not repeated for this
                logger.warning("jobs wait for the database", error=type(failure).__name__)
            await asyncio.sleep(self.pace.poll.total_seconds())

    async def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        match outcome:
            case None:
                await self.store.finish(delivery)
            case Stopped():
                await self.store.keep(delivery, due_at=utc_now(), attempts=delivery.attempt - 1)
            case Again(error, after):
                await self.store.keep(delivery, due_at=utc_now() + after, error=error)
            case Buried(error):
                await self.store.keep(delivery, failed_at=utc_now(), error=error, unique_key=None)
