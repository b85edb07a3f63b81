"""Use cases on tasks."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from application.files import RemoveFileContents
from application.notices import MailTaskCompleted, MailTaskCreated
from application.ports import Clock, Transaction, UnitOfWork
from domain.task import StaleTask, Task, TaskChanges, TaskId
from domain.task_list import Position, TaskQuery
from domain.user import UserId


@dataclass(frozen=True, slots=True)
class CreateTask:
    """Open a task and mail its owner about it."""

    work: UnitOfWork
    clock: Clock

    async def __call__(self, actor: UserId, values: TaskChanges) -> Task:
        task = Task.new(actor, values, at=self.clock())
        async with self.work.write() as tx:
            await tx.jobs.enqueue(MailTaskCreated, actor, task.title)
            return await tx.tasks.add(task)


@dataclass(frozen=True, slots=True)
class GetTask:
    work: UnitOfWork

    async def __call__(self, actor: UserId, task_id: TaskId) -> Task:
        async with self.work.read() as tx:
            return await tx.tasks.get(task_id, owner=actor)


@dataclass(frozen=True, slots=True)
class Page:
    tasks: Sequence[Task]
    next: Position | None


@dataclass(frozen=True, slots=True)
class ListTasks:
    """One page of the actor's tasks, and where the next one starts, if there is one."""

    work: UnitOfWork

    async def __call__(self, actor: UserId, query: TaskQuery) -> Page:
        async with self.work.read() as tx:
            tasks = await tx.tasks.page(query, owner=actor)
        more = len(tasks) > query.limit
        shown = tasks[: query.limit]
        return Page(shown, query.sort.position(shown[-1]) if more else None)


@dataclass(frozen=True, slots=True)
class UpdateTask:
    """Set some fields of a task. With `versions`, raise `StaleTask` unless it is at one of them."""

    work: UnitOfWork
    clock: Clock

    async def __call__(
        self, actor: UserId, task_id: TaskId, changes: TaskChanges, *, versions: Set[int] | None = None
    ) -> Task:
        async with self.work.write() as tx:
            task = await tx.tasks.get(task_id, owner=actor)
            _expect(task, versions)
            edited = task.edit(changes, at=self.clock())
            return task if edited == task else (await _save(tx, [task], [edited]))[0]


@dataclass(frozen=True, slots=True)
class CompleteTask:
    """Mark a task done; doing it again changes nothing."""

    work: UnitOfWork
    clock: Clock

    async def __call__(self, actor: UserId, task_id: TaskId) -> Task:
        async with self.work.write() as tx:
            task = await tx.tasks.get(task_id, owner=actor)
            done = task.complete(at=self.clock())
            if done == task:
                return task
            await tx.jobs.enqueue(MailTaskCompleted, actor, [done.title])
            return await tx.tasks.save(done)


@dataclass(frozen=True, slots=True)
class ReopenTask:
    """Mark a task not done; doing it again changes nothing."""

    work: UnitOfWork
    clock: Clock

    async def __call__(self, actor: UserId, task_id: TaskId) -> Task:
        async with self.work.write() as tx:
            task = await tx.tasks.get(task_id, owner=actor)
            opened = task.reopen(at=self.clock())
            return task if opened == task else await tx.tasks.save(opened)


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Delete a task and its files. With `versions`, raise `StaleTask` unless it is at one of them."""

    work: UnitOfWork

    async def __call__(self, actor: UserId, task_id: TaskId, *, versions: Set[int] | None = None) -> None:
        async with self.work.write() as tx:
            task = await tx.tasks.get(task_id, owner=actor)
            _expect(task, versions)
            await _delete(tx, [task])


@dataclass(frozen=True, slots=True)
class UpdateTasks:
    """Set the same fields of many tasks, all or none."""

    work: UnitOfWork
    clock: Clock

    async def __call__(self, actor: UserId, task_ids: Sequence[TaskId], changes: TaskChanges) -> None:
        async with self.work.write() as tx:
            tasks = await tx.tasks.get_many(task_ids, owner=actor)
            now = self.clock()
            pairs = [(task, edited) for task in tasks if (edited := task.edit(changes, at=now)) != task]
            await _save(tx, [before for before, _ in pairs], [after for _, after in pairs])


@dataclass(frozen=True, slots=True)
class DeleteTasks:
    """Delete many tasks and their files, all or none."""

    work: UnitOfWork

    async def __call__(self, actor: UserId, task_ids: Sequence[TaskId]) -> None:
        async with self.work.write() as tx:
            await _delete(tx, await tx.tasks.get_many(task_ids, owner=actor))


def _expect(task: Task, versions: Set[int] | None) -> None:
    if versions is not None and task.version not in versions:
        raise StaleTask


async def _save(tx: Transaction, before: Sequence[Task], after: Sequence[Task]) -> list[Task]:
    completed = [new.title for old, new in zip(before, after, strict=True) if new.completed and not old.completed]
    if completed:
        await tx.jobs.enqueue(MailTaskCompleted, after[0].owner_id, completed)
    return await tx.tasks.save_many(after)


async def _delete(tx: Transaction, tasks: Sequence[Task]) -> None:
    stored_names = await tx.tasks.delete(tasks)
    if stored_names:
        await tx.jobs.enqueue(RemoveFileContents, stored_names)
