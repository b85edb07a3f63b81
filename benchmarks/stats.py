"""Statistics of one user, hit and miss, at a thousand to a million tasks, on PostgreSQL with Redis and on SQLite."""

import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from statistics import median
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import text

from application.ports import Cache
from application.stats import CountedStats, GetStats
from domain.user import User, UserId
from infrastructure.clock import utc_now
from infrastructure.memory.cache import MemoryCache
from infrastructure.redis.cache import RedisCache
from infrastructure.redis.link import RedisLink
from infrastructure.sql.engine import Engines, open_engines
from infrastructure.sql.jobs import SqlJobQueue
from infrastructure.sql.migrate import upgrade
from infrastructure.sql.unit_of_work import SqlUnitOfWork
from tests.services import Keeper, ask

SIZES = [int(size) for size in os.environ.get("BENCH_STATS_SIZES", "1000,100000,1000000").split(",")]
HITS, MISSES = 200, 15
CHUNK = 100_000  # rows in a statement, which may take ten seconds
UTC = ZoneInfo("UTC")

# `mixed`: a third done, the others due from 40 days ago to 40 days ahead, or at no time. `overdue`: all of them are.
HOURS = {"mixed": "(n % 1920) - 960", "overdue": "-1 - n % 9600"}
MOMENT = {
    "postgresql": "now() + ({}) * interval '1 hour'",
    "sqlite": "datetime('now', ({}) || ' hours') || '.000000'",
}
FILL = """
WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
INSERT INTO tasks (owner_id, title, description, priority, due_at, tags, created_at, updated_at, completed_at, version,
    file_count, title_folded, search_text)
SELECT {owner}, 'Task ' || n, 'Something to remember about task number ' || n, n % 4, {due}, {tags},
    {now}, {now}, {completed}, 1, 0, 'task ' || n, ' task ' || n || ' something to remember about task number ' || n
FROM numbers
"""


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # as in production
    keeper = Keeper()
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with _link(ask(keeper.address, "redis")) as link:
                await _measure(ask(keeper.address, "postgres"), RedisCache(link))
            await _measure(f"sqlite+aiosqlite:///{folder}/taskwell.db", MemoryCache())
    finally:
        keeper.end()


@asynccontextmanager
async def _link(url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(url)
    yield link
    await link.aclose()


async def _measure(url: str, cache: Cache) -> None:
    engines = open_engines(url, pool_size=5)
    await upgrade(engines.write)
    dialect = engines.write.dialect.name
    work = SqlUnitOfWork(engines, SqlJobQueue, on_jobs=lambda: None)  # it enqueues none
    get_stats = GetStats(work, cache, utc_now, timedelta(minutes=5))
    print(f"  {dialect}, {type(cache).__name__}: median (worst) in ms of {HITS} hits and {MISSES} misses")
    for size in SIZES:
        for kind in HOURS:
            owner = await _owner_of(work, engines, size, kind)
            stats = (await get_stats(owner, UTC)).stats
            assert stats.total == size, stats
            assert kind == "mixed" or stats.overdue == size, stats
            if dialect == "postgresql":
                await _timed(f"{size:9,} {kind}, never vacuumed", get_stats, cache, owner)
                async with engines.read.connect() as conn:
                    await conn.execute(text("VACUUM ANALYZE tasks"))  # as the server itself does within a minute
            await _timed(f"{size:9,} {kind}", get_stats, cache, owner)
    await engines.aclose()


async def _owner_of(work: SqlUnitOfWork, engines: Engines, size: int, kind: str) -> UserId:
    name = f"{kind}-{size}"
    async with work.write() as tx:
        owner = (await tx.users.add(User(name, f"{name}@example.org", "", utc_now()))).id
    for first in range(1, size + 1, CHUNK):
        async with engines.write.begin() as conn:
            values = {"owner": owner, "first": first, "last": min(size, first + CHUNK - 1)}
            await conn.exec_driver_sql(FILL.format(**values, **_values(conn.dialect.name, kind)))
    async with work.write() as tx:
        assert await tx.stats.recount(owner)
    return owner


def _values(dialect: str, kind: str) -> dict[str, str]:
    moment = MOMENT[dialect].format
    due, completed = moment(HOURS[kind]), "NULL"
    if kind == "mixed":
        due, completed = f"CASE WHEN n % 5 > 0 THEN {due} END", f"CASE WHEN n % 3 = 0 THEN {moment(0)} END"
    tags = """'["home", "work"]'""" + ("::jsonb" if dialect == "postgresql" else "")
    return {"due": due, "completed": completed, "now": moment("-n % 9999"), "tags": tags}


async def _timed(label: str, get_stats: GetStats, cache: Cache, owner: UserId) -> None:
    async def miss() -> CountedStats:
        await cache.delete(f"stats:user_{owner}:UTC")
        return await get_stats(owner, UTC)

    misses = await _times(miss, MISSES, cached=False)
    hits = await _times(lambda: get_stats(owner, UTC), HITS, cached=True)
    print(
        f"    {label:35} hit {median(hits):5.1f} ({max(hits):5.1f})   miss {median(misses):6.1f} ({max(misses):6.1f})"
        f"   load {os.getloadavg()[0]:.1f}"
    )


async def _times(call: Callable[[], Awaitable[CountedStats]], times: int, *, cached: bool) -> list[float]:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        counted = await call()
        taken.append((time.perf_counter() - started) * 1000)
        assert counted.cached is cached
    return taken
