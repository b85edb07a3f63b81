"""Delays, unique keys, priorities and slots: the same on every engine."""

import asyncio
import time
from datetime import timedelta

import pytest

from infrastructure.jobs import MAX_DELIVERIES, SLOTS
from tests.contract.job_services import SOON, Fail, Service, Tell, Wait, postgres

NEVER = timedelta(hours=1)


async def enqueue_unique(service: Service, number: int, *, key: str = "key") -> None:
    async with service.work.write() as tx:
        await tx.jobs.configure(unique=key).enqueue(Tell, number)


async def test_a_delayed_job_starts_when_it_is_due_and_not_before(service: Service) -> None:
    tell, delay = Tell(), timedelta(seconds=0.3)
    async with service.running(tell):
        began = time.monotonic()
        async with service.work.write() as tx:
            await tx.jobs.configure(delay=delay).enqueue(Tell, 1)
        assert await tell.next() == (1, (), False)
    assert time.monotonic() - began >= delay.total_seconds()


async def test_a_delayed_job_holds_up_no_other(service: Service) -> None:
    tell = Tell()
    async with service.running(tell):
        async with service.work.write() as tx:
            await tx.jobs.configure(delay=timedelta(hours=1), priority=1).enqueue(Tell, 1)
            await tx.jobs.enqueue(Tell, 2)
        assert await tell.next() == (2, (), False)
        await service.becomes(service.stored, 1)
    assert tell.told.empty()


async def test_of_jobs_with_one_key_only_the_first_is_enqueued(service: Service) -> None:
    tell = Tell()
    async with service.work.write() as tx:
        unique = tx.jobs.configure(unique="key")
        await unique.enqueue(Tell, 1)
        await unique.enqueue(Tell, 2)
        await tx.jobs.configure(unique="other").enqueue(Tell, 3)
        await tx.jobs.enqueue(Tell, 4)
    await enqueue_unique(service, 5)
    async with service.running(tell):
        await service.becomes(service.stored, 0)
    assert sorted(str(tell.told.get_nowait()[0]) for _ in range(tell.told.qsize())) == ["1", "3", "4"]


async def test_many_who_enqueue_under_one_key_at_once_enqueue_one_job(service: Service) -> None:
    await asyncio.gather(*(enqueue_unique(service, number) for number in range(5)))
    assert await service.stored() == 1


async def test_a_key_is_taken_while_its_job_runs_whatever_its_kind_and_then_free(service: Service) -> None:
    wait, tell = Wait(), Tell()
    async with service.running(wait, tell):
        async with service.work.write() as tx:
            await tx.jobs.configure(unique="key").enqueue(Wait)
        await asyncio.wait_for(wait.started.get(), SOON)
        await enqueue_unique(service, 1)
        assert await service.stored() == 1
        wait.may_end.set()
        await service.becomes(service.stored, 0)
        await enqueue_unique(service, 2)
        assert await tell.next() == (2, (), False)
        await service.becomes(service.stored, 0)
    assert tell.told.empty()


async def enqueue_unique_and_fail(service: Service) -> None:
    async with service.work.write() as tx:
        await tx.jobs.configure(unique="key").enqueue(Tell, 1)
        raise ZeroDivisionError


async def test_a_key_is_free_again_after_a_rollback(service: Service) -> None:
    with pytest.raises(ZeroDivisionError):
        await enqueue_unique_and_fail(service)
    await enqueue_unique(service, 2)
    assert await service.stored() == 1


async def test_a_buried_job_does_not_hold_its_key(service: Service) -> None:
    fail, tell = Fail(times=99), Tell()
    async with service.running(fail, tell):
        async with service.work.write() as tx:
            await tx.jobs.configure(unique="key").enqueue(Fail, "x")
        await service.becomes(service.buried, [("fail", "OSError")])
        await enqueue_unique(service, 1)
        assert await tell.next() == (1, (), False)


async def test_the_higher_priority_goes_first_and_then_the_older_job(service: Service) -> None:
    tell, priorities = Tell(), [0, 5, -3, 5, 2_000_000_000, 0, -3, 1] * 4
    async with service.work.write() as tx:
        for number, priority in enumerate(priorities):
            await tx.jobs.configure(priority=priority).enqueue(Tell, number)
    async with service.running(tell):
        await service.becomes(service.stored, 0)
    order = [tell.told.get_nowait()[0] for _ in priorities]
    assert order == sorted(range(len(priorities)), key=lambda number: (-priorities[number], number))


async def test_a_kind_that_is_stuck_has_its_slots_and_delays_no_other(service: Service) -> None:
    wait, tell = Wait(), Tell()
    async with service.work.write() as tx:
        for _ in range(SLOTS + 120):
            await tx.jobs.configure(priority=9).enqueue(Wait)
    async with service.running(wait, tell):
        for _ in range(SLOTS):
            await asyncio.wait_for(wait.started.get(), SOON)
        for number in range(3):
            await service.enqueue(Tell, number)
            assert await tell.next() == (number, (), False)
        assert (wait.calls, wait.ended) == (SLOTS, 0)
        wait.may_end.set()
        await service.becomes(service.stored, 0)
    assert wait.calls == wait.ended == SLOTS + 120


async def test_a_slot_that_is_free_again_is_used_at_once(service: Service) -> None:
    tell = Tell()
    async with service.work.write() as tx:
        for number in range(5 * SLOTS):
            await tx.jobs.enqueue(Tell, number)
    async with service.running(tell, poll=NEVER):
        await service.becomes(service.stored, 0)
    assert tell.told.qsize() == 5 * SLOTS


async def test_postgres_a_slot_that_a_failure_frees_is_used_at_once_too(request: pytest.FixtureRequest) -> None:
    """Of a failure no other worker is notified, and this one has to notice when its next attempt is due."""
    fail = Fail(times=999)
    async with postgres(request) as service:
        async with service.work.write() as tx:
            for _ in range(5 * SLOTS):
                await tx.jobs.enqueue(Fail, "x")
        async with service.running(fail, poll=NEVER, backoff=lambda _: timedelta(seconds=0.05)):
            await service.becomes(service.buried, [("fail", "OSError")] * 5 * SLOTS)
    assert len(fail.calls) == 5 * SLOTS * MAX_DELIVERIES
