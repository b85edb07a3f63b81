"""Records of files in SQL."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from domain.file import FileId, FileNotFound, QuotaExceeded, TaskFile
from domain.task import TaskId, TaskNotFound
from domain.upload import UploadAbandoned
from domain.user import UserId
from infrastructure.sql import usage
from infrastructure.sql.session import Session
from infrastructure.sql.tables import files, tasks
from infrastructure.sql.uploads import END

FIELDS = tuple(field.name for field in fields(TaskFile))
SELECT = select(*(files.c[name] for name in FIELDS))
NEW = [column for column in files.c if column.name != "id"]
# By then the file is counted, and its upload is not any more: no room that is left is enough.
INSERT = (
    insert(files)
    .from_select(NEW, select(*(bindparam(c.name, type_=c.type) for c in NEW)).where(usage.LEFT.scalar_subquery() >= 0))
    .returning(files.c.id)
)
BY_ID = SELECT.where(files.c.id == bindparam("file_id"), files.c.owner_id == bindparam("owner"))
BY_ID_LOCKING_ITS_TASK = BY_ID.join(tasks, tasks.c.id == files.c.task_id).with_for_update(of=tasks)
# One statement tells both apart: a task that is not there gives no row, one without files gives an empty one.
OF_TASK = (
    select(*(files.c[name] for name in FIELDS))
    .select_from(tasks.outerjoin(files, files.c.task_id == tasks.c.id))
    .where(tasks.c.id == bindparam("task_id"), tasks.c.owner_id == bindparam("owner"))
    .order_by(files.c.id)
)
PAGE = (
    SELECT.where(files.c.stored_name > bindparam("after"), files.c.stored_name <= bindparam("upto"))
    .order_by(files.c.stored_name)
    .limit(bindparam("most"))
)
COUNT = (
    update(tasks)
    .where(and_(tasks.c.id == bindparam("the_task"), tasks.c.owner_id == bindparam("owner")))
    .values(file_count=tasks.c.file_count + bindparam("more"), version=tasks.c.version + 1)
)
COUNT_ALL = select(func.count()).select_from(files)
DELETE = delete(files).where(files.c.id == bindparam("file_id"))


class SqlFileRepository:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._one = BY_ID_LOCKING_ITS_TASK if session.writes else BY_ID

    async def add(self, file: TaskFile, *, quota: int) -> TaskFile:
        await self._count(file, +1)
        await usage.move(self._session, file.owner_id, files=1, size=file.file_size)
        # Who gives the upload up at the same time waits for us, or we for him.
        if (await self._session.change(END, {"name": file.stored_name})).rowcount != 1:
            raise UploadAbandoned
        row = asdict(file) | usage.quota_of(file.owner_id, quota, file.uploaded_at)
        file_id = (await self._session.change(INSERT, row)).scalar_one_or_none()
        if file_id is None:
            raise QuotaExceeded
        return replace(file, id=FileId(file_id))

    async def get(self, file_id: FileId, *, owner: UserId) -> TaskFile:
        row = (await self._session.query(self._one, {"file_id": file_id, "owner": owner})).one_or_none()
        if row is None:
            raise FileNotFound
        return _file(row)

    async def of_task(self, task_id: TaskId, *, owner: UserId) -> Sequence[TaskFile]:
        rows = (await self._session.query(OF_TASK, {"task_id": task_id, "owner": owner})).all()
        if not rows:
            raise TaskNotFound
        return [_file(row) for row in rows if row.id is not None]

    async def page(self, *, after: str, upto: str, limit: int = 1000) -> Sequence[TaskFile]:
        rows = await self._session.query(PAGE, {"after": after, "upto": upto, "most": limit})
        return [_file(row) for row in rows]

    async def count(self) -> int:
        return int((await self._session.query(COUNT_ALL)).scalar_one())

    async def delete(self, file: TaskFile) -> None:
        # `get` waited for the lock on the task, but shows the file as it was before the wait.
        if (await self._session.change(DELETE, {"file_id": file.id})).rowcount != 1:
            raise FileNotFound
        await self._count(file, -1)
        await usage.move(self._session, file.owner_id, files=-1, size=-file.file_size)

    async def _count(self, file: TaskFile, more: int) -> None:
        counted = await self._session.change(COUNT, {"the_task": file.task_id, "owner": file.owner_id, "more": more})
        if counted.rowcount != 1:
            raise TaskNotFound


def _file(row: Sequence[Any]) -> TaskFile:
    return TaskFile(*row)
