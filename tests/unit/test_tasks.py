"""The use cases on tasks."""

from datetime import datetime, timedelta

import pytest

from application.tasks import (
    CompleteTask,
    CreateTask,
    DeleteTask,
    DeleteTasks,
    GetTask,
    ListTasks,
    ReopenTask,
    UpdateTask,
    UpdateTasks,
)
from domain.errors import Invalid
from domain.task import StaleTask, Task, TaskId, TaskNotFound
from domain.task_list import Position, TaskFilter, TaskQuery
from domain.user import User
from tests.examples import NOON, stored_file, stored_task, stored_user
from tests.unit.memory import Work

LATER = NOON + timedelta(hours=1)
UNKNOWN = TaskId(10**6)


def later() -> datetime:
    return LATER


def much_later() -> datetime:
    return LATER + timedelta(days=1)


async def read(work: Work, task: Task) -> Task:
    return await GetTask(work)(task.owner_id, task.id)


async def is_there(work: Work, task: Task) -> bool:
    try:
        return bool(await read(work, task))
    except TaskNotFound:
        return False


async def test_a_new_task_is_stored_and_its_owner_is_told(work: Work, owner: User) -> None:
    task = await CreateTask(work, lambda: NOON)(owner.id, {"title": "Write the report", "tags": ["work"]})
    assert await read(work, task) == task
    assert (task.created_at, task.version, task.tags) == (NOON, 1, ("work",))
    assert work.jobs() == [("mail-task-created", [owner.id, "Write the report"])]
    assert work.woken == 1


async def test_nothing_is_left_of_a_new_task_that_breaks_a_rule(work: Work, owner: User) -> None:
    with pytest.raises(Invalid):
        await CreateTask(work, lambda: NOON)(owner.id, {"title": " "})
    assert (await ListTasks(work)(owner.id, TaskQuery())).tasks == []
    assert work.jobs() == []


async def test_somebody_elses_task_is_not_there(work: Work, owner: User) -> None:
    task, other = await stored_task(work, owner), await stored_user(work)
    with pytest.raises(TaskNotFound):
        await GetTask(work)(other.id, task.id)
    with pytest.raises(TaskNotFound):
        await CompleteTask(work, later)(other.id, task.id)
    with pytest.raises(TaskNotFound):
        await ReopenTask(work, later)(other.id, task.id)
    with pytest.raises(TaskNotFound):
        await UpdateTask(work, later)(other.id, task.id, {"title": "Mine"})
    with pytest.raises(TaskNotFound):
        await DeleteTask(work)(other.id, task.id)
    assert await read(work, task) == task
    assert work.jobs() == []


async def test_a_page_says_where_the_next_one_starts_if_there_is_one(work: Work, owner: User) -> None:
    tasks = [await stored_task(work, owner) for _ in range(5)]
    pages: list[list[TaskId]] = []
    after: Position | None = None
    while not pages or after:
        page = await ListTasks(work)(owner.id, TaskQuery(after=after, limit=2))
        after = page.next
        pages.append([task.id for task in page.tasks])
    newest_first = [task.id for task in tasks][::-1]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert (await ListTasks(work)(owner.id, TaskQuery(limit=5))).next is None
    found = await ListTasks(work)(owner.id, TaskQuery(TaskFilter(completed=True)))
    assert (found.tasks, found.next) == ([], None)


async def test_an_update_is_the_next_version(work: Work, owner: User) -> None:
    task = await stored_task(work, owner)
    updated = await UpdateTask(work, later)(owner.id, task.id, {"title": "Read it"}, versions={1, 7})
    assert (updated.title, updated.version, updated.updated_at) == ("Read it", 2, LATER)
    assert await read(work, task) == updated
    assert work.jobs() == []


async def test_a_version_that_is_not_expected_is_not_updated(work: Work, owner: User) -> None:
    task = await stored_task(work, owner)
    for versions in ({2, 3}, set[int]()):
        with pytest.raises(StaleTask):
            await UpdateTask(work, later)(owner.id, task.id, {"title": "Read it"}, versions=versions)
    assert await read(work, task) == task


async def test_an_update_that_changes_nothing_writes_nothing(work: Work, owner: User) -> None:
    task = await stored_task(work, owner, {"completed": True})
    assert await UpdateTask(work, later)(owner.id, task.id, {}) == task
    assert await UpdateTask(work, later)(owner.id, task.id, {"completed": True}) == task
    assert await read(work, task) == task
    assert work.jobs() == []


