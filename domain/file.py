"""A file attached to a task: a record of bytes that lie in the storage under a name of ours."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NewType, Protocol
from unicodedata import category
from uuid import uuid4

from domain.errors import Exhausted, Invalid, NotFound, TooLarge
from domain.task import TaskId
from domain.user import UserId

FileId = NewType("FileId", int)

FILENAME_MAX = 255
STORED = re.compile(r"task_[1-9][0-9]*_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[a-z0-9]+")


class FileNotFound(NotFound):
    code = "file-not-found"
    title = "There is no such file."


class FileContentMissing(NotFound):
    code = "file-content-missing"
    title = "The content of this file is gone."


class QuotaExceeded(Exhausted):
    code = "quota-exceeded"
    title = "The file does not fit into what is left of the user's quota."


class FileTooLarge(TooLarge):
    code = "file-too-large"
    title = "The file is larger than allowed."


class EmptyFile(Invalid):
    code = "empty-file"
    title = "The file is empty."


class DigestMismatch(Invalid):
    code = "digest-mismatch"
    title = "The content is not the one that its digest promises."


def checked_filename(name: str) -> str:
    """Raise `Invalid` for a name that is too long, a path, or holds control characters. It is never used on disk."""
    if not 1 <= len(name) <= FILENAME_MAX:
        raise Invalid(f"A name of 1 to {FILENAME_MAX} characters.", pointer="/file", reason="filename_length")
    if name in {".", ".."} or "/" in name or "\\" in name:
        raise Invalid("A name, not a path.", pointer="/file", reason="filename_path")
    if any(category(character) in {"Cc", "Cs"} for character in name):
        raise Invalid("A name without control characters.", pointer="/file", reason="filename_characters")
    return name


def extension_of(name: str) -> str:
    """In lower case, without the dot; empty if there is none."""
    stem, _, extension = name.rpartition(".")
    return extension.lower() if stem else ""


def stored_name(task_id: TaskId, extension: str) -> str:
    """A new name in the storage. Of the user's name it holds the extension only, which must be an allowed one."""
    return f"task_{task_id}_{uuid4()}.{extension}"


def is_stored_name(name: str) -> bool:
    """Whether it is one of ours: what else lies in the same folder or bucket belongs to others."""
    return STORED.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Room:
    """How large a file may be: up to `largest` bytes, and up to the `left` bytes of the owner's quota."""

    largest: int
    left: int

    def check(self, size: int) -> None:
        """Raise `FileTooLarge` or `QuotaExceeded`."""
        if size > self.largest:
            raise FileTooLarge(f"The file is larger than {self.largest} bytes.")
        if size > self.left:
            raise QuotaExceeded


@dataclass(frozen=True, slots=True)
class TaskFile:
    """`id` is 0 until the repository has given one; `file_size` is in bytes, `sha256` in lower-case hexadecimal."""

    task_id: TaskId
    owner_id: UserId
    original_filename: str
    stored_name: str
    content_type: str
    file_size: int
    sha256: str
    uploaded_at: datetime
    id: FileId = FileId(0)


class FileRepository(Protocol):
    """Each write marks the owner's statistics as changed and moves the task's `file_count` and `version`, at once."""

    async def add(self, file: TaskFile, *, quota: int) -> TaskFile:
        """Record the file of an upload, which ends with it. Return it with its id.

        Raise `TaskNotFound` if the task is gone or not the owner's, `UploadAbandoned` if the upload is not known any
        more, `QuotaExceeded` if all of the owner's files and other live uploads would then hold more than `quota`
        bytes: exactly, however many are added at once.
        """
        ...

    async def get(self, file_id: FileId, *, owner: UserId) -> TaskFile:
        """Raise `FileNotFound` if there is none, or if it is somebody else's. In a write, its task stays locked."""
        ...

    async def of_task(self, task_id: TaskId, *, owner: UserId) -> Sequence[TaskFile]:
        """Oldest first. Raise `TaskNotFound` like a task's `get`."""
        ...

    async def page(self, *, after: str, upto: str, limit: int = 1000) -> Sequence[TaskFile]:
        """Up to `limit` files of all owners whose stored names follow `after`, up to and including `upto`, in the order
        of code points."""
        ...

    async def count(self) -> int:
        """Of all owners."""
        ...

    async def delete(self, file: TaskFile) -> None:
        """Delete the record of a file just read in this write; its bytes are the caller's to remove, by a job.

        Raise `FileNotFound` if somebody else has deleted it meanwhile.
        """
        ...
