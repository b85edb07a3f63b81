"""The counters of the statistics on databases: what a change by hand does to them, and what mends it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from application.ports import UnitOfWork
from domain.stats import Day, TaskStats
from domain.user import UserId
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.sql.engine import Engines, open_engines
from infrastructure.sql.jobs import SqlJobQueue
from infrastructure.sql.migrate import upgrade
from infrastructure.sql.unit_of_work import SqlUnitOfWork
from infrastructure.sql.usage import COUNTERS
from tests.conftest import NewDatabase
from tests.examples import MINUTE, NOON, stored_file, stored_task, stored_user


@pytest.fixture(params=["sqlite", "postgresql"])
async def engines(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engines]:
    @asynccontextmanager
    async def file() -> AsyncIterator[str]:
        yield f"sqlite+aiosqlite:///{tmp_path / 'taskwell.db'}"

    empty: NewDatabase = file if request.param == "sqlite" else request.getfixturevalue("new_postgres_database")
    async with empty() as url:
        engines = open_engines(url, pool_size=2)
        await upgrade(engines.write)
        yield engines
        await engines.aclose()


@pytest.fixture
async def work(engines: Engines) -> UnitOfWork:
    jobs: Any = PgqueuerJobQueue if engines.write.dialect.name == "postgresql" else SqlJobQueue
    return SqlUnitOfWork(engines, jobs, on_jobs=lambda: None)


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
