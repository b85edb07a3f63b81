"""Jobs: use cases that are called later, when they are, and how operators see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal, ParamSpec, Protocol, TypeAlias

P = ParamSpec("P")


class Job(Protocol[P]):
    """A use case that can be called later. Its arguments go through JSON: numbers, texts, lists of them.

    It may be called again when its process died in the middle, so it has to be repeatable. Jobs of one name wait for
    each other when too many of them run, and never for jobs of another name.
    """

    job_name: ClassVar[str]  # permanent: jobs that are already stored know it by this name

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> object: ...


class JobQueue(Protocol):
    async def enqueue(self, job: type[Job[P]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call this use case soon after the commit: at least once, with retries; never after a rollback."""
        ...

    def configure(self, *, delay: timedelta = timedelta(), unique: str | None = None, priority: int = 0) -> "JobQueue":
        """This queue for jobs that are due after `delay`, and of those that are due the higher `priority` first.

        With `unique`, enqueueing does nothing while a job with the same text waits or runs, whatever its kind; a dead
        one has given it up.
        """
        ...


class Schedules(Protocol):
    async def take(self, name: str, tick: int) -> bool:
        """Whether this tick is later than the last that was taken under this name; then this write takes it, and nobody
        else can. One that lies more than one ahead does not count: its clock was wrong, or its interval another."""
        ...


class JobKey(Protocol):
    def __call__(self) -> str:
        """Names the job that runs: the same at each of its deliveries, and of no other job in any database.

        An effect under this key can be known for a repeated one. Raise `LookupError` where no job runs.
        """
        ...


JobState: TypeAlias = Literal["waiting", "running", "dead"]


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as an operator sees it.

    `attempts` is how often it was begun since it was enqueued or retried; one that was stopped does not count. `error`
    is the type of what it raised last. `arguments` is JSON: those by position, those by name, and the job's key; they
    may hold what users wrote.
    """

    id: int
    name: str
    state: JobState
    attempts: int
    priority: int
    enqueued_at: datetime
    due_at: datetime
    error: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class JobDepth:
    """How many jobs of one kind are in a state, and since when the oldest of them has been due."""

    name: str
    state: JobState
    count: int
    oldest: datetime


class JobRecords(Protocol):
    """The jobs that are stored: what waits, runs, or lies dead. Done jobs are gone. Raise `DatabaseAway`.

    On a database of one process, what a killed one ran counts as running until the next one starts.
    """

    async def page(self, *, state: JobState | None = None, limit: int = 100) -> Sequence[JobRecord]:
        """Oldest first."""
        ...

    async def find(self, job_id: int) -> JobRecord | None: ...

    async def retry(self, job_ids: Sequence[int] | None = None) -> int:
        """Send dead jobs, these or all, back to the queue with all their attempts; they may have lost their unique key.
        Return how many there were."""
        ...

    async def purge(self, *, dead_before: datetime) -> int:
        """Forget the jobs that died before. Return how many there were."""
        ...

    async def prune(self, *, before: datetime) -> None:
        """Forget what is kept about jobs that were done before, if anything is."""
        ...

    async def depths(self) -> Sequence[JobDepth]:
        """By name and state."""
        ...
