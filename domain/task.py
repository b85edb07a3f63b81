"""A task: something to do, with a title, a priority, perhaps a date, tags and files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NewType, Protocol, TypedDict

from domain.errors import Invalid, NotFound, Stale
from domain.user import UserId

if TYPE_CHECKING:
    from domain.task_list import TaskQuery

TaskId = NewType("TaskId", int)

TITLE_MAX = 200
DESCRIPTION_MAX = 10_000
TAGS_MAX, TAG_MAX = 20, 50
YEARS = range(1970, 10_000)


class TaskNotFound(NotFound):
    code = "task-not-found"
    title = "There is no such task."


class StaleTask(Stale):
    code = "stale-task"
    title = "The task was changed meanwhile; read it again."


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


def checked_title(title: str) -> str:
    if not title.strip() or len(title) > TITLE_MAX:
        raise Invalid(f"1 to {TITLE_MAX} characters, not only white space.", pointer="/title", reason="title")
    return title


def checked_description(description: str | None) -> str | None:
    if description is not None and len(description) > DESCRIPTION_MAX:
        raise Invalid(f"At most {DESCRIPTION_MAX} characters.", pointer="/description", reason="description")
    return description


def checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Trimmed, without repeats, in the order given."""
    trimmed = tuple(dict.fromkeys(tag.strip() for tag in tags))
    if len(trimmed) > TAGS_MAX or not all(1 <= len(tag) <= TAG_MAX for tag in trimmed):
        raise Invalid(f"At most {TAGS_MAX} tags of 1 to {TAG_MAX} characters.", pointer="/tags", reason="tags")
    return trimmed


def checked_moment(moment: datetime) -> datetime:
    """The same moment in UTC. Raise `Invalid` without an offset or outside the years 1970 to 9999."""
    try:
        utc = moment.astimezone(UTC) if moment.tzinfo is not None else None
    except OverflowError:
        utc = None
    if utc is None or utc.year not in YEARS:
        raise Invalid("A time with an offset, in the years 1970 to 9999.", pointer="/due_at", reason="moment")
    return utc


class TaskChanges(TypedDict, total=False):
    """What an edit may set; what is absent stays as it is."""

    title: str
    description: str | None
    completed: bool
    priority: Priority
    due_at: datetime | None
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Task:
    """`id` is 0 until the repository has given one; `version` grows with each change that is stored, files included."""

    owner_id: UserId
    title: str
    created_at: datetime
    updated_at: datetime
    description: str | None = None
    priority: Priority = Priority.MEDIUM
    due_at: datetime | None = None
    tags: tuple[str, ...] = ()
    completed_at: datetime | None = None
    version: int = 1
    file_count: int = 0
    id: TaskId = TaskId(0)

    @classmethod
    def new(cls, owner_id: UserId, values: TaskChanges, *, at: datetime) -> "Task":
        return cls(owner_id, values["title"], created_at=at, updated_at=at).edit(values, at=at)

    @property
    def completed(self) -> bool:
        return self.completed_at is not None

    def edit(self, changes: TaskChanges, *, at: datetime) -> "Task":
        """The task with these changes, or the very same task when they change nothing."""
        due_at = changes.get("due_at", self.due_at)
        edited = replace(
            self,
            title=checked_title(changes.get("title", self.title)),
            description=checked_description(changes.get("description", self.description)),
            priority=changes.get("priority", self.priority),
            due_at=due_at and checked_moment(due_at),
            tags=checked_tags(changes.get("tags", self.tags)),
            completed_at=(self.completed_at or at) if changes.get("completed", self.completed) else None,
        )
        return self if edited == self else replace(edited, updated_at=at)

    def complete(self, *, at: datetime) -> "Task":
        return self.edit({"completed": True}, at=at)

    def reopen(self, *, at: datetime) -> "Task":
        return self.edit({"completed": False}, at=at)


class TaskRepository(Protocol):
    """Each write marks the owner's statistics as changed, in the same transaction."""

    async def add(self, task: Task) -> Task:
        """Return it with its id. Raise `NotAuthenticated` if the owner is gone."""
        ...

    async def get(self, task_id: TaskId, *, owner: UserId) -> Task:
        """Raise `TaskNotFound` if there is none, or if it is somebody else's. A write keeps it locked to the end."""
        ...

    async def get_many(self, task_ids: Sequence[TaskId], *, owner: UserId) -> list[Task]:
        """Like `get`, in the order of the ids given, which don't repeat; the error's `ids` names all missing ones."""
        ...

    async def page(self, query: "TaskQuery", *, owner: UserId) -> list[Task]:
        """The tasks of this page in order, and one more if there is a next page."""
        ...

    async def save(self, task: Task) -> Task:
        """Store the next version and return it. Raise `StaleTask` if ours is not the latest or the task is gone."""
        ...

    async def save_many(self, tasks: Sequence[Task]) -> list[Task]:
        """Like `save`, all or none."""
        ...

    async def delete(self, tasks: Sequence[Task]) -> list[str]:
        """Delete tasks just read in this write, and the records of their files. Return the stored names of those files:
        nobody needs the bytes now."""
        ...
