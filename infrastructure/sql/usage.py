"""What each write to a user's tasks or files does beside it: move the row that counts them, and with it its version."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, bindparam, cast, func, select, update

from domain.upload import LEASE
from domain.user import NotAuthenticated, UserId
from infrastructure.sql.session import Session
from infrastructure.sql.tables import UtcDateTime, uploads, usage

COUNTERS = tuple(column for column in usage.c if column.name not in {"user_id", "version"})
MINE = usage.c.user_id == bindparam("owner")
_MORE = {column.name: bindparam(f"more_{column.name}", type_=column.type) for column in COUNTERS}
MOVE = (
    update(usage)
    .where(MINE)
    .values(version=usage.c.version + 1, **{name: usage.c[name] + more for name, more in _MORE.items()})
)
LOCK = select(usage.c.user_id).where(MINE).with_for_update()
VERSION = select(usage.c.version).where(MINE)
_RESERVED = select(func.coalesce(func.sum(uploads.c.reserved), 0)).where(
    uploads.c.owner_id == bindparam("owner"), uploads.c.seen_at > bindparam("since", type_=UtcDateTime)
)
# What files and live uploads leave of the quota. It counts only in a statement that begins after the usage row was
# locked: PostgreSQL would show one that waited for the lock the uploads from before the wait.
LEFT = select(
    bindparam("quota", type_=BigInteger) - usage.c.file_bytes - cast(_RESERVED.scalar_subquery(), BigInteger)
).where(MINE)

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


async def lock(session: Session, owner: UserId) -> None:
    """Nobody else moves the counters, or reserves room, until the end of this write."""
    if (await session.change(LOCK, {"owner": owner})).one_or_none() is None:
        raise NotAuthenticated


async def version_of(session: Session, owner: UserId) -> int:
    version: int | None = (await session.query(VERSION, {"owner": owner})).scalar_one_or_none()
    if version is None:
        raise NotAuthenticated
    return version


def quota_of(owner: UserId, quota: int, now: datetime) -> dict[str, Any]:
    """The parameters of `LEFT`."""
    return {"owner": owner, "quota": quota, "since": now - LEASE}


def _moved(owner: UserId, before: Iterable[Any], after: Iterable[Any], files: int, size: int) -> dict[str, int]:
    more = dict.fromkeys(_MORE, 0) | {"file_count": files, "file_bytes": size}
    for tasks, sign in ((before, -1), (after, +1)):
        for task in tasks:
            more[task.priority] += sign
            more["completed"] += sign * (task.completed_at is not None)
    return {"owner": owner} | {f"more_{name}": number for name, number in more.items()}
