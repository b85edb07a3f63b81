"""An upload under way: it holds room in its owner's quota, from before its first byte until its file is recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.errors import Unavailable
from domain.task import TaskId
from domain.user import UserId

SILENCE = timedelta(seconds=1)  # no upload is given up after less, however soon stray bytes are
LEASE = timedelta(seconds=60)  # without a sign of life for longer, an upload holds no room: its process may be dead


class UploadAbandoned(Unavailable):
    code = "upload-abandoned"
    title = "The upload was not heard of for too long. Send the file again."


@dataclass(frozen=True, slots=True)
class Upload:
    """`reserved` is a number of bytes; `seen_at` is when it was last known to go on."""

    stored_name: str
    owner_id: UserId
    reserved: int
    seen_at: datetime

    def holds_room(self, now: datetime) -> bool:
        return self.seen_at > now - LEASE


class UploadRepository(Protocol):
    """Files and uploads together never hold more than the quota: exactly, however many begin at once, anywhere."""

    async def begin(self, upload: Upload, *, quota: int, least: int | None = None) -> Upload:
        """Reserve the room that it asks for; with `least`, what is left will do if it is as much as that. Return it as
        it was reserved. Raise `QuotaExceeded` if less is left beside the owner's files and other live uploads,
        `NotAuthenticated` if the owner is gone. The owner's statistics stay as they are."""
        ...

    async def left(self, task_id: TaskId, *, owner: UserId, quota: int, now: datetime) -> int:
        """How many bytes of the quota nobody holds, for a file of this task; never below 0. Raise `TaskNotFound` like
        the task's `get`."""
        ...

    async def renew(self, stored_name: str, *, at: datetime) -> None:
        """Renew its lease: it goes on. Do nothing if it was abandoned: recording its file will say so."""
        ...

    async def end(self, stored_name: str) -> None:
        """Give its room back. Do nothing if there is no such upload."""
        ...

    async def abandon(self, *, unseen_since: datetime) -> int:
        """End all that were last seen before; their files can't be recorded any more. Return how many."""
        ...

    async def unseen(self, *, since: datetime) -> int:
        """How many `abandon` would end."""
        ...

    async def known(self, stored_names: Sequence[str]) -> set[str]:
        """Which of these belong to an upload or a recorded file, in one snapshot. Others never will again."""
        ...
