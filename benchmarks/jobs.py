"""Jobs on PostgreSQL: from the commit to the start on an idle queue; and jobs a second, beside pgqueuer used bare.

Two worker processes each, in turns, and jobs that do nothing, all of them enqueued before the first runs.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import ClassVar

import asyncpg

from benchmarks.started import environment
from infrastructure import logs
from infrastructure.enqueued import EnqueuedJobs
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.pgqueuer.worker import PgqueuerWorker
from infrastructure.sql.engine import Engines, open_engines
from tests.e2e.service import ROOT

STARTS, PAUSE_SECONDS = 500, 0.02
JOBS, ROUNDS, WORKERS = 6000, 5, 2


class Nothing:
    """Does nothing, and tells when."""

    job_name: ClassVar[str] = "nothing"

    def __init__(self) -> None:
        self.started: asyncio.Queue[float] = asyncio.Queue()

    async def __call__(self) -> None:
        self.started.put_nowait(time.perf_counter())


async def main() -> None:
    logs.configure(level="warning", form="json")
    with environment() as env:
        url = env["TASKWELL_DATABASE_URL"]
        engines = open_engines(url, pool_size=2)
        try:
            await _latency(url, engines)
            await _throughput(url, engines)
        finally:
            await engines.aclose()


async def _latency(url: str, engines: Engines) -> None:
    nothing, stop, seconds = Nothing(), asyncio.Event(), []
    running = asyncio.create_task(PgqueuerWorker(url, {"nothing": nothing}).run(stop))
    for _ in range(STARTS):
        async with engines.write.begin() as conn:
            await EnqueuedJobs(PgqueuerJobQueue(conn)).enqueue(Nothing)
            enqueued = time.perf_counter()
        seconds.append(await asyncio.wait_for(nothing.started.get(), 30) - enqueued)
        await asyncio.sleep(PAUSE_SECONDS)
    stop.set()
    await running
    seconds = sorted(seconds[10:])  # the first ones wait for connections
    half, tail, most = (seconds[int(len(seconds) * share)] * 1000 for share in (0.5, 0.99, 0.9999))
    print(f"  enqueue to start, commit included, {len(seconds)} jobs one by one: ", end="")
    print(f"median {half:.1f} ms, p99 {tail:.1f} ms, slowest {most:.1f} ms")


async def _throughput(url: str, engines: Engines) -> None:
    pairs = [[await _jobs_per_second(url, engines, kind) for kind in ("ours", "bare")] for _ in range(ROUNDS)]
    ours, bare = ([pair[side] for pair in pairs] for side in (0, 1))
    ratios = sorted(a / b for a, b in pairs)
    print(f"  jobs that do nothing, {WORKERS} workers, {ROUNDS} rounds of {JOBS} jobs in turns")
    print(f"    Taskwell      {median(ours):6.0f} jobs/s")
    print(f"    bare pgqueuer {median(bare):6.0f} jobs/s")
    print(f"    ratio         {median(ratios):6.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


async def _jobs_per_second(url: str, engines: Engines, kind: str) -> float:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute("TRUNCATE pgqueuer, pgqueuer_log")
        await connection.execute(
            "INSERT INTO pgqueuer (priority, entrypoint, payload, status)"
            """ SELECT 0, 'nothing', '[[], {}, "key"]', 'queued' FROM generate_series(1, $1)""",
            JOBS,
        )
        await connection.execute("VACUUM ANALYZE pgqueuer")
        with _workers(url, kind):
            return await _rate(connection)
    finally:
        await connection.close()


async def _rate(connection: "asyncpg.Connection[asyncpg.Record]") -> float:
    """From a tenth of the jobs to nine tenths, so that neither start nor end of the processes counts."""
    at: dict[bool, tuple[float, int]] = {}
    left = JOBS
    while left > JOBS * 0.1:
        left = await connection.fetchval("SELECT count(*) FROM pgqueuer")
        at.setdefault(left <= JOBS * 0.9, (time.perf_counter(), left))
        if left <= JOBS * 0.9:
            first = at[True]
        await asyncio.sleep(0.02)
    return (first[1] - left) / (time.perf_counter() - first[0])


@contextmanager
def _workers(url: str, kind: str) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.jobs_worker", kind, url]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(WORKERS)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
