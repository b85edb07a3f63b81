"""A worker process of the benchmark of jobs: `ours` is what `taskwell worker` runs, `bare` is pgqueuer as it comes."""

import asyncio
import signal
import sys
from typing import ClassVar

import asyncpg
from pgqueuer import QueueManager
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from infrastructure import logs
from infrastructure.pgqueuer.worker import POOL_SIZE, PgqueuerWorker


class Nothing:
    job_name: ClassVar[str] = "nothing"

    async def __call__(self) -> None: ...


async def ours(url: str, stop: asyncio.Event) -> None:
    await PgqueuerWorker(url, {"nothing": Nothing()}).run(stop)


async def bare(url: str, stop: asyncio.Event) -> None:
    async with asyncpg.create_pool(url.replace("+asyncpg", ""), min_size=0, max_size=POOL_SIZE) as pool:
        manager = QueueManager(Queries(AsyncpgPoolDriver(pool)))

        @manager.entrypoint("nothing")
        async def nothing(_: Job) -> None: ...

        running = asyncio.create_task(manager.run())
        await stop.wait()
        manager.shutdown.set()
        await running


async def main(kind: str, url: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await {"ours": ours, "bare": bare}[kind](url, stop)


if __name__ == "__main__":
    logs.configure(level="warning", form="json")
    asyncio.run(main(*sys.argv[1:]))