async def test_setting_it_completed_is_told_like_completing_it(work: Work, owner: User) -> None:
    task = await stored_task(work, owner)
    updated = await UpdateTask(work, later)(owner.id, task.id, {"completed": True, "title": "It"})
    assert updated.completed_at == LATER
    assert work.jobs() == [("mail-task-completed", [owner.id, ["It"]])]


async def test_completing_twice_changes_and_tells_once(work: Work, owner: User) -> None:
    task = await stored_task(work, owner)
    done = await CompleteTask(work, later)(owner.id, task.id)
    assert (done.completed_at, done.version) == (LATER, 2)
    assert await CompleteTask(work, much_later)(owner.id, task.id) == done
    assert await read(work, task) == done
    assert work.jobs() == [("mail-task-completed", [owner.id, [task.title]])]


async def test_reopening_twice_changes_once_and_tells_nobody(work: Work, owner: User) -> None:
    task = await stored_task(work, owner, {"completed": True})
    opened = await ReopenTask(work, later)(owner.id, task.id)
    assert (opened.completed, opened.version, opened.updated_at) == (False, 2, LATER)
    assert await ReopenTask(work, much_later)(owner.id, task.id) == opened
    assert await read(work, task) == opened
    assert work.jobs() == []


async def test_the_files_of_a_deleted_task_go_with_it_and_their_bytes_later(work: Work, owner: User) -> None:
    task, other = await stored_task(work, owner), await stored_task(work, owner)
    files = [await stored_file(work, task) for _ in range(2)]
    kept = await stored_file(work, other)
    await DeleteTask(work)(owner.id, task.id)
    assert not await is_there(work, task)
    assert work.jobs() == [("remove-file-contents", [[file.stored_name for file in files]])]
    assert list(work.database.snapshot().files) == [kept.id]


async def test_deleting_a_task_without_files_leaves_nothing_to_do_later(work: Work, owner: User) -> None:
    task = await stored_task(work, owner)
    await DeleteTask(work)(owner.id, task.id, versions={1})
    assert work.jobs() == []
    with pytest.raises(TaskNotFound):
        await DeleteTask(work)(owner.id, task.id)


async def test_a_version_that_is_not_expected_is_not_deleted(work: Work, owner: User) -> None:
    task = await stored_task(work, owner)
    with pytest.raises(StaleTask):
        await DeleteTask(work)(owner.id, task.id, versions={2})
    assert await is_there(work, task)


async def test_of_many_only_those_that_change_get_a_version_and_one_mail_names_them(work: Work, owner: User) -> None:
    done = await stored_task(work, owner, {"title": "Done before", "completed": True})
    tasks = [await stored_task(work, owner, {"title": title}) for title in ("Read", "Write")]
    await UpdateTasks(work, later)(owner.id, [tasks[1].id, done.id, tasks[0].id], {"completed": True})
    assert await read(work, done) == done
    assert [(await read(work, task)).version for task in tasks] == [2, 2]
    assert [(await read(work, task)).completed_at for task in tasks] == [LATER, LATER]
    assert work.jobs() == [("mail-task-completed", [owner.id, ["Write", "Read"]])]


async def test_all_or_none_are_updated(work: Work, owner: User) -> None:
    task, theirs = await stored_task(work, owner), await stored_task(work, await stored_user(work))
    with pytest.raises(TaskNotFound) as missing:
        await UpdateTasks(work, later)(owner.id, [task.id, theirs.id, UNKNOWN], {"completed": True})
    assert missing.value.facts == {"ids": [theirs.id, UNKNOWN]}
    with pytest.raises(Invalid):
        await UpdateTasks(work, later)(owner.id, [task.id], {"title": ""})
    assert await read(work, task) == task
    assert work.jobs() == []


async def test_one_job_frees_the_bytes_of_many_tasks(work: Work, owner: User) -> None:
    tasks = [await stored_task(work, owner) for _ in range(3)]
    files = [await stored_file(work, task) for task in tasks[:2]]
    await DeleteTasks(work)(owner.id, [task.id for task in tasks])
    assert [await is_there(work, task) for task in tasks] == [False, False, False]
    assert work.jobs() == [("remove-file-contents", [[file.stored_name for file in files]])]


async def test_all_or_none_are_deleted(work: Work, owner: User) -> None:
    task = await stored_task(work, owner)
    with pytest.raises(TaskNotFound) as missing:
        await DeleteTasks(work)(owner.id, [task.id, UNKNOWN])
    assert missing.value.facts == {"ids": [UNKNOWN]}
    assert await is_there(work, task)
