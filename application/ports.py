"""What the application needs from the outside world, each with its promise. Read it first, and then jobs.py."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from application.jobs import JobQueue, Schedules
from domain.errors import Exhausted, Unavailable
from domain.file import FileRepository
from domain.reminder import ReminderRepository
from domain.stats import StatsRepository
from domain.task import TaskRepository
from domain.upload import UploadRepository
from domain.user import User, UserId, UserRepository


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
    """Bytes in the storage; `written_at` is when the last of them were written. What is a draft can't be read: it is
    to get, or was to get, the name `draft_of`."""

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
