"""What each write to a user's tasks or files does beside it: move the row that counts them, and with it its version."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, bindparam, select, update

from domain.file import QuotaExceeded
from domain.user import NotAuthenticated, UserId
from infrastructure.sql.session import Session
from infrastructure.sql.tables import usage

COUNTERS = tuple(column for column in usage.c if column.name not in {"user_id", "version"})
MINE = usage.c.user_id == bindparam("owner")
_MORE = {column.name: bindparam(f"more_{column.name}", type_=column.type) for column in COUNTERS}
MOVE = (
    update(usage)
    .where(MINE)
    .values(version=usage.c.version + 1, **{name: usage.c[name] + more for name, more in _MORE.items()})
)
GROW = MOVE.where(bindparam("quota") >= usage.c.file_bytes + _MORE["file_bytes"])
VERSION = select(usage.c.version).where(MINE)
BYTES = select(usage.c.file_bytes).where(MINE)

# Locks are always taken in this order: tasks by id, then the usage row of their owner.


async def move(
    session: Session,
    owner: UserId,
    *,
    before: Iterable[Any] = (),
    after: Iterable[Any] = (),
    files: int = 0,
    size: int = 0,
) -> None:
    """Count tasks, or rows of them, as they are after a write instead of as they were before; and files and bytes."""
    if (await session.change(MOVE, _moved(owner, before, after, files, size))).rowcount != 1:
        raise NotAuthenticated


async def grow(session: Session, owner: UserId, size: int, *, quota: int) -> None:
    """Count one file more, if it fits."""
    if (await session.change(GROW, _moved(owner, (), (), 1, size) | {"quota": quota})).rowcount != 1:
        raise QuotaExceeded


async def version_of(session: Session, owner: UserId) -> int:
    return await _one(session, VERSION, owner)


async def bytes_of(session: Session, owner: UserId) -> int:
    return await _one(session, BYTES, owner)


def _moved(owner: UserId, before: Iterable[Any], after: Iterable[Any], files: int, size: int) -> dict[str, int]:
    more = dict.fromkeys(_MORE, 0) | {"file_count": files, "file_bytes": size}
    for tasks, sign in ((before, -1), (after, +1)):
        for task in tasks:
            more[task.priority] += sign
            more["completed"] += sign * (task.completed_at is not None)
    return {"owner": owner} | {f"more_{name}": number for name, number in more.items()}


async def _one(session: Session, statement: Select[tuple[int]], owner: UserId) -> int:
    value: int | None = (await session.query(statement, {"owner": owner})).scalar_one_or_none()
    if value is None:
        raise NotAuthenticated
    return value
