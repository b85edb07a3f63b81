"""What the application needs from the outside world, each with its promise. One page, read it first."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal, ParamSpec, Protocol, TypeAlias

from domain.errors import Exhausted, Unavailable
from domain.file import FileRepository
from domain.reminder import ReminderRepository
from domain.stats import StatsRepository
from domain.task import TaskRepository
from domain.upload import UploadRepository
from domain.user import User, UserId, UserRepository

P = ParamSpec("P")


class DatabaseAway(Unavailable):
    code = "database-away"
    title = "The database does not answer."


class StorageAway(Unavailable):
    code = "storage-away"
    title = "The file storage does not answer."


class StorageFull(Exhausted):
    code = "storage-full"
    title = "The file storage is full."


class CacheAway(Unavailable):
    code = "cache-away"
    title = "The cache does not answer."


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, in UTC."""
        ...


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


class Transaction(Protocol):
    """Everything that is read, or committed, together."""

    @property
    def users(self) -> UserRepository: ...
    @property
    def tasks(self) -> TaskRepository: ...
    @property
    def files(self) -> FileRepository: ...
    @property
    def stats(self) -> StatsRepository: ...
    @property
    def uploads(self) -> UploadRepository: ...
    @property
    def reminders(self) -> ReminderRepository: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def jobs(self) -> JobQueue: ...


class UnitOfWork(Protocol):
    """Raise `DatabaseAway` when the database does not answer. No call to cache, storage or mail inside either block."""

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """Each query sees what is committed then. A write in it raises `RuntimeError`."""
        ...

    def write(self) -> AbstractAsyncContextManager[Transaction]:
        """Commits on a clean exit, and is then durable and visible to everybody; rolls back on any exception."""
        ...

    async def ping(self) -> None:
        """Raise `DatabaseAway` unless the database answers."""
        ...


@dataclass(frozen=True, slots=True)
class Cached:
    value: bytes
    hit: bool


class Cache(Protocol):
    """Losing it costs speed, never an error."""

    async def get_or_compute(
        self, key: str, compute: Callable[[], Awaitable[bytes]], *, ttl: timedelta, stamp: str = ""
    ) -> Cached:
        """The value under this key if it was computed for the same `stamp` and is not older than `ttl`; else a new one.

        One computation serves all who miss at once, in every process; they wait for it for a bounded time.
        What `compute` raises is raised to all of them, and nothing is kept.
        """
        ...

    async def delete(self, key: str) -> None:
        """Do nothing if there is no such key."""
        ...

    async def ping(self) -> None:
        """Raise `CacheAway` unless it answers."""
        ...


@dataclass(frozen=True, slots=True)
class StoredContent:
    """Bytes in the storage; `written_at` is when the last of them came. What is a draft can't be read: it is to get,
    or was to get, the name `draft_of`."""

    name: str
    size: int
    written_at: datetime
    draft_of: str | None = None


class FileStorage(Protocol):
    """Bytes under names of ours. Raise `StorageAway` or `StorageFull` where the outside fails."""

    async def put(self, name: str, chunks: AsyncIterable[bytes]) -> None:
        """Store all chunks durably: once this returns they survive a power cut. If the source raises, or the caller is
        cancelled, nothing is left of them."""
        ...

    async def size(self, name: str) -> int:
        """In bytes. Raise `FileContentMissing` if there is no such name."""
        ...

    def read(
        self, name: str, *, start: int = 0, stop: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes from `start` up to, not including, `stop`, in pieces; all of them, even if deleted meanwhile.

        Raise `FileContentMissing` on entering if there is no such name.
        """
        ...

    async def delete(self, name: str) -> None:
        """Do nothing if there is no such name."""
        ...

    async def page(self, *, after: str = "", limit: int = 1000) -> Sequence[StoredContent]:
        """Up to `limit` of what it holds, uploads that are not finished or never will be included, whose names follow
        `after` in the order of code points; none only if there are no more. `delete` takes each of them. Things that
        are not ours are left out."""
        ...

    async def ping(self) -> None:
        """Raise `StorageAway` unless it answers and can be written to; being full is not being away."""
        ...


@dataclass(frozen=True, slots=True)
class Mail:
    """The same words as plain text and as HTML. Who sends it again sends it under the same `key`."""

    key: str
    to: str
    subject: str
    text: str
    html: str


class Notifier(Protocol):
    async def send(self, mail: Mail) -> None:
        """Once this returns, the mail is in the hands of who delivers it. Raise anything if it may not be."""
        ...


class PasswordHasher(Protocol):
    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Takes the same time whether there is a hash to compare with or not."""
        ...


@dataclass(frozen=True, slots=True)
class AccessToken:
    token: str
    expires_in: int  # seconds


class TokenIssuer(Protocol):
    def issue(self, user: User) -> AccessToken: ...


class Authenticator(Protocol):
    async def __call__(self, bearer: str) -> UserId:
        """Who bears this token. Raise `NotAuthenticated` if it is not ours, changed, or expired."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `amount` in each fixed window of `seconds`; `bucket` names who and what is counted."""

    bucket: str
    amount: int
    seconds: int
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Window:
    """What a check left of one rate. `resets_in` is in seconds, by the store's clock."""

    allowed: bool
    remaining: int
    resets_in: float


class RateStore(Protocol):
    async def hit(self, rates: list[Rate]) -> list[Window]:
        """Count one request against all rates at once and return their windows in the same order.

        A window starts with its first request. If any rate has no room for its cost, none is charged, and those without
        room are not `allowed`. Exact for any number of callers and processes while the store answers.
        """
        ...


JobState: TypeAlias = Literal["waiting", "running", "dead"]


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as an operator sees it. `error` is the type of what it raised last; `arguments` is JSON: those by position,
    those by name, and the job's key. They may hold what users wrote."""

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
