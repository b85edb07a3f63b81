"""The queue that a transaction hands out, on every engine: it says what to store, and the engine stores it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Never, ParamSpec, TypeAlias

from application.jobs import Job
from infrastructure.clock import utc_now
from infrastructure.jobs import pack

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class NewJob:
    name: str
    arguments: str
    delay: timedelta
    unique: str | None
    priority: int

    def due_at(self) -> datetime | None:
        """None, at once, whatever happens to the clock."""
        return utc_now() + self.delay if self.delay else None


Add: TypeAlias = Callable[[NewJob], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class EnqueuedJobs:
    """`names` are of the jobs that it was given so far, however it was configured for them."""

    add: Add
    names: list[str] = field(default_factory=list)
    delay: timedelta = timedelta()
    unique: str | None = None
    priority: int = 0

    async def enqueue(self, job: type[Job[P]], *args: P.args, **kwargs: P.kwargs) -> None:
        await self.add(NewJob(job.job_name, pack(args, kwargs), self.delay, self.unique, self.priority))
        self.names.append(job.job_name)

    def configure(
        self, *, delay: timedelta = timedelta(), unique: str | None = None, priority: int = 0
    ) -> "EnqueuedJobs":
        return replace(self, delay=delay, unique=unique, priority=priority)


async def refuse(_: NewJob) -> Never:
    """What a transaction that only reads does with a job."""
    raise RuntimeError("a job needs work.write()")
