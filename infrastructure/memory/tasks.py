"""Tasks in a dict."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from domain.reminder import HOURS_AHEAD
from domain.task import StaleTask, Task, TaskId, TaskNotFound
from domain.task_list import TaskQuery
from domain.user import UserId
from infrastructure.memory.database import MemoryState


class MemoryTaskRepository:
    def __init__(self, state: MemoryState, ids: Iterator[int]) -> None:
        self._state = state
        self._ids = ids

    async def add(self, task: Task) -> Task:
        self._state.touch(task.owner_id)
        added = replace(task, id=TaskId(next(self._ids)))
        self._state.tasks[added.id] = added
        return added

    async def get(self, task_id: TaskId, *, owner: UserId) -> Task:
        task = self._state.tasks.get(task_id)
        if task is None or task.owner_id != owner:
            raise TaskNotFound
        return task

    async def get_many(self, task_ids: Sequence[TaskId], *, owner: UserId) -> list[Task]:
        mine = {task.id: task for task in self._state.tasks.values() if task.owner_id == owner}
        if missing := [task_id for task_id in task_ids if task_id not in mine]:
            raise TaskNotFound(ids=missing)
        return [mine[task_id] for task_id in task_ids]

    async def page(self, query: TaskQuery, *, owner: UserId) -> list[Task]:
        mine = [task for task in self._state.tasks.values() if task.owner_id == owner and query.filter.matches(task)]
        after = query.after
        left = mine if after is None else [task for task in mine if query.sort.behind(task, after)]
        return query.sort.sorted(left)[: query.limit + 1]

    async def save(self, task: Task) -> Task:
        latest = self._state.tasks.get(task.id)
        if latest is None or latest.version != task.version or latest.owner_id != task.owner_id:
            raise StaleTask
        saved = replace(task, version=task.version + 1)
        self._state.tasks[task.id] = saved
        self._state.touch(task.owner_id)
        return saved

    async def save_many(self, tasks: Sequence[Task]) -> list[Task]:
        return [await self.save(task) for task in tasks]

    async def delete(self, tasks: Sequence[Task]) -> list[str]:
        ids = {task.id for task in tasks}
        gone = [file for file in self._state.files.values() if file.task_id in ids]
        for file in gone:
            del self._state.files[file.id]
        for task in tasks:
            del self._state.tasks[task.id]
            for hours in HOURS_AHEAD:
                self._state.reminders.pop((task.id, hours), None)
            self._state.touch(task.owner_id)
        return [file.stored_name for file in gone]
