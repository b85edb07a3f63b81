"""Lists of tasks: which ones, in which order, and from where on; databases translate what is defined here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from unicodedata import normalize

from domain.task import Priority, Task, TaskId

LETTERS_AND_DIGITS = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """What a search compares: runs of letters and digits, case-folded, each letter in its composed form."""
    return LETTERS_AND_DIGITS.findall(normalize("NFC", text.casefold()))


def search_text(task: Task) -> str:
    """All words of title and description, each after a blank: ` pre` occurs in it when a word starts with `pre`."""
    return "".join(f" {word}" for word in words(f"{task.title} {task.description or ''}"))


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; every condition given must hold."""

    completed: bool | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    any_tags: tuple[str, ...] = ()
    due_before: datetime | None = None
    due_after: datetime | None = None
    words: tuple[str, ...] = ()

    def matches(self, task: Task) -> bool:
        text = search_text(task)
        return (
            (self.completed is None or task.completed == self.completed)
            and (self.priority is None or task.priority == self.priority)
            and set(self.tags) <= set(task.tags)
            and (not self.any_tags or not set(self.any_tags).isdisjoint(task.tags))
            and (self.due_before is None or (task.due_at is not None and task.due_at < self.due_before))
            and (self.due_after is None or (task.due_at is not None and task.due_at >= self.due_after))
            and all(f" {word}" in text for word in self.words)
        )


class SortBy(StrEnum):
    CREATED_AT = "created_at"
    DUE_AT = "due_at"
    PRIORITY = "priority"
    TITLE = "title"
    UPDATED_AT = "updated_at"


SortValue = datetime | int | str | None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a sorted list: just behind the task with this sort value and id."""

    value: SortValue
    id: TaskId


@dataclass(frozen=True, slots=True)
class TaskSort:
    """An order: by one value, then by id in the same direction; tasks without a due date come last both ways."""

    by: SortBy = SortBy.CREATED_AT
    descending: bool = True

    def position(self, task: Task) -> Position:
        value: SortValue
        match self.by:
            case SortBy.PRIORITY:
                value = task.priority.rank
            case SortBy.TITLE:
                value = task.title.casefold()
            case _:
                value = getattr(task, self.by)
        return Position(value, task.id)

    def sorted(self, tasks: Sequence[Task]) -> list[Task]:
        return sorted(tasks, key=lambda task: self._key(self.position(task)), reverse=self.descending)

    def behind(self, task: Task, position: Position) -> bool:
        """Whether the task comes after the position in this order."""
        here, there = self._key(self.position(task)), self._key(position)
        return here < there if self.descending else here > there

    def _key(self, position: Position) -> tuple[bool, SortValue, int]:
        missing = position.value is None
        return (missing != self.descending, 0 if missing else position.value, position.id)


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """One page of a list: at most `limit` tasks behind `after`."""

    filter: TaskFilter = field(default_factory=TaskFilter)
    sort: TaskSort = field(default_factory=TaskSort)
    after: Position | None = None
    limit: int = 20
