"""Tasks in SQL."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from domain.task import StaleTask, Task, TaskId, TaskNotFound
from domain.task_list import TaskQuery, search_text
from domain.user import UserId
from infrastructure.sql import usage
from infrastructure.sql.session import Session
from infrastructure.sql.tables import files, tasks
from infrastructure.sql.task_page import page

FIELDS = tuple(field.name for field in fields(Task))
SELECT = select(*(tasks.c[name] for name in FIELDS))
INSERT = insert(tasks).returning(tasks.c.id)
BY_ID = SELECT.where(tasks.c.id == bindparam("task_id"), tasks.c.owner_id == bindparam("owner"))
BY_IDS = SELECT.where(
    tasks.c.id.in_(bindparam("ids", expanding=True)), tasks.c.owner_id == bindparam("owner")
).order_by(tasks.c.id)
UPDATE = update(tasks).where(
    tasks.c.id == bindparam("old_id"),
    tasks.c.owner_id == bindparam("old_owner"),
    tasks.c.version == bindparam("old_version"),
)
COUNTED = (tasks.c.owner_id, tasks.c.priority, tasks.c.completed_at)
LATEST = (
    select(tasks.c.id, tasks.c.version, *COUNTED)
    .where(tasks.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(tasks.c.id)
    .with_for_update()
)
DELETE = delete(tasks).where(tasks.c.id.in_(bindparam("ids", expanding=True))).returning(*COUNTED)
FILES_OF = select(files.c.owner_id, files.c.stored_name, files.c.file_size).where(
    files.c.task_id.in_(bindparam("ids", expanding=True))
)


class SqlTaskRepository:
    def __init__(self, session: Session) -> None:
        self._session = session
        # SQLite, which holds its one write lock anyway, ignores FOR UPDATE.
        self._one = BY_ID.with_for_update() if session.writes else BY_ID
        self._many = BY_IDS.with_for_update() if session.writes else BY_IDS
        self._locked: dict[TaskId, Task] = {}  # as this write last read or saved them: what a save counts them as

    async def add(self, task: Task) -> Task:
        await usage.move(self._session, task.owner_id, after=[task])
        inserted = await self._session.change(INSERT, _row(task))
        return self._lock(replace(task, id=TaskId(inserted.scalar_one())))

    async def get(self, task_id: TaskId, *, owner: UserId) -> Task:
        row = (await self._session.query(self._one, {"task_id": task_id, "owner": owner})).one_or_none()
        if row is None:
            raise TaskNotFound
        return self._lock(_task(row))

    async def get_many(self, task_ids: Sequence[TaskId], *, owner: UserId) -> list[Task]:
        rows = await self._session.query(self._many, {"ids": list(task_ids), "owner": owner})
        found = {row.id: self._lock(_task(row)) for row in rows}
        if missing := [task_id for task_id in task_ids if task_id not in found]:
            raise TaskNotFound(ids=missing)
        return [found[task_id] for task_id in task_ids]

    async def page(self, query: TaskQuery, *, owner: UserId) -> list[Task]:
        statement = page(SELECT, query, owner, self._session.conn.dialect.name)
        return [_task(row) for row in await self._session.query(statement)]

    async def save(self, task: Task) -> Task:
        before = self._locked.get(task.id) or (await self._latest([task]))[0]
        saved = replace(task, version=task.version + 1)
        if (await self._session.change(UPDATE, _row(saved) | _old(task))).rowcount != 1:
            raise StaleTask
        await usage.move(self._session, task.owner_id, before=[before], after=[saved])
        return self._lock(saved)

    async def save_many(self, tasks: Sequence[Task]) -> list[Task]:
        if len(tasks) <= 1:
            return [await self.save(task) for task in tasks]
        latest = await self._latest(tasks)
        saved = [replace(task, version=task.version + 1) for task in tasks]
        rows = []
        for new, old in zip(saved, tasks, strict=True):
            rows.append(_row(new) | _old(old))
            await asyncio.sleep(0)  # the words of a long description take a while, those of 500 would hold up everybody
        await self._session.change(UPDATE, rows)
        for owner, before in _by_owner(latest).items():
            await usage.move(self._session, owner, before=before, after=_by_owner(saved)[owner])
        return [self._lock(task) for task in saved]

    async def delete(self, tasks: Sequence[Task]) -> list[str]:
        ids = {"ids": [task.id for task in tasks]}
        gone = (await self._session.query(FILES_OF, ids)).all() if any(task.file_count for task in tasks) else []
        for owner, deleted in _by_owner(await self._session.change(DELETE, ids)).items():
            sizes = [row.file_size for row in gone if row.owner_id == owner]
            await usage.move(self._session, owner, before=deleted, files=-len(sizes), size=-sum(sizes))
        return [row.stored_name for row in gone]

    async def _latest(self, tasks: Sequence[Task]) -> list[Any]:
        """What is stored of these, in order of id, locked. Raise `StaleTask` if any of them is not the latest."""
        rows = (await self._session.change(LATEST, {"ids": [task.id for task in tasks]})).all()
        if {(row.id, row.version, row.owner_id) for row in rows} != {(t.id, t.version, t.owner_id) for t in tasks}:
            raise StaleTask
        return list(rows)

    def _lock(self, task: Task) -> Task:
        if self._session.writes:
            self._locked[task.id] = task
        return task


def _by_owner(rows: Iterable[Any]) -> dict[UserId, list[Any]]:
    """Tasks, or rows of them; the owners in one order for all who write, like all locks."""
    in_order = sorted(rows, key=attrgetter("owner_id"))
    return {owner: list(theirs) for owner, theirs in groupby(in_order, attrgetter("owner_id"))}


def _task(row: Sequence[Any]) -> Task:
    return Task(*row)


def _row(task: Task) -> dict[str, Any]:
    row = {name: getattr(task, name) for name in FIELDS if name != "id"}
    return row | {"title_folded": task.title.casefold(), "search_text": search_text(task)}


def _old(task: Task) -> dict[str, Any]:
    return {"old_id": task.id, "old_owner": task.owner_id, "old_version": task.version}
