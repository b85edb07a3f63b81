"""Uploads under way in SQL."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import BigInteger, BindParameter, bindparam, case, delete, func, insert, select, union, update

from domain.file import QuotaExceeded
from domain.task import TaskId, TaskNotFound
from domain.upload import Upload
from domain.user import UserId
from infrastructure.sql import usage
from infrastructure.sql.session import Session
from infrastructure.sql.tables import UtcDateTime, files, tasks, uploads

_asked = bindparam("reserved", type_=BigInteger)
_left = usage.LEFT.subquery()
_room = _left.c[0]
_ROW = {c.name: bindparam(c.name, type_=c.type) for c in uploads.c} | {
    "reserved": case((_room < _asked, _room), else_=_asked)
}
INSERT = (
    insert(uploads)
    .from_select(list(_ROW), select(*_ROW.values()).select_from(_left).where(_room >= bindparam("least")))
    .returning(uploads.c.reserved)
)
LEFT_FOR_TASK = usage.LEFT.where(
    select(tasks.c.id).where(tasks.c.id == bindparam("task_id"), tasks.c.owner_id == bindparam("owner")).exists()
)
THIS = uploads.c.stored_name == bindparam("name")
RENEW = update(uploads).where(THIS).values(seen_at=bindparam("at"))
END = delete(uploads).where(THIS)
_UNSEEN = uploads.c.seen_at < bindparam("since", type_=UtcDateTime)
ABANDON = delete(uploads).where(_UNSEEN)
UNSEEN = select(func.count()).select_from(uploads).where(_UNSEEN)
_THESE: BindParameter[Sequence[str]] = bindparam("names", expanding=True)
KNOWN = union(*(select(table.c.stored_name).where(table.c.stored_name.in_(_THESE)) for table in (uploads, files)))


class SqlUploadRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def begin(self, upload: Upload, *, quota: int, least: int | None = None) -> Upload:
        await usage.lock(self._session, upload.owner_id)
        row = asdict(upload) | usage.quota_of(upload.owner_id, quota, upload.seen_at)
        row["least"] = upload.reserved if least is None else least
        reserved = (await self._session.change(INSERT, row)).scalar_one_or_none()
        if reserved is None:
            raise QuotaExceeded
        return replace(upload, reserved=reserved)

    async def left(self, task_id: TaskId, *, owner: UserId, quota: int, now: datetime) -> int:
        row = usage.quota_of(owner, quota, now) | {"task_id": task_id}
        left: int | None = (await self._session.query(LEFT_FOR_TASK, row)).scalar_one_or_none()
        if left is None:
            raise TaskNotFound
        return max(0, left)

    async def renew(self, stored_name: str, *, at: datetime) -> None:
        await self._session.change(RENEW, {"name": stored_name, "at": at})

    async def end(self, stored_name: str) -> None:
        await self._session.change(END, {"name": stored_name})

    async def abandon(self, *, unseen_since: datetime) -> int:
        return (await self._session.change(ABANDON, {"since": unseen_since})).rowcount

    async def unseen(self, *, since: datetime) -> int:
        return int((await self._session.query(UNSEEN, {"since": since})).scalar_one())

    async def known(self, stored_names: Sequence[str]) -> set[str]:
        return set((await self._session.query(KNOWN, {"names": stored_names})).scalars())
