"""What every cache promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from application.ports import Cache, Cached
from infrastructure.memory.cache import MemoryCache
from infrastructure.redis.cache import RedisCache
from infrastructure.redis.link import RedisLink
from tests.computation import Computation

MINUTE = timedelta(minutes=1)


@asynccontextmanager
async def memory(_: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    yield MemoryCache()


@asynccontextmanager
async def valkey(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    async with aclosing(RedisLink(request.getfixturevalue("redis_url"))) as link:
        yield RedisCache(link)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this is about the time that Redis is given; on a busy machine an answer may take longer."""
    monkeypatch.setattr("infrastructure.redis.link.ANSWER_SECONDS", 10.0)


@pytest.fixture(params=[memory, valkey], ids=lambda make: make.__name__)
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    async with request.param(request) as cache:
        yield cache


@pytest.fixture
def key() -> str:
    return f"test:{uuid4()}"


# --- every cache


async def test_a_value_is_computed_once_and_then_found(cache: Cache, key: str) -> None:
    compute = Computation(b"\x00\xff\n\xf0")
    assert await cache.get_or_compute(key, compute, ttl=MINUTE) == Cached(b"\x00\xff\n\xf0", hit=False)
    assert await cache.get_or_compute(key, compute, ttl=MINUTE) == Cached(b"\x00\xff\n\xf0", hit=True)
    assert compute.calls == 1


async def test_nothing_is_a_value_too(cache: Cache, key: str) -> None:
    compute = Computation(b"")
    assert [await cache.get_or_compute(key, compute, ttl=MINUTE) for _ in range(2)] == [
        Cached(b"", hit=False),
        Cached(b"", hit=True),
    ]


async def test_a_value_expires(cache: Cache, key: str) -> None:
    compute = Computation()
    await cache.get_or_compute(key, compute, ttl=timedelta(milliseconds=20))
    await asyncio.sleep(0.1)
    assert not (await cache.get_or_compute(key, compute, ttl=MINUTE)).hit
    assert (await cache.get_or_compute(key, compute, ttl=MINUTE)).hit


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1)])
async def test_a_value_without_a_lifetime_is_not_kept(cache: Cache, key: str, ttl: timedelta) -> None:
    compute = Computation()
    assert [await cache.get_or_compute(key, compute, ttl=ttl) for _ in range(2)] == [Cached(b"value", hit=False)] * 2


async def test_another_stamp_is_another_value(cache: Cache, key: str) -> None:
    await cache.get_or_compute(key, Computation(b"one"), ttl=MINUTE, stamp="1")
    assert await cache.get_or_compute(key, Computation(b"two"), ttl=MINUTE, stamp="2") == Cached(b"two", hit=False)
    assert await cache.get_or_compute(key, Computation(b"no"), ttl=MINUTE, stamp="2") == Cached(b"two", hit=True)


async def test_who_has_the_new_stamp_never_sees_a_slow_computation_for_the_old_one(cache: Cache, key: str) -> None:
    slow = Computation(b"old", held=True)
    reader = asyncio.create_task(cache.get_or_compute(key, slow, ttl=MINUTE, stamp="1"))
    await slow.begun.wait()
    assert (await cache.get_or_compute(key, Computation(b"new"), ttl=MINUTE, stamp="2")).value == b"new"
    slow.go.set()
    assert (await reader).value == b"old"
    assert (await cache.get_or_compute(key, Computation(b"new"), ttl=MINUTE, stamp="2")).value == b"new"


async def test_a_thousand_who_miss_at_once_share_one_computation(cache: Cache, key: str) -> None:
    compute = Computation(held=True)
    readers = [asyncio.create_task(cache.get_or_compute(key, compute, ttl=MINUTE)) for _ in range(1000)]
    await compute.begun.wait()
    compute.go.set()
    assert await asyncio.gather(*readers) == [Cached(b"value", hit=False)] * 1000
    assert compute.calls == 1


async def test_keys_do_not_wait_for_each_other(cache: Cache, key: str) -> None:
    slow = Computation(held=True)
    reader = asyncio.create_task(cache.get_or_compute(key, slow, ttl=MINUTE))
    await slow.begun.wait()
    assert (await cache.get_or_compute(f"{key}:2", Computation(), ttl=MINUTE)).value == b"value"
    slow.go.set()
    await reader


async def test_a_leader_that_is_cancelled_strands_nobody(cache: Cache, key: str) -> None:
    compute = Computation(held=True)
    leader, *others = [asyncio.create_task(cache.get_or_compute(key, compute, ttl=MINUTE)) for _ in range(3)]
    await compute.begun.wait()
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    compute.go.set()
    assert await asyncio.gather(*others) == [Cached(b"value", hit=False)] * 2
    assert (await cache.get_or_compute(key, compute, ttl=MINUTE)).hit
    assert compute.calls == 1


async def test_what_a_computation_raises_goes_to_all_who_wait_and_is_not_kept(cache: Cache, key: str) -> None:
    compute = Computation(LookupError("gone"), held=True)
    readers = [asyncio.create_task(cache.get_or_compute(key, compute, ttl=MINUTE)) for _ in range(10)]
    await compute.begun.wait()
    compute.go.set()
    raised = await asyncio.gather(*readers, return_exceptions=True)
    assert [str(one) for one in raised] == ["gone"] * 10
    assert compute.calls == 1
    assert await cache.get_or_compute(key, Computation(b"again"), ttl=MINUTE) == Cached(b"again", hit=False)


async def test_a_deleted_value_is_gone(cache: Cache, key: str) -> None:
    compute = Computation()
    await cache.get_or_compute(key, compute, ttl=MINUTE)
    await cache.delete(key)
    await cache.delete(key)
    assert not (await cache.get_or_compute(key, compute, ttl=MINUTE)).hit


@pytest.mark.parametrize(("size", "kept"), [(1024 * 1024, True), (1024 * 1024 + 1, False)])
async def test_what_is_too_large_is_answered_and_not_kept(cache: Cache, key: str, size: int, kept: bool) -> None:
    compute = Computation(b"x" * size)
    assert len((await cache.get_or_compute(key, compute, ttl=MINUTE)).value) == size
    assert (await cache.get_or_compute(key, compute, ttl=MINUTE)).hit == kept


async def test_hits_and_misses_are_counted(cache: Cache, key: str) -> None:
    def counted(result: str) -> float:
        return REGISTRY.get_sample_value("cache_requests_total", {"result": result}) or 0

    hits, misses = counted("hit"), counted("miss")
    for _ in range(3):
        await cache.get_or_compute(key, Computation(), ttl=MINUTE)
    assert (counted("hit") - hits, counted("miss") - misses) == (2, 1)


async def test_it_answers(cache: Cache) -> None:
    await cache.ping()


# --- in this process


async def test_what_was_used_longest_ago_goes_first() -> None:
    cache, compute = MemoryCache(max_entries=2), Computation()
    for key in "abac":
        await cache.get_or_compute(key, compute, ttl=MINUTE)
    assert compute.calls == 3
    assert (await cache.get_or_compute("a", compute, ttl=MINUTE)).hit
    assert not (await cache.get_or_compute("b", compute, ttl=MINUTE)).hit


async def test_bytes_are_bounded_too() -> None:
    cache, compute = MemoryCache(max_bytes=2500), Computation(b"x" * 1000)
    for key in "abc":
        await cache.get_or_compute(key, compute, ttl=MINUTE)
    await cache.delete("b")  # makes room for one more
    hits = [(await cache.get_or_compute(key, compute, ttl=MINUTE)).hit for key in "cacab"]
    assert hits == [True, False, True, True, False]
