"""A worker with a short lease, for tests that kill it: `python -m tests.faults.worker_process SECONDS`."""

import asyncio
import sys
from datetime import timedelta

from infrastructure.container import Container, jobs
from infrastructure.jobs import Pace
from infrastructure.lifecycle import closing, run_jobs
from infrastructure.pgqueuer.worker import PgqueuerWorker
from infrastructure.settings import Settings


async def main(lease: timedelta) -> None:
    container = Container(settings=Settings())
    url, pace = container.settings().database_url, Pace(poll=lease / 4)
    container.job_runner.override(PgqueuerWorker(url, jobs(container), lease=lease, pace=pace))
    async with closing(container):
        await run_jobs(container, asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(timedelta(seconds=float(sys.argv[1]))))
