"""What any unit of work promises, whoever implements it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from application.notices import MailTaskCreated
from application.ports import Transaction, UnitOfWork
from domain.stats import Day
from domain.task import StaleTask, TaskId, TaskNotFound
from domain.user import EmailTaken, NotAuthenticated, User, UserId, UsernameTaken
from tests.examples import NOON, a_task, a_user, stored_file, stored_task, stored_user

NOBODY = UserId(2**62)
Call = Callable[[Transaction], Awaitable[object]]


async def version_of(work: UnitOfWork, user: User) -> int:
    async with work.read() as tx:
        return await tx.stats.version(user.id)


async def test_what_is_committed_can_be_read_by_anybody_at_once(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user, {"tags": ["a", "b"], "due_at": NOON, "description": "with 🎈"})
    async with work.read() as tx:
        assert await tx.tasks.get(task.id, owner=user.id) == task
        assert await tx.users.get(user.id) == user


async def test_an_exception_undoes_everything(work: UnitOfWork) -> None:
    user = await stored_user(work)
    before = await version_of(work, user)
    added = []

    async def add_and_fail() -> None:
        async with work.write() as tx:
            added.append(await tx.tasks.add(a_task(user)))
            await tx.jobs.enqueue(MailTaskCreated, user.id, "never")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await add_and_fail()
    async with work.read() as tx:
        with pytest.raises(TaskNotFound):
            await tx.tasks.get(added[0].id, owner=user.id)
    assert await version_of(work, user) == before


async def test_a_read_cannot_write(work: UnitOfWork) -> None:
    user = await stored_user(work)
    writes: list[Call] = [
        lambda tx: tx.tasks.add(a_task(user)),
        lambda tx: tx.users.add(a_user()),
        lambda tx: tx.stats.recount(user.id),
        lambda tx: tx.jobs.enqueue(MailTaskCreated, user.id, "never"),
    ]
    for write in writes:
        with pytest.raises(RuntimeError, match=r"work\.write"):
            async with work.read() as tx:
                await write(tx)


async def test_names_and_addresses_are_taken_without_regard_to_case(work: UnitOfWork) -> None:
    user = await stored_user(work)
    with pytest.raises(UsernameTaken):
        async with work.write() as tx:
            await tx.users.add(User(user.username.upper(), a_user().email, "hash", NOON))
    with pytest.raises(EmailTaken):
        async with work.write() as tx:
            await tx.users.add(User(a_user().username, user.email.upper(), "hash", NOON))
    async with work.read() as tx:
        assert await tx.users.find(user.username.upper()) == user
        assert await tx.users.find("nobody-" + user.username) is None


async def test_one_of_many_who_register_the_same_name_wins(work: UnitOfWork) -> None:
    name = a_user().username

    async def register(n: int) -> User:
        async with work.write() as tx:
            return await tx.users.add(User(name, f"{n}-{name}@example.org", "hash", NOON))

    outcomes = await asyncio.gather(*(register(n) for n in range(10)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["User"] + ["UsernameTaken"] * 9


async def test_nothing_is_stored_for_an_owner_who_is_gone(work: UnitOfWork) -> None:
    with pytest.raises(NotAuthenticated):
        async with work.write() as tx:
            await tx.tasks.add(a_task(User("x", "x", "", NOON, NOBODY)))
    questions: list[Call] = [
        lambda tx: tx.users.get(NOBODY),
        lambda tx: tx.stats.version(NOBODY),
        lambda tx: tx.stats.tally(NOBODY, today=Day.around(NOON, ZoneInfo("UTC")), now=NOON),
    ]
    for ask in questions:
        async with work.read() as tx:
            with pytest.raises(NotAuthenticated):
                await ask(tx)


async def test_the_next_version_is_stored_and_a_stale_one_refused(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user)
    async with work.write() as tx:
        saved = await tx.tasks.save(task.complete(at=NOON))
    assert (saved.version, saved.completed_at) == (2, NOON)
    saves: list[Call] = [lambda tx: tx.tasks.save(task), lambda tx: tx.tasks.save_many([task, saved])]
    for save in saves:
        with pytest.raises(StaleTask):
            async with work.write() as tx:
                await save(tx)
    async with work.read() as tx:
        assert await tx.tasks.get(task.id, owner=user.id) == saved


async def test_concurrent_edits_of_one_task_all_survive(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user)

    async def tag(n: int) -> None:
        async with work.write() as tx:
            latest = await tx.tasks.get(task.id, owner=user.id)
            await tx.tasks.save(latest.edit({"tags": [*latest.tags, str(n)]}, at=NOON))

    await asyncio.gather(*(tag(n) for n in range(20)))
    async with work.read() as tx:
        latest = await tx.tasks.get(task.id, owner=user.id)
    assert (sorted(latest.tags, key=int), latest.version) == ([str(n) for n in range(20)], 21)


async def test_somebody_elses_task_does_not_exist(work: UnitOfWork) -> None:
    user, other = await stored_user(work), await stored_user(work)
    mine, theirs = await stored_task(work, user), await stored_task(work, other)
    async with work.read() as tx:
        with pytest.raises(TaskNotFound):
            await tx.tasks.get(theirs.id, owner=user.id)
        with pytest.raises(TaskNotFound) as missing:
            await tx.tasks.get_many([theirs.id, mine.id, TaskId(2**62)], owner=user.id)
    assert missing.value.facts == {"ids": [theirs.id, TaskId(2**62)]}
    with pytest.raises(StaleTask):
        async with work.write() as tx:
            await tx.tasks.save(replace(theirs, owner_id=user.id))


async def test_many_are_read_in_the_order_asked_for_and_saved_together(work: UnitOfWork) -> None:
    user = await stored_user(work)
    tasks = [await stored_task(work, user) for _ in range(3)]
    async with work.write() as tx:
        found = await tx.tasks.get_many([tasks[2].id, tasks[0].id, tasks[1].id], owner=user.id)
        assert found == [tasks[2], tasks[0], tasks[1]]
        saved = await tx.tasks.save_many([task.complete(at=NOON) for task in found])
    assert [task.version for task in saved] == [2, 2, 2]
    async with work.read() as tx:
        assert await tx.tasks.get_many([task.id for task in saved], owner=user.id) == saved


async def test_every_write_to_tasks_and_files_changes_the_version_of_the_statistics(work: UnitOfWork) -> None:
    user = await stored_user(work)
    versions = [await version_of(work, user)]

    async def after() -> None:
        versions.append(await version_of(work, user))

    task, other = await stored_task(work, user), await stored_task(work, user)
    await after()
    async with work.write() as tx:
        task = await tx.tasks.save(task.complete(at=NOON))
    await after()
    async with work.write() as tx:
        task, other = await tx.tasks.save_many([task.reopen(at=NOON), other.complete(at=NOON)])
    await after()
    file = await stored_file(work, task)
    await after()
    async with work.write() as tx:
        await tx.files.delete(file)
    await after()
    async with work.write() as tx:
        await tx.tasks.delete([other])
    await after()
    assert versions == sorted(set(versions))


async def test_two_writes_that_take_many_rows_in_opposite_orders_both_end(work: UnitOfWork) -> None:
    user = await stored_user(work)
    ids = [(await stored_task(work, user)).id for _ in range(5)]

    async def complete(order: list[TaskId]) -> None:
        async with work.write() as tx:
            tasks = await tx.tasks.get_many(order, owner=user.id)
            await tx.tasks.save_many([task.edit({"tags": [str(task.version)]}, at=NOON) for task in tasks])

    await asyncio.gather(*(complete(order) for order in (ids, ids[::-1]) * 5))
    async with work.read() as tx:
        assert {task.version for task in await tx.tasks.get_many(ids, owner=user.id)} == {11}


async def test_ping(work: UnitOfWork) -> None:
    await work.ping()
