"""What an operator sees of the jobs, and may do with those that are dead, whichever queue they wait in."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import ClassVar

import pytest
from sqlalchemy import text

from application.jobs import JobDepth, JobRecord, JobRecords
from application.ports import DatabaseAway
from infrastructure.clock import utc_now
from infrastructure.jobs import MAX_DELIVERIES
from infrastructure.pgqueuer.records import PgqueuerJobTable
from infrastructure.sql.engine import open_engines
from infrastructure.sql.job_records import EmbeddedJobTable, SqlJobRecords
from tests.contract.job_services import SOON, Service, memory, postgres, sqlite
from tests.ports import free_port

AGES = timedelta(days=1)


@pytest.fixture(params=[memory, sqlite, postgres], ids=lambda make: make.__name__)
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with request.param(request) as service:
        yield service


@dataclass
class Fail:
    job_name: ClassVar[str] = "fail"
    calls: int = 0
    healed: bool = False

    async def __call__(self, number: int) -> None:
        self.calls += 1
        if not self.healed:
            raise OSError("s3cret")


@dataclass
class Wait:
    """Fails once, and then runs until it may end."""

    job_name: ClassVar[str] = "wait"
    failed: bool = False
    started: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        if not self.failed:
            self.failed = True
            raise LookupError
        self.started.set()
        await self.may_end.wait()


async def dead(service: Service, *numbers: int) -> list[JobRecord]:
    """A job of each of these numbers, dead."""
    for number in numbers:
        await service.enqueue(Fail, number)
    async with service.running(Fail()):
        await service.becomes(lambda: count(service, "dead"), len(numbers))
    return list(await service.records.page(state="dead"))


async def count(service: Service, state: str) -> int:
    return len([job for job in await service.records.page() if job.state == state])


async def test_a_job_that_waits_is_seen_as_it_was_enqueued(service: Service) -> None:
    before = utc_now()
    await service.enqueue(Fail, 7)
    await service.enqueue(Wait)
    first, second = await service.records.page()
    assert (first.name, first.state, first.attempts, first.priority, first.error) == ("fail", "waiting", 0, 0, None)
    assert json.loads(first.arguments)[:2] == [[7], {}]
    assert (second.name, second.state) == ("wait", "waiting")
    assert before - timedelta(seconds=5) < first.enqueued_at <= first.due_at < utc_now() + timedelta(seconds=5)
    assert await service.records.find(first.id) == first
    assert await service.records.find(second.id + 1) is None


async def test_what_runs_and_what_waits_for_its_next_attempt_are_told_apart(service: Service) -> None:
    wait = Wait()
    async with service.running(Fail(), wait, backoff=lambda attempt: timedelta(hours=attempt - 1)):
        await service.enqueue(Fail, 1)
        await service.enqueue(Wait)
        await asyncio.wait_for(wait.started.wait(), SOON)
        await service.becomes(lambda: states(service), [("waiting", 2), ("running", 2)])
        failed, runs = await service.records.page()
        assert failed.error == "OSError"
        assert failed.due_at - utc_now() > timedelta(minutes=50)
        assert runs.error == "LookupError"
        assert await service.records.page(state="running") == [runs]
        assert await service.records.retry([failed.id, runs.id]) == 0
        wait.may_end.set()


async def states(service: Service) -> list[tuple[str, int]]:
    return [(job.state, job.attempts) for job in await service.records.page()]


async def test_a_dead_job_shows_its_attempts_and_the_type_of_its_error(service: Service) -> None:
    (job,) = await dead(service, 1)
    assert (job.state, job.attempts, job.error) == ("dead", MAX_DELIVERIES, "OSError")
    assert "s3cret" not in repr(job)


async def test_a_page_has_the_oldest(service: Service) -> None:
    for number in range(4):
        await service.enqueue(Fail, number)
    jobs = await service.records.page(limit=3)
    assert [json.loads(job.arguments)[0] for job in jobs] == [[0], [1], [2]]


async def test_a_retried_job_has_all_its_attempts_again(service: Service) -> None:
    one, two = await dead(service, 1, 2)
    before = utc_now()
    assert await service.records.retry([two.id]) == 1
    again = await service.records.find(two.id)
    assert again
    assert again.due_at > before - timedelta(seconds=5)
    assert again.due_at > again.enqueued_at
    assert again == replace(two, state="waiting", attempts=0, due_at=again.due_at)
    fail = Fail()
    async with service.running(fail):
        await service.becomes(lambda: count(service, "dead"), 2)
    assert fail.calls == MAX_DELIVERIES
    assert await service.records.find(one.id) == one
    later = await service.records.find(two.id)
    assert (later and later.attempts) == MAX_DELIVERIES


async def test_all_that_is_dead_can_be_retried_at_once_and_be_done(service: Service) -> None:
    await dead(service, 1, 2, 3)
    await service.enqueue(Fail, 4)
    fail = Fail(healed=True)
    async with service.running(fail):
        assert await service.records.retry() == 3
        await service.becomes(service.stored, 0)
    assert fail.calls == 4
    assert await service.records.retry() == 0


async def test_a_runner_at_work_notices_a_retried_job(service: Service) -> None:
    (job,) = await dead(service, 1)
    async with service.running(Fail(healed=True)):
        await service.records.retry([job.id])
        await service.becomes(service.stored, 0)


async def test_postgres_a_worker_at_work_notices_a_retried_job_at_once(request: pytest.FixtureRequest) -> None:
    wait = Wait(failed=True)
    async with postgres(request) as service:
        await dead(service, 1)
        async with service.running(Fail(healed=True), wait, poll=AGES):
            for number in range(2):  # so that it has certainly begun to listen
                await service.enqueue(Fail, number)
                await service.becomes(service.stored, 1)
            await service.enqueue(Wait)
            await asyncio.wait_for(wait.started.wait(), SOON)
            await service.records.retry()
            await service.becomes(lambda: count(service, "dead"), 0)
            await service.becomes(service.stored, 1)
            wait.may_end.set()


async def test_purging_forgets_the_jobs_that_died_before(service: Service) -> None:
    died = (await dead(service, 1, 2))[0]
    await service.enqueue(Fail, 3)
    assert await service.records.purge(dead_before=utc_now() - AGES) == 0
    assert await service.records.purge(dead_before=utc_now() + AGES) == 2
    assert await service.records.find(died.id) is None
    assert [job.state for job in await service.records.page()] == ["waiting"]


async def test_pruning_forgets_nothing_of_the_jobs_that_are_stored(service: Service) -> None:
    await dead(service, 1)
    before = await service.records.page()
    await service.records.prune(before=utc_now() + AGES)
    assert await service.records.page() == before
    assert [job.attempts for job in before] == [MAX_DELIVERIES]


async def test_depths_count_by_name_and_state(service: Service) -> None:
    assert await service.records.depths() == []
    await dead(service, 1, 2)
    await service.enqueue(Fail, 3)
    await service.enqueue(Wait)
    await service.enqueue(Wait)
    jobs = await service.records.page()
    assert await service.records.depths() == [
        JobDepth("fail", "dead", 2, min(jobs[0].due_at, jobs[1].due_at)),
        JobDepth("fail", "waiting", 1, jobs[2].due_at),
        JobDepth("wait", "waiting", 2, jobs[3].due_at),
    ]


async def test_the_log_of_done_jobs_is_pruned(request: pytest.FixtureRequest) -> None:
    async with postgres(request) as service:
        await dead(service, 1)
        async with service.running(Fail(healed=True)):
            await service.records.retry()
            await service.becomes(service.stored, 0)
        await service.enqueue(Fail, 2)
        engines = open_engines(request.getfixturevalue("migrated_postgres"), pool_size=1)
        for before, left in ((utc_now() - AGES, True), (utc_now() + AGES, False)):
            await service.records.prune(before=before)
            async with engines.read.connect() as conn:
                rows = await conn.execute(text("SELECT count(DISTINCT job_id) FROM pgqueuer_log"))
            assert rows.scalar_one() == 1 + left
        await engines.aclose()


async def test_a_unique_key_that_is_taken_keeps_no_job_from_being_retried(request: pytest.FixtureRequest) -> None:
    async with postgres(request) as service:
        await dead(service, 1)
        await service.enqueue(Fail, 2)
        engines = open_engines(request.getfixturevalue("migrated_postgres"), pool_size=1)
        async with engines.write.begin() as conn:
            await conn.execute(text("UPDATE pgqueuer SET dedupe_key = 'one'"))
        await engines.aclose()
        assert await service.records.retry() == 1
        assert [job.state for job in await service.records.page()] == ["waiting", "waiting"]


CALLS: list[Callable[[JobRecords], Awaitable[object]]] = [
    lambda records: records.page(),
    lambda records: records.find(1),
    lambda records: records.retry(),
    lambda records: records.purge(dead_before=utc_now()),
    lambda records: records.prune(before=utc_now()),
    lambda records: records.depths(),
]


@pytest.mark.parametrize("table", [EmbeddedJobTable(), PgqueuerJobTable()], ids=["own", "pgqueuer"])
async def test_a_database_that_is_away_is_said_to_be(table: EmbeddedJobTable | PgqueuerJobTable) -> None:
    engines = open_engines(f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/nothing", pool_size=1)
    records = SqlJobRecords(engines, table)
    for call in CALLS:
        with pytest.raises(DatabaseAway):
            await call(records)
    await engines.aclose()
