"""Statistics of one user's tasks and files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from domain.file import TaskFile
from domain.task import Priority, Task
from domain.user import UserId


@dataclass(frozen=True, slots=True)
class Day:
    """One calendar day in some zone, as two moments: from `start`, before `end`."""

    start: datetime
    end: datetime

    @classmethod
    def around(cls, moment: datetime, zone: ZoneInfo) -> "Day":
        midnight = moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return cls(midnight, (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone))


@dataclass(frozen=True, slots=True)
class TaskStats:
    """`overdue` and `due_today` count pending tasks, `by_priority` all; `file_bytes` is a number of bytes."""

    total: int
    completed: int
    overdue: int
    due_today: int
    by_priority: Mapping[Priority, int]
    file_count: int
    file_bytes: int
    generated_at: datetime

    @property
    def pending(self) -> int:
        return self.total - self.completed

    @property
    def completion_rate(self) -> float:
        """0 to 1 with four decimals; 0 without tasks."""
        return round(self.completed / self.total, 4) if self.total else 0.0


def tally(tasks: Iterable[Task], files: Iterable[TaskFile], *, today: Day, now: datetime) -> TaskStats:
    """The definition of every number; the SQL is its translation."""
    mine, sizes = list(tasks), [file.file_size for file in files]
    due = [task.due_at for task in mine if task.due_at is not None and not task.completed]
    return TaskStats(
        total=len(mine),
        completed=sum(task.completed for task in mine),
        overdue=sum(moment < now for moment in due),
        due_today=sum(today.start <= moment < today.end for moment in due),
        by_priority={priority: sum(task.priority is priority for task in mine) for priority in Priority},
        file_count=len(sizes),
        file_bytes=sum(sizes),
        generated_at=now,
    )


class StatsRepository(Protocol):
    async def version(self, owner: UserId) -> int:
        """Grows with every write to the owner's tasks and files. Raise `NotAuthenticated` if the owner is gone."""
        ...

    async def tally(self, owner: UserId, *, today: Day, now: datetime) -> TaskStats:
        """All numbers from one snapshot. Raise `NotAuthenticated` if the owner is gone."""
        ...

    async def audit(self, *, after: UserId, limit: int = 100) -> Sequence[tuple[UserId, bool]]:
        """Of the next users, by id: whether all that is kept beside their tasks and files is what these say."""
        ...

    async def recount(self, owner: UserId) -> bool:
        """Count the owner's tasks and files anew. Return whether numbers that were kept beside them had to be mended,
        as after a change by hand. Raise `NotAuthenticated` if the owner is gone."""
        ...
