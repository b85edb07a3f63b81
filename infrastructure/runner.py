"""Runs jobs inside the one process that an embedded service is."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from application.ports import Clock
from infrastructure.jobs import Again, Buried, Deliveries, Delivery, Jobs, Outcome, Pace

CONCURRENCY = 4
PACE = Pace(poll=timedelta(seconds=1))  # how late a retry may start; what is enqueued starts at once
LAST_WORD_SECONDS = 1.0  # for the store to learn what became of jobs that were cancelled

logger = structlog.get_logger()


class JobStore(Protocol):
    """The jobs that are committed. One process has the store for itself, so whoever starts has all jobs to do."""

    async def claim(self, limit: int, *, now: datetime) -> list[Delivery]:
        """The oldest jobs that are due, each counted as delivered, and claimed by nobody else before one of the calls
        below says what became of it. Write nothing if none is due."""
        ...

    async def finish(self, delivery: Delivery) -> None:
        """Forget the job: it is done."""
        ...

    async def put_back(self, delivery: Delivery, error: str, *, due_at: datetime) -> None: ...

    async def bury(self, delivery: Delivery, error: str, *, at: datetime) -> None:
        """Keep the job, with the error, and don't claim it again."""
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
        self._running: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()

    async def drain(self) -> None:
        """Wait until nothing runs and nothing is due; what failed and waits for its next attempt does not count."""
        self._idle.clear()
        self._woken.set()
        await self._idle.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and what then runs has ended. Cancelling this cancels what runs and puts it back."""
        self._deliver = Deliveries(self._jobs, backoff=self._backoff)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(self._wake)
        try:
            while not stop.is_set():
                self._woken.clear()
                await self._look_for_work()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._poll_seconds)
            if self._running:
                await asyncio.wait(self._running)
        finally:
            stopping.cancel()
            await self._put_back_what_runs()

    async def _look_for_work(self) -> None:
        try:
            await self._claim()
        except Exception as failure:  # noqa: BLE001  the database may be away, locked or full: jobs wait until it is not
            logger.warning("jobs wait for the database", error=type(failure).__name__)
            return
        # Woken meanwhile: there may be more by now than was seen.
        if not self._running and not self._woken.is_set():
            self._idle.set()

    async def _claim(self) -> None:
        if free := CONCURRENCY - len(self._running):
            for delivery in await self._store.claim(free, now=self._clock()):
                task = asyncio.create_task(self._work(delivery))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                task.add_done_callback(self._wake)

    async def _work(self, delivery: Delivery) -> None:
        outcome = await self._deliver(delivery)
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
            case Again(error, after):
                await self._store.put_back(delivery, error, due_at=self._clock() + after)
            case Buried(error):
                await self._store.bury(delivery, error, at=self._clock())

    async def _put_back_what_runs(self) -> None:
        if self._running:
            self._deliver.stop()
            await asyncio.wait(self._running, timeout=LAST_WORD_SECONDS)
            for task in self._running:
                task.cancel()

    def _wake(self, _: asyncio.Task[None] | asyncio.Task[bool]) -> None:
        self._woken.set()
