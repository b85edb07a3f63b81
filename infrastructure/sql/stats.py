"""Statistics in SQL: what every write has counted already, and what depends on the time, from one statement."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Boolean, ColumnElement, ScalarSelect, Table, and_, bindparam, exists, func, not_, select, update

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

FILES_OF_IT = select(func.count()).where(files.c.task_id == tasks.c.id).correlate(tasks).scalar_subquery()
MISCOUNTED = tasks.c.file_count != FILES_OF_IT
LOCK_MISCOUNTED = (
    select(tasks.c.id).where(tasks.c.owner_id == bindparam("owner"), MISCOUNTED).order_by(tasks.c.id).with_for_update()
)
RECOUNT_FILES = (
    update(tasks)
    .where(tasks.c.id.in_(bindparam("ids", expanding=True)), MISCOUNTED)
    .values(file_count=FILES_OF_IT, version=tasks.c.version + 1)
)


def _of_owner(table: Table, number: ColumnElement[int]) -> ScalarSelect[int]:
    return select(number).where(table.c.owner_id == usage.c.user_id).correlate(usage).scalar_subquery()


COUNTED = {
    "completed": _of_owner(tasks, func.count(tasks.c.completed_at)),
    **{one.value: _of_owner(tasks, func.count().filter(tasks.c.priority == one)) for one in Priority},
    "file_count": _of_owner(files, func.count()),
    "file_bytes": _of_owner(files, func.coalesce(func.sum(files.c.file_size), 0)),
}
RIGHT = and_(*(usage.c[name] == number for name, number in COUNTED.items()))
RECOUNT = (
    update(usage)
    .where(MINE, not_(RIGHT) | bindparam("mended", type_=Boolean))
    .values(version=usage.c.version + 1, **COUNTED)
)
WITH_MISCOUNTED_TASKS = exists().where(tasks.c.owner_id == usage.c.user_id, MISCOUNTED).correlate(usage)
AUDIT = (
    select(usage.c.user_id, and_(RIGHT, not_(WITH_MISCOUNTED_TASKS)).label("is_right"))
    .where(usage.c.user_id > bindparam("after"))
    .order_by(usage.c.user_id)
    .limit(bindparam("most"))
)


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

    async def audit(self, *, after: UserId, limit: int = 100) -> Sequence[tuple[UserId, bool]]:
        rows = await self._session.query(AUDIT, {"after": after, "most": limit})
        return [(UserId(row.user_id), row.is_right) for row in rows]

    async def recount(self, owner: UserId) -> bool:
        # Whoever adds or deletes a file has locked its task before: the locked ones are counted as they stay.
        ids = (await self._session.change(LOCK_MISCOUNTED, {"owner": owner})).scalars().all()
        mended = ids and (await self._session.change(RECOUNT_FILES, {"ids": ids})).rowcount
        # Whoever writes now has moved the row before, or waits for it: the statement that follows misses nobody, or his
        # move comes on top of it.
        await lock(self._session, owner)
        return (await self._session.change(RECOUNT, {"owner": owner, "mended": bool(mended)})).rowcount == 1
