"""`taskwell worker`: runs jobs until it is told to stop, and shows operators its health and metrics meanwhile."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog
import uvicorn
from typing_extensions import override

from infrastructure.container import Container
from infrastructure.lifecycle import closing, run_jobs
from infrastructure.settings import Settings
from interfaces.cli.serve import EDGE
from interfaces.http.app import create_worker_app

LAST_ANSWERS_SECONDS = 1

log = structlog.get_logger()


class Server(uvicorn.Server):
    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """It is the worker who is told to stop, and who stops this server when its jobs are done."""
        yield


async def work(settings: Settings) -> None:
    container = Container(settings=settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with closing(container), _port(container, stop):
        await run_jobs(container, stop)


@asynccontextmanager
async def _port(container: Container, stop: asyncio.Event) -> AsyncIterator[None]:
    """Answer until the end of the block. A port that can't be had keeps no job from being done."""
    settings = container.settings()
    try:
        listening = _listen(settings.host, settings.worker_port)
    except OSError as error:
        log.error("worker without a port", port=settings.worker_port, error=error.strerror)  # noqa: TRY400  told, not traced
        yield
        return
    log.info("worker shows its health", host=settings.host, port=listening.getsockname()[1])
    config = uvicorn.Config(
        create_worker_app(container, stopping=stop),
        lifespan="off",
        timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
        **EDGE,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        with suppress(TimeoutError):
            await asyncio.wait_for(serving, 2 * LAST_ANSWERS_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
