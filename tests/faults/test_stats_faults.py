"""Statistics over processes that write, read slowly, and die, with a Redis that is paused, emptied, and out of date."""

import asyncio
import logging
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import structlog
from redis.asyncio import Redis
from typing_extensions import override

from application.ports import Cached, UnitOfWork
from application.stats import CountedStats, GetStats
from domain.task import Priority
from domain.user import User, UserId
from infrastructure.clock import utc_now
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.redis.cache import RedisCache
from infrastructure.redis.link import RedisLink
from infrastructure.sql.engine import open_engines
from infrastructure.sql.unit_of_work import SqlUnitOfWork
from tests.examples import stored_task, stored_user
from tests.faults.proxy import Proxy
from tests.faults.valkey import Valkey

PROCESSES, CLIENTS = 4, 8
TTL = timedelta(minutes=5)
ZONE = ZoneInfo("UTC")
SECONDS = 60  # a process that takes longer to come to the barrier is stuck

spawn = multiprocessing.get_context("spawn")
barrier: Barrier  # of a child process, see `join`

Hold = Callable[[], Awaitable[None]]


def join(shared: Barrier) -> None:
    global barrier  # noqa: PLW0603 - a pool hands a barrier over in no other way
    barrier = shared
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # as in production


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path) as valkey:
        yield valkey


async def at_once() -> None:
    """Nothing holds this reader up."""


@dataclass(frozen=True)
class SlowCache:
    """Between a count and its publication something comes in between, for as long as `hold` takes."""

    cache: RedisCache
    hold: Hold

    async def get_or_compute(
        self, key: str, compute: Callable[[], Awaitable[bytes]], *, ttl: timedelta, stamp: str = ""
    ) -> Cached:
        async def count_and_linger() -> bytes:
            value = await compute()
            await self.hold()
            return value

        return await self.cache.get_or_compute(key, count_and_linger, ttl=ttl, stamp=stamp)

    async def delete(self, key: str) -> None:
        await self.cache.delete(key)

    async def ping(self) -> None:
        await self.cache.ping()


@dataclass(frozen=True)
class Process:
    """What a process of the service has of all this."""

    work: UnitOfWork
    link: RedisLink

    async def stats(self, user: UserId, hold: Hold = at_once) -> CountedStats:
        return await GetStats(self.work, SlowCache(RedisCache(self.link), hold), utc_now, TTL)(user, ZONE)


@asynccontextmanager
async def process(database_url: str, redis_url: str) -> AsyncIterator[Process]:
    engines, link = open_engines(database_url, pool_size=5), RedisLink(redis_url)
    yield Process(SqlUnitOfWork(engines, PgqueuerJobQueue, on_jobs=lambda: None), link)
    await link.aclose()
    await engines.aclose()


async def some_users(database_url: str, redis_url: str, count: int) -> list[User]:
    async with process(database_url, redis_url) as here:
        return [await stored_user(here.work) for _ in range(count)]


def write_then_read(urls: tuple[str, str], number: int, users: list[User], pairs: int) -> Counter[str]:
    return asyncio.run(_write_then_read(urls, number, users, pairs))


