"""What the cache in Redis promises beyond the others: to several processes, whatever lies in Redis, and without it.

Each "process" has a link of its own, which is all that they don't share here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from application.ports import CacheAway, Cached
from infrastructure.redis import cache as module
from infrastructure.redis.cache import Envelope, RedisCache
from infrastructure.redis.link import RedisLink
from tests.computation import Computation

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this is about the time that Redis is given; on a busy machine an answer may take longer."""
    monkeypatch.setattr("infrastructure.redis.link.ANSWER_SECONDS", 10.0)


@pytest.fixture
def key() -> str:
    return f"test:{uuid4()}"


@pytest.fixture
async def caches(redis_url: str) -> AsyncIterator[list[RedisCache]]:
    async with aclosing(RedisLink(redis_url)) as one, aclosing(RedisLink(redis_url)) as two:
        yield [RedisCache(one), RedisCache(two)]


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


async def test_one_computation_serves_all_processes(caches: list[RedisCache], key: str) -> None:
    compute = Computation(held=True)
    readers = [
        asyncio.create_task(cache.get_or_compute(key, compute, ttl=MINUTE)) for cache in caches for _ in range(50)
    ]
    await compute.begun.wait()
    await asyncio.sleep(0.05)  # time for a second computation to begin, if it could
    compute.go.set()
    assert await asyncio.gather(*readers) == [Cached(b"value", hit=False)] * 100
    assert compute.calls == 1


async def test_a_computation_may_outlast_its_lease(
    caches: list[RedisCache], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(module, "RENEWAL_SECONDS", 0.05)
    compute = Computation(held=True)
    readers = [asyncio.create_task(cache.get_or_compute(key, compute, ttl=MINUTE)) for cache in caches]
    await asyncio.sleep(0.6)
    compute.go.set()
    await asyncio.gather(*readers)
    assert compute.calls == 1


async def test_after_a_failure_the_next_process_computes(
    caches: list[RedisCache], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 60)
    failing, working = Computation(LookupError("gone"), held=True), Computation()
    first = asyncio.create_task(caches[0].get_or_compute(key, failing, ttl=MINUTE))
    await failing.begun.wait()
    second = asyncio.create_task(caches[1].get_or_compute(key, working, ttl=MINUTE))
    failing.go.set()
    with pytest.raises(LookupError, match="gone"):
        await first
    async with asyncio.timeout(5):  # less than the patience of who waits for a lock
        assert (await second).value == b"value"
    assert (failing.calls, working.calls) == (1, 1)


async def test_who_has_waited_long_enough_computes(
    caches: list[RedisCache], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    slow = Computation(held=True)
    first = asyncio.create_task(caches[0].get_or_compute(key, slow, ttl=MINUTE))
    await slow.begun.wait()
    assert (await caches[1].get_or_compute(key, Computation(b"own"), ttl=MINUTE)).value == b"own"
    slow.go.set()
    await first


async def test_the_lock_is_gone_after_the_computation(caches: list[RedisCache], server: Redis, key: str) -> None:
    await caches[0].get_or_compute(key, Computation(), ttl=MINUTE, stamp="7")
    assert [found async for found in server.scan_iter(f"{key}*", count=1000)] == [key.encode()]
    assert 0.9 * 60_000 - 5_000 < await server.pttl(key) <= 60_000


async def test_a_hit_is_one_command_and_a_miss_three(caches: list[RedisCache], server: Redis, key: str) -> None:
    await caches[0].get_or_compute(f"{key}:warm", Computation(), ttl=MINUTE)  # the server learns the scripts

    async def commands_for(outcome: bool) -> list[str]:
        async with server.monitor() as monitor:
            assert (await caches[0].get_or_compute(key, Computation(), ttl=MINUTE)).hit is outcome
            await server.echo(f"end {key}")
            seen: list[str] = []
            async for command in monitor.listen():
                if command["command"] == f"ECHO end {key}":
                    return seen
                if key in command["command"] and command["client_type"] != "lua":
                    seen.append(command["command"].split()[0])
        raise AssertionError

    assert await commands_for(outcome=False) == ["GET", "EVALSHA", "EVALSHA"]
    assert await commands_for(outcome=True) == ["GET"]


def sealed_for(key: str, *, stamp: str = "") -> bytes:
    return Envelope(key, stamp).seal(b"theirs")


@pytest.mark.parametrize(
    "content",
    [
        lambda _: b"",
        lambda _: b"garbage",
        lambda _: b"\xff\xfe\x00",
        lambda _: sealed_for("another:key"),
        lambda key: sealed_for(key, stamp="other"),
        lambda key: sealed_for(key)[:-1],
        lambda key: sealed_for(key)[:-1] + b"X",
        lambda key: Envelope(key, "").head,
    ],
)
async def test_what_is_not_ours_is_a_miss(
    caches: list[RedisCache], server: Redis, key: str, content: Callable[[str], bytes]
) -> None:
    await server.set(key, content(key))
    for hit in (False, True):
        assert await caches[0].get_or_compute(key, Computation(b"ours"), ttl=MINUTE) == Cached(b"ours", hit=hit)


@pytest.mark.parametrize("key_of", [lambda key: key, lambda key: f"{key}:lock:"])
async def test_another_type_under_a_key_heals(
    caches: list[RedisCache],
    server: Redis,
    key: str,
    key_of: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.1)
    await server.lpush(key_of(key), "a", "list")
    async with asyncio.timeout(5):  # less than the patience of who waits for a lock
        for hit in (False, True):
            assert await caches[0].get_or_compute(key, Computation(b"ours"), ttl=MINUTE) == Cached(b"ours", hit=hit)


async def test_without_redis_each_process_computes_once_for_all_its_callers(key: str) -> None:
    gone = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{gone.sockets[0].getsockname()[1]}"
    gone.close()
    await gone.wait_closed()
    compute = Computation(held=True)
    async with aclosing(RedisLink(url)) as link:
        cache = RedisCache(link)
        readers: list[Awaitable[Cached]] = [
            asyncio.create_task(cache.get_or_compute(key, compute, ttl=MINUTE)) for _ in range(100)
        ]
        await compute.begun.wait()
        compute.go.set()
        assert await asyncio.gather(*readers) == [Cached(b"value", hit=False)] * 100
        assert compute.calls == 1
        await cache.delete(key)
        with pytest.raises(CacheAway):
            await cache.ping()
