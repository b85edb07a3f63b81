"""What any queue with its runner must do: a committed job runs, by one runner at a time, until it is done or buried."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

import pytest
import structlog
from pgqueuer import Queries
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver

from infrastructure.jobs import MAX_DELIVERIES, exponential, job_key
from infrastructure.sql.engine import open_engines
from tests.contract.job_services import SOON, Fail, Service, Tell, Wait


@dataclass
class AskForKey:
    """Asks for the key of its job, after a while too, and then fails a number of times."""

    job_name: ClassVar[str] = "ask-for-key"
    times: int
    keys: dict[str, list[str]] = field(default_factory=lambda: {"one": [], "two": []})

    async def __call__(self, name: str) -> None:
        key = job_key()
        await asyncio.sleep(0)  # the other job asks meanwhile
        assert job_key() == key
        self.keys[name].append(key)
        if len(self.keys[name]) <= self.times:
            raise OSError


@dataclass
class Unknown:
    job_name: ClassVar[str] = "nobody-knows-me"

    async def __call__(self) -> None: ...


async def test_a_committed_job_runs_once_with_its_arguments(service: Service) -> None:
    tell = Tell()
    async with service.running(tell):
        await service.enqueue(Tell, 7, ["Ü", "\x00"], loud=True)
        assert await tell.next() == (7, ["Ü", "\x00"], True)
        await service.becomes(service.stored, 0)
    assert tell.told.empty()


async def test_a_job_that_waits_runs_when_a_runner_starts(service: Service) -> None:
    tell = Tell()
    await service.enqueue(Tell, 1)
    async with service.running(tell):
        assert await tell.next() == (1, (), False)


async def enqueue_and_fail(service: Service) -> None:
    async with service.work.write() as tx:
        await tx.jobs.enqueue(Tell, 1)
        raise ZeroDivisionError


async def test_a_rolled_back_job_never_runs(service: Service) -> None:
    tell = Tell()
    async with service.running(tell):
        with pytest.raises(ZeroDivisionError):
            await enqueue_and_fail(service)
        assert await service.stored() == 0
        await service.enqueue(Tell, 2)
        assert await tell.next() == (2, (), False)
        await service.becomes(service.stored, 0)
    assert tell.told.empty()


async def test_a_failed_job_runs_again_after_a_wait_that_grows(service: Service) -> None:
    fail = Fail(times=3)
    waits = [0.05, 0.1, 0.2]
    async with service.running(fail, backoff=lambda attempt: timedelta(seconds=waits[attempt - 1])):
        await service.enqueue(Fail, "x")
        await service.becomes(service.stored, 0)
    gaps = [later - earlier for earlier, later in zip(fail.calls, fail.calls[1:], strict=False)]
    assert len(gaps) == 3
    assert all(gap >= wait for gap, wait in zip(gaps, waits, strict=True))
    assert await service.buried() == []


def test_by_default_the_wait_quadruples_from_two_seconds() -> None:
    for attempt, expected in enumerate([2, 8, 32, 128], 1):
        waits = [exponential(attempt).total_seconds() for _ in range(50)]
        assert all(expected * 0.8 <= wait <= expected * 1.2 for wait in waits)
        assert len(set(waits)) > 1


async def test_a_job_that_fails_each_time_is_buried_and_not_run_again(service: Service) -> None:
    fail, tell = Fail(times=99), Tell()
    async with service.running(fail, tell):
        await service.enqueue(Fail, "x")
        await service.becomes(service.buried, [("fail", "OSError")])
    async with service.running(fail, tell):
        await service.enqueue(Tell, 1)
        await tell.next()
        await service.becomes(service.stored, 1)
    assert len(fail.calls) == MAX_DELIVERIES
    assert await service.buried() == [("fail", "OSError")]


async def test_a_job_of_an_unknown_name_is_buried(service: Service) -> None:
    async with service.running(Tell()):
        await service.enqueue(Unknown)
        await service.becomes(service.buried, [("nobody-knows-me", "unknown job")])


async def test_a_job_of_an_unknown_name_is_left_alone_until_it_is_due(service: Service) -> None:
    async with service.work.write() as tx:
        await tx.jobs.configure(delay=timedelta(hours=1)).enqueue(Unknown)
    async with service.running(Tell()):
        await service.enqueue(Unknown)
        await service.becomes(service.buried, [("nobody-knows-me", "unknown job")])
    assert [job.state for job in await service.records.page()] == ["waiting", "dead"]


async def test_a_job_has_one_key_at_all_its_deliveries_and_no_other_job_has_it(service: Service) -> None:
    ask = AskForKey(times=2)
    async with service.running(ask):
        async with service.work.write() as tx:
            await tx.jobs.enqueue(AskForKey, "one")
            await tx.jobs.enqueue(AskForKey, "two")
        await service.becomes(service.stored, 0)
    one, two = ask.keys["one"], ask.keys["two"]
    assert (len(one), len(two)) == (3, 3)
    assert (len({*one}), len({*two}), len({*one, *two})) == (1, 1, 2)


def test_where_no_job_runs_there_is_no_key() -> None:
    with pytest.raises(LookupError):
        job_key()


async def test_two_runners_share_the_jobs_and_each_runs_once(service: Service) -> None:
    one, two = Tell(), Tell()
    async with service.work.write() as tx:
        for number in range(40):
            await tx.jobs.enqueue(Tell, number)
    async with service.running(one), service.running(two):
        await service.becomes(service.stored, 0)
    ran = [queue.get_nowait()[0] for queue in (one.told, two.told) for _ in range(queue.qsize())]
    assert sorted(ran, key=str) == sorted(range(40), key=str)


async def test_a_runner_leaves_alone_what_another_runs(service: Service) -> None:
    wait, never, one, two = Wait(), Wait(), Tell(), Tell()
    async with service.running(wait, one):
        await service.enqueue(Wait)
        await asyncio.wait_for(wait.started.get(), SOON)
        async with service.running(never, two), asyncio.timeout(SOON):
            while two.told.empty():  # until the second has certainly looked for work
                await service.enqueue(Tell, 1)
                await service.becomes(service.stored, 1)
        wait.may_end.set()
        await service.becomes(service.stored, 0)
    assert (wait.calls, wait.ended, never.calls) == (1, 1, 0)


async def test_a_runner_that_stops_lets_what_runs_end(service: Service) -> None:
    wait = Wait()
    await service.enqueue(Wait)
    async with service.running(wait) as runner:
        await asyncio.wait_for(wait.started.get(), SOON)
        asyncio.get_running_loop().call_soon(wait.may_end.set)
    await runner
    assert (wait.calls, wait.ended) == (1, 1)
    assert await service.stored() == 0


async def test_a_runner_that_has_no_more_time_puts_back_what_runs(service: Service) -> None:
    wait = Wait()
    await service.enqueue(Wait)
    async with service.running(wait) as runner:
        await asyncio.wait_for(wait.started.get(), SOON)
        runner.cancel()
        await asyncio.wait({runner}, timeout=SOON)
        assert runner.cancelled()
    assert (wait.calls, wait.ended, await service.stored()) == (1, 0, 1)
    wait.may_end.set()
    async with service.running(wait):
        await service.becomes(service.stored, 0)
    assert (wait.calls, wait.ended) == (2, 1)
    assert await service.buried() == []


async def test_to_be_put_back_is_no_failure(service: Service) -> None:
    wait = Wait()
    await service.enqueue(Wait)
    for _ in range(MAX_DELIVERIES + 1):
        async with service.running(wait) as runner:
            await asyncio.wait_for(wait.started.get(), SOON)
            runner.cancel()
            await asyncio.wait({runner}, timeout=SOON)
    (job,) = await service.records.page()
    assert (job.state, job.attempts, job.error) == ("waiting", 0, None)
    wait.may_end.set()
    async with service.running(wait):
        await service.becomes(service.stored, 0)
    assert (wait.calls, wait.ended) == (MAX_DELIVERIES + 2, 1)


async def test_nothing_that_a_job_was_given_or_raised_is_logged(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    fail = Fail(times=99)
    with structlog.testing.capture_logs() as lines:
        async with service.running(fail):
            await service.enqueue(Fail, "s3cret")
            await service.becomes(service.buried, [("fail", "OSError")])
    events = [line["event"] for line in lines if line["event"] in {"job failed", "job buried"}]
    assert events == ["job failed"] * MAX_DELIVERIES + ["job buried"]
    assert {(line["job"], line["error"]) for line in lines if line["event"] == "job failed"} == {("fail", "OSError")}
    assert "s3cret" not in f"{lines}{caplog.text}"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []  # of a library, said again


async def test_the_migrations_make_what_pgqueuer_declares(migrated_postgres: str) -> None:
    engines = open_engines(migrated_postgres, pool_size=1)
    async with engines.write.connect() as conn:
        connection = (await conn.get_raw_connection()).driver_connection
        assert connection is not None
        plan = await Queries(AsyncpgDriver(connection)).plan_upgrade()
    await engines.aclose()
    assert plan.statements == ()
