"""`taskwell worker`: runs jobs until it is told to stop."""

import asyncio
import signal

from infrastructure.container import Container
from infrastructure.lifecycle import closing, run_jobs
from infrastructure.settings import Settings


async def work(settings: Settings) -> None:
    container = Container(settings=settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with closing(container):
        await run_jobs(container, stop)
