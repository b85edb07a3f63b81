"""Ticks of schedules: each is taken once, whoever asks for it, and however often."""

import asyncio
import secrets
from contextlib import suppress

import pytest

from application.ports import UnitOfWork


@pytest.fixture
def name() -> str:
    """One that nobody else has: tests share a database."""
    return secrets.token_hex(8)


async def take(work: UnitOfWork, name: str, *ticks: int) -> list[bool]:
    async with work.write() as tx:
        return [await tx.schedules.take(name, tick) for tick in ticks]


async def test_each_tick_is_taken_once_and_those_that_were_missed_never(work: UnitOfWork, name: str) -> None:
    assert await take(work, name, 7, 7) == [True, False]
    assert await take(work, name, 7, 6, 8, 8) == [False, False, True, False]
    assert await take(work, name, 108, 107, 108) == [True, False, False]


async def test_the_names_do_not_know_each_other(work: UnitOfWork, name: str) -> None:
    assert await take(work, name, 7) == [True]
    assert await take(work, f"{name}-other", 7) == [True]


async def test_one_of_many_who_want_a_tick_gets_it(work: UnitOfWork, name: str) -> None:
    for tick in (100, 101):  # the first ever, and the next
        taken = await asyncio.gather(*(take(work, name, tick) for _ in range(10)))
        assert sorted(taken) == [[False]] * 9 + [[True]]


async def test_what_is_rolled_back_is_there_for_the_next(work: UnitOfWork, name: str) -> None:
    with suppress(ZeroDivisionError):
        async with work.write() as tx:
            assert await tx.schedules.take(name, 7)
            raise ZeroDivisionError
    assert await take(work, name, 7) == [True]


async def test_who_waits_for_a_tick_that_is_rolled_back_gets_it(work: UnitOfWork, name: str) -> None:
    await take(work, name, 6)
    with suppress(ZeroDivisionError):
        async with work.write() as tx:
            assert await tx.schedules.take(name, 7)
            waiting = asyncio.create_task(take(work, name, 7))
            await asyncio.sleep(0)
            raise ZeroDivisionError
    assert await waiting == [True]


async def test_a_tick_of_a_wrong_clock_holds_nobody_up_for_long(work: UnitOfWork, name: str) -> None:
    """Nor does one of an interval that was shorter. A clock that is a little ahead is not wrong."""
    assert await take(work, name, 1000, 998, 997, 998, 999) == [True, True, False, False, True]