async def _write_then_read(urls: tuple[str, str], number: int, users: list[User], pairs: int) -> Counter[str]:
    """All processes write to the same users, each tasks of a priority of its own, so that it knows their exact number.

    What is read in between is shared, and published late as often as not."""
    priority, seen = list(Priority)[number], Counter[str]()

    async def linger() -> None:
        await asyncio.sleep(random.choice([0, 0, 0.001, 0.01, 0.1]))

    async with process(*urls) as here:

        async def client(user: User) -> None:
            for written in range(1, pairs // CLIENTS + 1):
                await stored_task(here.work, user, {"priority": priority})
                for _ in range(2):
                    counted = await here.stats(user.id, linger)
                    seen["hits" if counted.cached else "misses"] += 1
                    seen["stale"] += counted.stats.by_priority[priority] < written
                    seen["wrong"] += counted.stats.by_priority[priority] > written
                seen["pairs"] += 1

        barrier.wait(SECONDS)
        await asyncio.gather(*map(client, users))
    return seen


async def disturb(valkey: Valkey) -> None:
    """Hold it up for shorter and longer than a command may take, and empty it, until nobody needs it any more."""
    try:
        while True:
            await asyncio.sleep(random.uniform(0.05, 0.5))
            valkey.do("FLUSHALL")
            await asyncio.sleep(random.uniform(0.05, 0.5))
            valkey.pause()
            await asyncio.sleep(random.choice([0.03, 0.09, 0.15, 0.6]))
            valkey.resume()
    finally:
        valkey.resume()


async def test_no_statistics_are_older_than_the_last_write(
    migrated_postgres: str, valkey: Valkey, pytestconfig: pytest.Config
) -> None:
    pairs = 10_000 if pytestconfig.getoption("--full") else 2_000
    urls = migrated_postgres, valkey.url
    users = await some_users(*urls, CLIENTS)
    with ProcessPoolExecutor(PROCESSES, spawn, join, (spawn.Barrier(PROCESSES),)) as pool:
        futures = [pool.submit(write_then_read, urls, n, users, pairs // PROCESSES) for n in range(PROCESSES)]
        disturbing = asyncio.create_task(disturb(valkey))
        seen = sum(await asyncio.gather(*map(asyncio.wrap_future, futures)), Counter[str]())
        disturbing.cancel()
        await asyncio.wait({disturbing})
    print(dict(seen))  # noqa: T201, shown with -s
    assert seen["pairs"] >= pairs - PROCESSES * CLIENTS
    assert (seen["stale"], seen["wrong"]) == (0, 0)
    assert seen["hits"] > pairs / 100, "a cache that never hits is never stale"


async def test_a_write_that_redis_did_not_see_is_in_the_statistics_when_it_comes_back(
    migrated_postgres: str, valkey: Valkey
) -> None:
    port = int(valkey.url.rpartition(":")[2].partition("/")[0])
    proxy = Proxy("127.0.0.1", port)
    await proxy.open()
    (user,) = await some_users(migrated_postgres, valkey.url, 1)
    through = f"redis://127.0.0.1:{proxy.port}/0"
    async with process(migrated_postgres, through) as writer, process(migrated_postgres, valkey.url) as reader:

        async def totals() -> list[int]:
            return [(await each.stats(user.id)).stats.total for each in (reader, writer, reader, writer)]

        await stored_task(writer.work, user)
        assert await totals() == [1] * 4
        assert (await reader.stats(user.id)).cached
        valkey.do("SAVE")  # a copy of what will be old

        await proxy.cut()
        await stored_task(writer.work, user)
        assert await totals() == [2] * 4
        await proxy.open()
        assert await totals() == [2] * 4

        await stored_task(writer.work, user)
        valkey.kill()
        assert await totals() == [3] * 4
        valkey.start()
        assert valkey.do("DBSIZE"), "it came back with the copy"
        for _ in range(20):
            assert await totals() == [3] * 4
            await asyncio.sleep(0.05)
        assert (await reader.stats(user.id)).cached, "and is used again"

        valkey.do("FLUSHALL")
        await stored_task(writer.work, user)
        assert await totals() == [4] * 4
    await proxy.cut()


@dataclass(frozen=True)
class Round:
    """What the readers of a process got, and whether it found Redis too slow: on a machine with too much to do."""

    totals: Counter[int]
    late: bool


class WatchedLink(RedisLink):
    opened = 0

    @override
    def _open(self, *, reason: str) -> None:
        self.opened += 1
        super()._open(reason=reason)


def read_at_once(urls: tuple[str, str], user: UserId, readers: int, rounds: int) -> list[Round]:
    return asyncio.run(_read_at_once(urls, user, readers, rounds))


async def _read_at_once(urls: tuple[str, str], user: UserId, readers: int, rounds: int) -> list[Round]:
    async with process(*urls) as other, aclosing(WatchedLink(urls[1])) as link, Redis.from_url(urls[1]) as redis:
        here = replace(other, link=link)
        await here.stats(user)
        found: list[Round] = []

        async def count_and_linger() -> None:
            await redis.incr(f"computations:{len(found)}")
            await asyncio.sleep(0.05)

        for _ in range(rounds):
            if found and found[-1].late:
                await asyncio.sleep(1)  # until Redis is asked again
            # Between the two nobody asks; one process writes, so that all of them miss.
            if barrier.wait(SECONDS) == 0:
                await stored_task(here.work, User("", "", "", utc_now(), user))
            barrier.wait(SECONDS)
            before = link.opened
            asked = await asyncio.gather(*(here.stats(user, count_and_linger) for _ in range(readers)))
            found.append(Round(Counter(counted.stats.total for counted in asked), link.opened > before))
        return found


async def test_a_thousand_who_miss_at_once_over_processes_share_one_computation(
    migrated_postgres: str, valkey: Valkey
) -> None:
    urls, rounds = (migrated_postgres, valkey.url), 8
    (user,) = await some_users(*urls, 1)
    with ProcessPoolExecutor(PROCESSES, spawn, join, (spawn.Barrier(PROCESSES),)) as pool:
        futures = [pool.submit(read_at_once, urls, user.id, 250, rounds) for _ in range(PROCESSES)]
        of_processes = await asyncio.gather(*map(asyncio.wrap_future, futures))
    computations = []
    for number, of_round in enumerate(zip(*of_processes, strict=True)):
        assert sum((one.totals for one in of_round), Counter[int]()) == {number + 1: 1000}
        if not any(one.late for one in of_round):
            computations.append(valkey.do("GET", f"computations:{number}"))
    assert computations
    assert set(computations) == {b"1"}


def count_for_ever(urls: tuple[str, str], user: UserId) -> None:
    async def main() -> None:
        async with process(*urls) as here, Redis.from_url(urls[1]) as redis:

            async def for_ever() -> None:
                await redis.lpush("begun", os.getpid())
                await asyncio.Event().wait()

            await here.stats(user, for_ever)

    asyncio.run(main())


async def test_another_process_takes_over_from_a_killed_one_within_two_seconds(
    migrated_postgres: str, valkey: Valkey
) -> None:
    urls, seconds = (migrated_postgres, valkey.url), []
    for _ in range(3):
        (user,) = await some_users(*urls, 1)
        child = spawn.Process(target=count_for_ever, args=(urls, user.id))
        child.start()
        async with process(*urls) as here, Redis.from_url(valkey.url) as redis:
            assert await redis.blpop(["begun"], timeout=SECONDS)
            waiting = asyncio.create_task(here.stats(user.id))
            done, _ = await asyncio.wait({waiting}, timeout=2.5)  # longer than the lease of a process that lives
            assert not done
            child.kill()
            killed = time.monotonic()
            assert not (await waiting).cached
            seconds.append(time.monotonic() - killed)
        child.join()
        child.close()
    print([f"{second:.2f}" for second in seconds])  # noqa: T201, shown with -s
    assert max(seconds) < 2
