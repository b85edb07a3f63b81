"""Opening and closing what the container holds, and running its jobs in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress

from infrastructure.alone import alone
from infrastructure.container import Container, imported
from infrastructure.settings import Settings
from infrastructure.stopping import on_stop_signal


@asynccontextmanager
async def running(container: Container) -> AsyncIterator[None]:
    """Open what the service needs, run its jobs if they are its to run, and close everything at the end."""
    settings = container.settings()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(closing(container))
        stack.enter_context(owning(settings))
        if settings.database == "sqlite":
            await migrate(settings)
        if settings.runs_jobs:
            await stack.enter_async_context(_running_jobs(container))
        yield


def owning(settings: Settings) -> AbstractContextManager[None]:
    """An SQLite database belongs to one process at a time. Raise `NotAlone` if another one has it."""
    return alone(settings.lock_file) if settings.database == "sqlite" else nullcontext()


@asynccontextmanager
async def closing(container: Container) -> AsyncIterator[None]:
    """Close at the end whatever adapters have open; one that fails to close keeps no other from it."""
    settings = container.settings()
    async with AsyncExitStack() as stack:
        if settings.database != "memory":
            stack.push_async_callback(container.engines().aclose)
        if settings.redis_url:
            stack.push_async_callback(container.redis().aclose)
        if settings.storage == "filesystem":
            stack.callback(container.storage().close)
        stack.callback(container.hasher().close)
        yield


async def migrate(settings: Settings) -> None:
    """Bring the database to the schema of this version. Raise `DatabaseAway` if it does not answer."""
    # On a connection of its own: an index on a large table takes longer than a request may.
    engines = imported("sql.engine", "open_engines")(settings.database_url, pool_size=1, statement_seconds=None)
    try:
        await imported("sql.migrate", "upgrade")(engines.write)
    finally:
        await engines.aclose()


async def schema(container: Container) -> str:
    """Whether the database is at the schema of this version: what `sql.migrate.schema` says. Raise `DatabaseAway`."""
    settings = container.settings()
    if settings.database == "sqlite" and not settings.sqlite_file.exists():
        return "none"  # to ask would make it
    found: str = await imported("sql.migrate", "schema")(container.engines().read)
    return found


async def run_jobs(container: Container, stop: asyncio.Event) -> None:
    """Run jobs, those of the schedules among them, until `stop`; what is in flight then has the time of the settings to
    end, or goes back to the queue."""
    scheduling = asyncio.create_task(container.scheduler().run())
    running = asyncio.create_task(container.job_runner().run(stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    scheduling.cancel()
    with suppress(TimeoutError):
        await asyncio.wait_for(running, container.settings().shutdown_seconds)
    await asyncio.wait({scheduling})


@asynccontextmanager
async def _running_jobs(container: Container) -> AsyncIterator[None]:
    stop = asyncio.Event()
    with on_stop_signal(stop):
        runner = asyncio.create_task(run_jobs(container, stop))
        try:
            yield
        finally:
            stop.set()
            await runner
