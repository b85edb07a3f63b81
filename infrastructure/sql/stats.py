"""Statistics in SQL: what every write has counted already, and what depends on the time, from one statement."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, select, update

from domain.stats import Day, TaskStats
from domain.task import Priority
from domain.user import NotAuthenticated, UserId
from infrastructure.sql.session import Session
from infrastructure.sql.tables import UtcDateTime, files, tasks, usage
from infrastructure.sql.usage import COUNTERS, MINE, lock, version_of

_now, _start, _end = (bindparam(name, type_=UtcDateTime) for name in ("now", "start", "end"))


def _pending(*due: ColumnElement[bool]) -> ScalarSelect[int]:
    mine = tasks.c.owner_id == bindparam("owner")
    return select(func.count()).where(mine, tasks.c.completed_at.is_(None), *due).scalar_subquery()


TALLY = select(
    *COUNTERS,
    _pending(tasks.c.due_at < _now).label("overdue"),
    _pending(tasks.c.due_at >= _start, tasks.c.due_at < _end).label("due_today"),
).where(MINE)

COUNT_TASKS = select(
    func.count(tasks.c.completed_at).label("completed"),
    *(func.count().filter(tasks.c.priority == priority).label(priority) for priority in Priority),
).where(tasks.c.owner_id == bindparam("owner"))
COUNT_FILES = select(
    func.count().label("file_count"), func.coalesce(func.sum(files.c.file_size), 0).label("file_bytes")
).where(files.c.owner_id == bindparam("owner"))
SET = update(usage).where(MINE)


class SqlStatsRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def version(self, owner: UserId) -> int:
        return await version_of(self._session, owner)

    async def tally(self, owner: UserId, *, today: Day, now: datetime) -> TaskStats:
        moments = {"owner": owner, "now": now, "start": today.start, "end": today.end}
        row = (await self._session.query(TALLY, moments)).one_or_none()
        if row is None:
            raise NotAuthenticated
        by_priority = {priority: getattr(row, priority) for priority in Priority}
        return TaskStats(
            total=sum(by_priority.values()),
            completed=row.completed,
            overdue=row.overdue,
            due_today=row.due_today,
            by_priority=by_priority,
            file_count=row.file_count,
            file_bytes=row.file_bytes,
            generated_at=now,
        )

    async def recount(self, owner: UserId) -> bool:
        # Whoever writes now has moved the row before, or waits for it: the counts that follow miss nobody, or his move
        # comes on top of them.
        kept = await lock(self._session, owner)
        counted: dict[str, Any] = {}
        for count in (COUNT_TASKS, COUNT_FILES):
            counted |= (await self._session.query(count, {"owner": owner})).mappings().one()
        if counted == kept:
            return False
        await self._session.change(SET.values(version=usage.c.version + 1, **counted), {"owner": owner})
        return True
