"""The counters of the statistics on databases: what a change by hand does to them, and what mends it."""

import asyncio
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from application.ports import UnitOfWork
from domain.stats import Day, TaskStats
from domain.upload import Upload
from domain.user import UserId
from infrastructure.sql.engine import Engines
from infrastructure.sql.usage import COUNTERS
from tests.examples import MINUTE, NOON, a_file, stored_file, stored_task, stored_user


@pytest.fixture
def work(work_alone: UnitOfWork) -> UnitOfWork:
    return work_alone


async def a_history(work: UnitOfWork) -> tuple[UserId, UserId, UserId]:
    """Somebody with tasks and files, somebody with a task only, and somebody with nothing."""
    busy, other, idle = [await stored_user(work) for _ in range(3)]
    tasks = [await stored_task(work, busy, {"completed": n % 2 == 0, "due_at": NOON - MINUTE}) for n in range(5)]
    for size in (1, 20, 300):
        await stored_file(work, tasks[0], size=size)
    await stored_task(work, other)
    return busy.id, other.id, idle.id


async def numbers(work: UnitOfWork, owner: UserId) -> TaskStats:
    async with work.read() as tx:
        return await tx.stats.tally(owner, today=Day.around(NOON, ZoneInfo("UTC")), now=NOON)


async def versions(work: UnitOfWork, owners: tuple[UserId, ...]) -> list[int]:
    async with work.read() as tx:
        return [await tx.stats.version(owner) for owner in owners]


async def audited(work: UnitOfWork) -> list[tuple[UserId, bool]]:
    found: list[tuple[UserId, bool]] = []
    async with work.read() as tx:
        while some := await tx.stats.audit(after=found[-1][0] if found else UserId(0), limit=2):
            found += some
    return found


async def test_a_recount_mends_what_a_change_by_hand_left_wrong(engines: Engines, work: UnitOfWork) -> None:
    owners = await a_history(work)
    right, before = [await numbers(work, owner) for owner in owners], await versions(work, owners)
    async with engines.write.begin() as conn:
        await conn.execute(text("UPDATE usage SET low = 7, completed = 7, file_count = 7, file_bytes = 7"))
    mended = []
    for owner in (owners[0], owners[0], owners[2]):
        async with work.write() as tx:
            mended.append(await tx.stats.recount(owner))
    assert mended == [True, False, True]
    assert [await numbers(work, owner) for owner in (owners[0], owners[2])] == [right[0], right[2]]
    assert (await numbers(work, owners[1])).file_bytes == 7
    # What was cached while the numbers were wrong belongs to another version.
    assert await versions(work, owners) == [before[0] + 1, before[1], before[2] + 1]


@pytest.mark.parametrize(
    "by_hand",
    [
        *(f"UPDATE usage SET {column.name} = {column.name} + 1" for column in COUNTERS),  # noqa: S608  names of ours
        "UPDATE tasks SET file_count = file_count + 1",
        "UPDATE tasks SET completed_at = NULL",
        "UPDATE files SET file_size = file_size + 1",
        "DELETE FROM files WHERE file_size = 300",
    ],
)
async def test_an_audit_finds_who_is_miscounted_and_a_recount_mends_it(
    engines: Engines, work: UnitOfWork, by_hand: str
) -> None:
    owners = await a_history(work)
    assert await audited(work) == [(owner, True) for owner in owners]
    async with engines.write.begin() as conn:
        await conn.execute(text(by_hand))
    everybody = "usage" in by_hand
    some = "UPDATE tasks SET file_count" in by_hand
    assert await audited(work) == list(zip(owners, (False, not (everybody or some), not everybody), strict=True))
    for owner in owners:
        async with work.write() as tx:
            await tx.stats.recount(owner)
    assert await audited(work) == [(owner, True) for owner in owners]


async def test_a_recount_of_a_tasks_files_moves_its_version(engines: Engines, work: UnitOfWork) -> None:
    busy, *_ = await a_history(work)
    async with engines.write.begin() as conn:
        await conn.execute(text("UPDATE tasks SET file_count = 7 WHERE file_count = 3"))
        ((task_id, version),) = await conn.execute(text("SELECT id, version FROM tasks WHERE file_count = 7"))
    before = await versions(work, (busy,))
    for mended in (True, False):
        async with work.write() as tx:
            assert await tx.stats.recount(busy) is mended
    async with work.read() as tx:
        task = await tx.tasks.get(task_id, owner=busy)
    assert (task.file_count, task.version) == (3, version + 1)
    assert await versions(work, (busy,)) == [before[0] + 1]


async def test_a_recount_waits_for_whoever_is_writing(engines: Engines, work: UnitOfWork) -> None:
    """Else it would count the files from before, and take that for the number after."""
    owner = await stored_user(work)
    task = await stored_task(work, owner)
    async with engines.write.begin() as conn:
        await conn.execute(text("UPDATE tasks SET file_count = 7"))

    async def recount() -> bool:
        async with work.write() as tx:
            return await tx.stats.recount(owner.id)

    async with work.write() as tx:
        file = a_file(task)
        await tx.uploads.begin(Upload(file.stored_name, owner.id, 10, NOON), quota=10)
        await tx.files.add(file, quota=10)
        recounting = asyncio.create_task(recount())
        await until_somebody_waits(engines)
    assert await recounting
    assert await audited(work) == [(owner.id, True)]
    async with work.read() as tx:
        assert (await tx.tasks.get(task.id, owner=owner.id)).file_count == 1


async def until_somebody_waits(engines: Engines) -> None:
    """For a lock of PostgreSQL; on SQLite there is one connection to wait for."""
    if engines.write.dialect.name != "postgresql":
        return
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10), engines.read.connect() as conn:
        while not (await conn.execute(waiting)).scalar_one():  # noqa: ASYNC110  a database sets no event
            await asyncio.sleep(0.01)
