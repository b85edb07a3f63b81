"""What every store of rate limits promises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from application.ports import Rate, RateStore, Window
from infrastructure.memory.rates import MemoryRateStore
from infrastructure.redis.link import RedisLink
from infrastructure.redis.rates import RedisRateStore

Elapse = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def memory(_: pytest.FixtureRequest) -> AsyncIterator[tuple[RateStore, Elapse]]:
    now = 1000.0

    async def elapse(seconds: float) -> None:
        nonlocal now
        now += seconds

    yield MemoryRateStore(clock=lambda: now), elapse


@asynccontextmanager
async def valkey(request: pytest.FixtureRequest) -> AsyncIterator[tuple[RateStore, Elapse]]:
    link = RedisLink(request.getfixturevalue("redis_url"))

    async def elapse(seconds: float) -> None:
        """For the server's keys, a shorter life is the same as a later hour."""

        async def age(redis: Redis) -> None:
            async for key in redis.scan_iter("LIMITER/*"):
                await redis.pexpire(key, await redis.pttl(key) - round(1000 * seconds))

        await link.call(age)

    yield RedisRateStore(link, MemoryRateStore(), processes=1), elapse
    await link.aclose()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this is about the time that Redis is given; on a busy machine an answer may take longer."""
    monkeypatch.setattr("infrastructure.redis.link.ANSWER_SECONDS", 10.0)


@pytest.fixture(params=[memory, valkey], ids=lambda make: make.__name__)
async def store_and_time(request: pytest.FixtureRequest) -> AsyncIterator[tuple[RateStore, Elapse]]:
    async with request.param(request) as made:
        yield made


@pytest.fixture
def store(store_and_time: tuple[RateStore, Elapse]) -> RateStore:
    return store_and_time[0]


@pytest.fixture
def elapse(store_and_time: tuple[RateStore, Elapse]) -> Elapse:
    return store_and_time[1]


def a_rate(amount: int, seconds: int = 60, cost: int = 1) -> Rate:
    """Of a bucket that no other test uses."""
    return Rate(f"user_{uuid4().hex}/default", amount, seconds, cost)


async def hit(store: RateStore, rate: Rate) -> Window:
    (window,) = await store.hit([rate])
    return window


async def test_exactly_the_amount_passes_and_what_is_left_is_told(store: RateStore) -> None:
    rate = a_rate(3)
    windows = [await hit(store, rate) for _ in range(5)]
    assert [window.allowed for window in windows] == [True, True, True, False, False]
    assert [window.remaining for window in windows] == [2, 1, 0, 0, 0]
    assert all(50 < window.resets_in <= 60 for window in windows)


async def test_exactly_the_amount_of_fifty_at_once_passes(store: RateStore) -> None:
    rate = a_rate(20)
    windows = await asyncio.gather(*[hit(store, rate) for _ in range(50)])
    assert sum(window.allowed for window in windows) == 20
    assert sorted(window.remaining for window in windows if window.allowed) == list(range(20))


async def test_an_amount_of_none_lets_nobody_pass(store: RateStore) -> None:
    assert not (await hit(store, a_rate(0))).allowed


async def test_buckets_amounts_and_lengths_are_counted_apart(store: RateStore) -> None:
    rate = a_rate(1)
    others = [a_rate(1), Rate(rate.bucket, 2, rate.seconds), Rate(rate.bucket, 1, 2 * rate.seconds)]
    assert (await hit(store, rate)).allowed
    assert [(await hit(store, other)).allowed for other in others] == [True, True, True]


async def test_a_window_starts_with_its_first_request_and_not_with_later_ones(store: RateStore, elapse: Elapse) -> None:
    rate = a_rate(2)
    await hit(store, rate)
    await elapse(40)
    second, refused = await hit(store, rate), await hit(store, rate)
    assert second.allowed
    assert not refused.allowed
    assert 10 < refused.resets_in <= second.resets_in <= 20
    await elapse(21)
    fresh = await hit(store, rate)
    assert (fresh.allowed, fresh.remaining) == (True, 1)
    assert 50 < fresh.resets_in <= 60


async def test_a_refused_request_starts_no_window(store: RateStore, elapse: Elapse) -> None:
    full, empty = a_rate(0), a_rate(1)
    await store.hit([full, empty])
    await elapse(30)
    assert 50 < (await hit(store, empty)).resets_in <= 60


async def test_several_rates_are_charged_all_or_none(store: RateStore) -> None:
    minute, hour = a_rate(2), a_rate(3, seconds=3600)
    for _ in range(2):
        await store.hit([minute, hour])
    windows = await store.hit([hour, minute])
    assert [(window.allowed, window.remaining) for window in windows] == [(True, 1), (False, 0)]
    assert (await hit(store, hour)).allowed
    windows = await store.hit([minute, hour])
    assert [(window.allowed, window.remaining) for window in windows] == [(False, 0), (False, 0)]


async def test_several_rates_are_charged_all_or_none_for_many_at_once(store: RateStore) -> None:
    wide, narrow = a_rate(100), a_rate(7)
    answers = await asyncio.gather(*[store.hit([wide, narrow]) for _ in range(50)])
    assert sum(all(window.allowed for window in windows) for windows in answers) == 7
    assert (await hit(store, wide)).remaining == 100 - 7 - 1


async def test_a_cost_is_charged_whole_or_not_at_all(store: RateStore) -> None:
    dear = a_rate(10, cost=6)
    cheap = Rate(dear.bucket, dear.amount, dear.seconds, cost=4)
    windows = [await hit(store, rate) for rate in (dear, dear, cheap, cheap)]
    assert [(window.allowed, window.remaining) for window in windows] == [(True, 4), (False, 4), (True, 0), (False, 0)]


async def test_a_window_named_twice_is_charged_twice(store: RateStore) -> None:
    rate = a_rate(3)
    assert [window.remaining for window in await store.hit([rate, rate])] == [1, 1]
    assert [window.allowed for window in await store.hit([rate, rate])] == [True, False]
    assert (await hit(store, rate)).remaining == 0


async def test_memory_forgets_windows_that_have_ended() -> None:
    now = 0.0
    store = MemoryRateStore(clock=lambda: now)
    for _ in range(100):
        await hit(store, a_rate(1))
    now = 61.0
    for _ in range(100):
        await hit(store, a_rate(1))
    assert len(store._counters) == len(store._ends) == 100  # noqa: SLF001 - memory has no other witness


async def test_the_keys_in_redis_can_be_read_and_counters_set_by_hand_end(redis_url: str) -> None:
    rate = a_rate(5)
    key = f"LIMITER/{rate.bucket}/5/60"
    link = RedisLink(redis_url)
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        await redis.script_flush()  # as after a restart of the server
        store = RedisRateStore(link, MemoryRateStore(), processes=1)
        await hit(store, rate)
        assert await redis.get(key) == "1"
        assert 50_000 < await redis.pttl(key) <= 60_000
        await redis.set(key, 5)
        assert not (await hit(store, rate)).allowed
        assert 50_000 < await redis.pttl(key) <= 60_000
    await link.aclose()
