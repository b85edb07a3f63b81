"""The cache over processes that run at once or die, and with a Redis that stands still."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from application.ports import Cached
from infrastructure.redis.cache import RedisCache
from infrastructure.redis.link import RedisLink
from tests.computation import Computation
from tests.services import Servers, start_valkey

PROCESSES, READERS, ROUNDS = 4, 100, 10
ROUND_SECONDS = 60  # a process that takes longer is stuck
MINUTE = timedelta(minutes=1)

spawn = multiprocessing.get_context("spawn")


class Barrier(Protocol):
    def wait(self, timeout: float) -> int: ...


barrier: Barrier  # of a child process, see `join`


def join(shared: Barrier) -> None:
    global barrier  # noqa: PLW0603 - a pool hands a barrier over in no other way
    barrier = shared


def read_in_rounds(url: str, run: str) -> list[list[bytes]]:
    """What the readers of one process got in each round."""
    return asyncio.run(_read_in_rounds(url, run))


async def _read_in_rounds(url: str, run: str) -> list[list[bytes]]:
    async with Redis.from_url(url) as redis, aclosing(RedisLink(url)) as link:
        cache = RedisCache(link)
        await cache.ping()
        values = []
        for number in range(ROUNDS):
            compute = partial(count_computation, redis, f"computations:{run}:{number}", seconds=0.05 * (number % 3))
            barrier.wait(ROUND_SECONDS)
            readers = [cache.get_or_compute(f"value:{run}:{number}", compute, ttl=MINUTE) for _ in range(READERS)]
            values.append([cached.value for cached in await asyncio.gather(*readers)])
        return values


async def count_computation(redis: Redis, key: str, *, seconds: float) -> bytes:
    count = await redis.incr(key)
    await asyncio.sleep(seconds)
    return f"{os.getpid()} {count}".encode()


async def test_processes_that_miss_at_once_share_one_computation(redis_url: str) -> None:
    run = uuid4().hex
    with ProcessPoolExecutor(PROCESSES, spawn, join, (spawn.Barrier(PROCESSES),)) as pool:
        futures = [pool.submit(read_in_rounds, redis_url, run) for _ in range(PROCESSES)]
        of_processes = [future.result() for future in futures]
    for of_round in zip(*of_processes, strict=True):
        values = [value for values in of_round for value in values]
        assert len(values) == PROCESSES * READERS
        assert len(set(values)) == 1
        assert values[0].endswith(b" 1")


def compute_for_ever(url: str, key: str) -> None:
    async def main() -> None:
        async with aclosing(RedisLink(url)) as link, Redis.from_url(url) as redis:

            async def compute() -> bytes:
                await redis.lpush(f"{key}:begun", "")
                return await asyncio.Future[bytes]()

            await RedisCache(link).get_or_compute(key, compute, ttl=MINUTE)

    asyncio.run(main())


async def test_the_next_process_takes_over_from_one_that_was_killed(redis_url: str) -> None:
    key = f"value:{uuid4()}"
    process = spawn.Process(target=compute_for_ever, args=(redis_url, key))
    process.start()
    async with aclosing(RedisLink(redis_url)) as link, Redis.from_url(redis_url) as redis:
        assert await redis.blpop([f"{key}:begun"], timeout=30)
        compute = Computation()
        reader = asyncio.create_task(RedisCache(link).get_or_compute(key, compute, ttl=MINUTE))
        await asyncio.sleep(2)  # longer than a lease: it is renewed while the process lives
        assert compute.calls == 0
        process.kill()
        process.join()
        killed = time.monotonic()
        assert await reader == Cached(b"value", hit=False)
        assert time.monotonic() - killed < 5
        assert (await RedisCache(link).get_or_compute(key, compute, ttl=MINUTE)).hit


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[str]:
    """One of our own, that may be stopped."""
    servers = Servers(tmp_path)
    yield start_valkey(servers)
    servers.end()


async def test_a_redis_that_stands_still_costs_little_and_nothing_stale(valkey: str) -> None:
    async with Redis.from_url(valkey) as redis:
        process = (await redis.info("server"))["process_id"]
    async with aclosing(RedisLink(valkey)) as link:
        cache = RedisCache(link)
        assert not (await cache.get_or_compute("key", Computation(b"old"), ttl=MINUTE, stamp="1")).hit
        assert (await cache.get_or_compute("key", Computation(b"old"), ttl=MINUTE, stamp="1")).hit

        os.kill(process, signal.SIGSTOP)
        slowest = 0.0
        for _ in range(30):
            started = time.monotonic()
            assert await cache.get_or_compute("key", Computation(b"new"), ttl=MINUTE, stamp="2") == Cached(
                b"new", hit=False
            )
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.05)
        assert slowest < 1

        os.kill(process, signal.SIGCONT)
        async with asyncio.timeout(10):
            while not (cached := await cache.get_or_compute("key", Computation(b"new"), ttl=MINUTE, stamp="2")).hit:
                assert cached.value == b"new"
                await asyncio.sleep(0.02)
        assert cached == Cached(b"new", hit=True)
