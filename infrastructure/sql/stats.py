"""Statistics in SQL: what every write has counted already, and what depends on the time, from one statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Subquery, Table, and_, bindparam, func, select, update

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

OF_TASKS = (
    func.count(tasks.c.completed_at).label("completed"),
    *(func.count().filter(tasks.c.priority == priority).label(priority) for priority in Priority),
)
OF_FILES = (func.count().label("file_count"), func.coalesce(func.sum(files.c.file_size), 0).label("file_bytes"))
COUNT_TASKS = select(*OF_TASKS).where(tasks.c.owner_id == bindparam("owner"))
COUNT_FILES = select(*OF_FILES).where(files.c.owner_id == bindparam("owner"))
SET = update(usage).where(MINE)

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


BATCH = (
    select(usage)
    .where(usage.c.user_id > bindparam("after"))
    .order_by(usage.c.user_id)
    .limit(bindparam("most"))
    .cte("batch")
)
THEIRS = select(BATCH.c.user_id)


def _by_owner(table: Table, counts: Iterable[ColumnElement[int]]) -> Subquery:
    owner = table.c.owner_id
    return select(owner, *counts).where(owner.in_(THEIRS)).group_by(owner).subquery()


_tasks, _files = _by_owner(tasks, OF_TASKS), _by_owner(files, OF_FILES)
RIGHT = and_(
    *(
        BATCH.c[number.name] == func.coalesce(number, 0)
        for number in (*_tasks.c, *_files.c)
        if number.name != "owner_id"
    ),
    BATCH.c.user_id.not_in(select(tasks.c.owner_id).where(tasks.c.owner_id.in_(THEIRS), MISCOUNTED)),
)
AUDIT = (
    select(BATCH.c.user_id, RIGHT.label("is_right"))
    .outerjoin(_tasks, _tasks.c.owner_id == BATCH.c.user_id)
    .outerjoin(_files, _files.c.owner_id == BATCH.c.user_id)
    .order_by(BATCH.c.user_id)
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
        # Whoever writes now has moved the row before, or waits for it: the counts that follow miss nobody, or his move
        # comes on top of them.
        kept = await lock(self._session, owner)
        counted: dict[str, Any] = {}
        for count in (COUNT_TASKS, COUNT_FILES):
            counted |= (await self._session.query(count, {"owner": owner})).mappings().one()
        if counted == kept and not mended:
            return False
        await self._session.change(SET.values(version=usage.c.version + 1, **counted), {"owner": owner})
        return True
