"""Runs jobs inside the one process that an embedded service is; what that leaves at its death is the next one's."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import structlog

from application.ports import Clock
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


class JobRunner:
    """Looks for work whenever `enqueued` is set, which each commit with a job in it does."""

    def __init__(
        self, store: JobStore, jobs: Jobs, *, clock: Clock, enqueued: asyncio.Event, pace: Pace = PACE
    ) -> None:
        self._store = store
        self._clock = clock
        self._woken = enqueued
        self._poll_seconds = pace.poll.total_seconds()
        self._jobs = jobs
        self._backoff = pace.backoff

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and what then runs has ended. Cancelling this cancels what runs and puts it back."""
        deliver = Deliveries(self._jobs, backoff=self._backoff)
        await work_until(stop, partial(self._work, deliver), deliver)

    async def _work(self, deliver: Deliveries, stopping: asyncio.Event) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            with forward(stopping, self._woken):
                while not stopping.is_set():
                    self._woken.clear()
                    for delivery in await self._claim():
                        task = asyncio.create_task(self._run(deliver, delivery))
                        running.add(task)
                        task.add_done_callback(running.discard)
                        task.add_done_callback(lambda _: self._woken.set())
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._woken.wait(), self._poll_seconds)
                if running:
                    await asyncio.wait(running)
        finally:
            for task in running:
                task.cancel()

    async def _claim(self) -> list[Delivery]:
        try:
            return await self._store.claim(now=self._clock())
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
            await asyncio.sleep(self._poll_seconds)

    async def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        match outcome:
            case None:
                await self._store.finish(delivery)
            case Stopped():
                await self._store.keep(delivery, due_at=self._clock(), attempts=delivery.attempt - 1)
            case Again(error, after):
                await self._store.keep(delivery, due_at=self._clock() + after, error=error)
            case Buried(error):
                await self._store.keep(delivery, failed_at=self._clock(), error=error, unique_key=None)
