"""What every runner of jobs shares: how arguments are stored, how a delivery goes, and when it was the last one."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

import structlog

from application.jobs import Job
from application.schedules import SCHEDULES
from infrastructure.metrics import JOB_ATTEMPTS, JOB_FAILURES, JOB_SECONDS

MAX_DELIVERIES = 5
SLOTS = 8  # how many jobs of one kind a process runs at once; no kind can take those of another
UNKNOWN_JOB = "unknown job"
NEVER_RETURNED = "its process died each time"
REGULAR = frozenset(schedule.job.job_name for schedule in SCHEDULES)  # "job done" each minute tells nobody a thing

Jobs: TypeAlias = Mapping[str, Job[...]]
Backoff: TypeAlias = Callable[[int], timedelta]
logger = structlog.get_logger()
_key: ContextVar[str] = ContextVar("job_key")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One time that a job is handed to a runner: the `attempt`-th since it was enqueued, counted from 1."""

    id: int
    name: str
    arguments: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job goes back to the queue at once, and this delivery does not count: it has not failed."""


@dataclass(frozen=True, slots=True)
class Again:
    """The job goes back to the queue for a while."""

    error: str
    after: timedelta


@dataclass(frozen=True, slots=True)
class Buried:
    """The job is not run again, and kept for an operator to see."""

    error: str


Outcome: TypeAlias = Stopped | Again | Buried | None  # None: done


def pack(args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    """With a key, drawn here because the numbers of two databases are the same."""
    return json.dumps([args, kwargs, secrets.token_hex(16)], allow_nan=False)


def job_key() -> str:
    return _key.get()


def exponential(attempt: int) -> timedelta:
    """2, 8, 32 and 128 s, give or take a fifth, so that what failed together does not come back together."""
    return timedelta(seconds=2 * 4 ** (attempt - 1) * random.uniform(0.8, 1.2))  # noqa: S311  no secret


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look for what nobody tells of, and how long to wait after the n-th failure."""

    poll: timedelta
    backoff: Backoff = exponential


class Deliveries:
    """Runs jobs and says what becomes of each; never raises what a job raised, never logs what a job was given."""

    def __init__(self, jobs: Jobs, *, backoff: Backoff) -> None:
        self._jobs = jobs
        self._backoff = backoff
        self._running: set[asyncio.Task[Outcome]] = set()
        self._stopped = False

    async def __call__(self, delivery: Delivery) -> Outcome:
        if self._stopped:
            return Stopped()
        running = asyncio.create_task(self._deliver(delivery))
        self._running.add(running)
        try:
            return await running
        except asyncio.CancelledError:
            logger.info("job stopped", **_labels(delivery))
            return Stopped()
        finally:
            self._running.discard(running)

    def stop(self) -> None:
        """Cancel what runs and start no more: it comes back as `Stopped`, to be done by somebody else."""
        self._stopped = True
        for running in self._running:
            running.cancel()

    async def _deliver(self, delivery: Delivery) -> Outcome:
        job = self._jobs.get(delivery.name)
        if job is None:
            return _bury(delivery, UNKNOWN_JOB)
        if delivery.attempt > MAX_DELIVERIES:
            return _bury(delivery, NEVER_RETURNED)
        logger.debug("job started", **_labels(delivery))
        JOB_ATTEMPTS.labels(delivery.name).inc()
        start = time.monotonic()
        error = await _error_of(job, delivery)
        duration = round(time.monotonic() - start, 3)
        JOB_SECONDS.labels(delivery.name).observe(duration)
        if error is None:
            usual = delivery.name in REGULAR and delivery.attempt == 1
            (logger.debug if usual else logger.info)("job done", **_labels(delivery), duration=duration)
            return None
        JOB_FAILURES.labels(delivery.name).inc()
        logger.warning("job failed", **_labels(delivery), duration=duration, error=error)
        return (
            _bury(delivery, error)
            if delivery.attempt == MAX_DELIVERIES
            else Again(error, self._backoff(delivery.attempt))
        )


def _bury(delivery: Delivery, error: str) -> Buried:
    logger.error("job buried", **_labels(delivery), error=error)
    return Buried(error)


async def _error_of(job: Job[...], delivery: Delivery) -> str | None:
    """The type of what the job raised: its text could hold values."""
    try:
        args, kwargs, key = json.loads(delivery.arguments)
        _key.set(key)  # each delivery is a task with a context of its own
        await job(*args, **kwargs)
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return type(cancelled).__name__  # the job was not cancelled, something inside it was: a failure like any other
    except Exception as failure:  # noqa: BLE001  whatever a job raises is counted, never lost
        return type(failure).__name__
    return None


def _labels(delivery: Delivery) -> dict[str, object]:
    return {"job": delivery.name, "id": delivery.id, "attempt": delivery.attempt}
