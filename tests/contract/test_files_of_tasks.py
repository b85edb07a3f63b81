"""What any repository of file records promises."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from application.ports import UnitOfWork
from domain.file import FileNotFound, QuotaExceeded, TaskFile
from domain.task import TaskNotFound
from tests.examples import QUOTA, a_file, held_by, recorded, stored_file, stored_task, stored_user


async def test_a_file_is_found_under_its_task_and_counted(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user)
    first, second = await stored_file(work, task, size=3), await stored_file(work, task, size=4)
    async with work.read() as tx:
        assert list(await tx.files.of_task(task.id, owner=user.id)) == [first, second]
        assert await tx.files.get(first.id, owner=user.id) == first
        counted = await tx.tasks.get(task.id, owner=user.id)
    assert (counted.file_count, counted.version, await held_by(work, user.id)) == (2, 3, 7)


async def test_a_task_without_files_has_an_empty_list_and_a_missing_one_none(work: UnitOfWork) -> None:
    user, other = await stored_user(work), await stored_user(work)
    task = await stored_task(work, user)
    async with work.read() as tx:
        assert list(await tx.files.of_task(task.id, owner=user.id)) == []
        with pytest.raises(TaskNotFound):
            await tx.files.of_task(task.id, owner=other.id)


async def test_somebody_elses_file_does_not_exist(work: UnitOfWork) -> None:
    user, other = await stored_user(work), await stored_user(work)
    task = await stored_task(work, other)
    file = await stored_file(work, task)
    async with work.read() as tx:
        with pytest.raises(FileNotFound):
            await tx.files.get(file.id, owner=user.id)
    with pytest.raises(TaskNotFound):
        async with work.write() as tx:
            await tx.files.add(a_file(replace(task, owner_id=user.id)), quota=QUOTA)


async def test_the_files_of_all_come_page_by_page_in_the_order_of_their_names(work: UnitOfWork) -> None:
    files = []
    for _ in range(2):
        task = await stored_task(work, await stored_user(work))
        for number in (9, 10, 100):
            file = replace(a_file(task), stored_name=f"task_{number}_{uuid4()}.txt")
            files.append(await recorded(work, file))
    async with work.read() as tx:
        assert await tx.files.count() >= len(files)
    files.sort(key=lambda file: file.stored_name)
    first, last = files[0].stored_name, files[-1].stored_name
    found: list[TaskFile] = []
    async with work.read() as tx:
        while page := await tx.files.page(after=found[-1].stored_name if found else first, upto=last, limit=2):
            assert len(page) <= 2
            found += page
        assert not await tx.files.page(after=last, upto=last)
    assert [file for file in found if file in files] == files[1:]
    assert [file.stored_name for file in found] == sorted(file.stored_name for file in found)


async def test_the_quota_is_exact_however_many_come_at_once(work: UnitOfWork) -> None:
    user = await stored_user(work)
    tasks = [await stored_task(work, user) for _ in range(3)]
    attempts = (stored_file(work, tasks[n % 3], size=10, quota=100) for n in range(25))
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["QuotaExceeded"] * 15 + ["TaskFile"] * 10
    assert await held_by(work, user.id) == 100
    async with work.read() as tx:
        assert sum([(await tx.tasks.get(task.id, owner=user.id)).file_count for task in tasks]) == 10


async def test_what_is_deleted_is_free_again(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user)
    file = await stored_file(work, task, size=10, quota=10)
    with pytest.raises(QuotaExceeded):
        await stored_file(work, task, size=1, quota=10)
    async with work.write() as tx:
        await tx.files.delete(await tx.files.get(file.id, owner=user.id))
    assert await held_by(work, user.id) == 0
    async with work.read() as tx:
        assert (await tx.tasks.get(task.id, owner=user.id)).file_count == 0
    await stored_file(work, task, size=10, quota=10)


async def test_one_of_many_who_delete_a_file_at_once_does_and_it_is_freed_once(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user)
    file = await stored_file(work, task, size=7)
    await stored_file(work, task, size=5)

    async def delete() -> None:
        async with work.write() as tx:
            await tx.files.delete(await tx.files.get(file.id, owner=user.id))

    outcomes = await asyncio.gather(*(delete() for _ in range(6)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["FileNotFound"] * 5 + ["NoneType"]
    assert await held_by(work, user.id) == 5
    async with work.read() as tx:
        assert (await tx.tasks.get(task.id, owner=user.id)).file_count == 1


async def test_a_deleted_task_takes_its_files_along_and_names_their_bytes(work: UnitOfWork) -> None:
    user = await stored_user(work)
    first, second = await stored_task(work, user), await stored_task(work, user)
    files = [await stored_file(work, task, size=5) for task in (first, first, second)]
    kept = await stored_file(work, await stored_task(work, user), size=1)
    async with work.write() as tx:
        names = await tx.tasks.delete(await tx.tasks.get_many([first.id, second.id], owner=user.id))
    assert sorted(names) == sorted(file.stored_name for file in files)
    assert await held_by(work, user.id) == 1
    async with work.read() as tx:
        for file in files:
            with pytest.raises(FileNotFound):
                await tx.files.get(file.id, owner=user.id)
        assert await tx.files.get(kept.id, owner=user.id) == kept
