"""Runs the jobs that wait in PostgreSQL, beside any number of other workers."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import structlog
from pgqueuer import Job, RetryRequested
from pgqueuer.core.executors import AsyncEntrypoint
from pgqueuer.core.tm import cancel_on_exit
from sqlalchemy import make_url

from infrastructure.draining import forward, work_until
from infrastructure.jobs import Again, Buried, Deliveries, Delivery, Jobs, Pace, Stopped
from infrastructure.pgqueuer.driver import PatientDriver
from infrastructure.pgqueuer.manager import SlotManager
from infrastructure.pgqueuer.queries import STOPPED, JobQueries

# A dead worker's job is taken over after at most LEASE + PACE.poll; pgqueuer renews a lease twice in its time.
LEASE = timedelta(seconds=20)
PACE = Pace(poll=timedelta(seconds=5))  # how late a retry may start; what is enqueued is notified and starts at once
BATCH = 100  # how many jobs that are done are told to the database at once, at the latest after 0.1 s
UNKNOWN_AFTER = timedelta(hours=1)
HOUSEKEEPING_SECONDS = 300.0
POOL_SIZE = 4
CONNECT_SECONDS, STATEMENT_SECONDS = 2, 10
RESTART_SECONDS = 1.0

logger = structlog.get_logger()


class JobBuried(Exception):
    """What pgqueuer keeps of a job that is not run again."""


def _is_news(record: logging.LogRecord) -> bool:
    """A job that is buried has been logged, and where in pgqueuer that was raised is of no interest."""
    return not (record.exc_info and isinstance(record.exc_info[1], JobBuried))


logging.getLogger("pgqueuer").addFilter(_is_news)


@dataclass(frozen=True, slots=True)
class PgqueuerWorker:
    """Keeps a lease on each job that it runs; a job that no worker knew for `unknown_after` is buried."""

    database_url: str
    jobs: Jobs
    _: KW_ONLY
    lease: timedelta = LEASE
    unknown_after: timedelta = UNKNOWN_AFTER
    pace: Pace = PACE

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and what then runs has ended. Cancelling this cancels what runs and puts it back."""
        deliver = Deliveries(self.jobs, backoff=self.pace.backoff)
        # Cancelling pgqueuer itself would delete the jobs that run.
        await work_until(stop, partial(self._work, deliver), deliver)

    async def _work(self, deliver: Deliveries, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._work_on_one_pool(deliver, stopping)
            except Exception as failure:  # noqa: BLE001  a worker that must run tries again, whatever happened
                logger.warning("worker starts again", error=type(failure).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), RESTART_SECONDS)

    async def _work_on_one_pool(self, deliver: Deliveries, stopping: asyncio.Event) -> None:
        options = _connection(self.database_url)
        async with asyncpg.create_pool(**options, min_size=0, max_size=POOL_SIZE, reset=_no_reset) as pool:
            driver = PatientDriver(pool, options, stopping)
            queries = JobQueries(driver)
            manager = SlotManager(queries, wake=driver.wake)
            for name in self.jobs:
                manager.entrypoint(name, accepts_context=False, on_failure="hold")(_entrypoint(deliver))
            managing = asyncio.create_task(self._manage(manager, queries, stopping))
            try:
                await asyncio.shield(managing)
            finally:
                if not managing.done():
                    pool.terminate()  # or it would wait for the answers of a database that may hang
                    managing.cancel()
                    await asyncio.gather(managing, return_exceptions=True)

    async def _manage(self, manager: SlotManager, queries: JobQueries, stopping: asyncio.Event) -> None:
        # pgqueuer sets its event itself when it gives up: it must not be ours.
        with forward(stopping, manager.shutdown):
            async with cancel_on_exit(asyncio.create_task(self._keep_house(queries))):
                await manager.run(
                    dequeue_timeout=self.pace.poll,
                    batch_size=BATCH,
                    shutdown_on_listener_failure=True,
                    heartbeat_timeout=self.lease,
                    log_aggregation_interval=timedelta(),  # its statistics serve nobody here
                )

    async def _keep_house(self, queries: JobQueries) -> None:
        while True:
            try:
                await queries.bury_unknown(list(self.jobs), after=self.unknown_after)
            except Exception as failure:  # noqa: BLE001  it can wait for the next time
                logger.warning("housekeeping failed", error=type(failure).__name__)
            await asyncio.sleep(min(HOUSEKEEPING_SECONDS, self.unknown_after.total_seconds()))


async def _no_reset(_: object) -> None:
    """Nothing here changes what a connection is set to; resetting it would be a round trip after each query."""


def _entrypoint(deliver: Deliveries) -> AsyncEntrypoint:
    async def run(job: Job) -> None:
        """Raise `RetryRequested` or `JobBuried`, and nothing else: pgqueuer logs and keeps what it is told."""
        match await deliver(Delivery(job.id, job.entrypoint, (job.payload or b"").decode(), job.attempts + 1)):
            case Stopped():
                raise RetryRequested(reason=STOPPED)
            case Again(error, after):
                raise RetryRequested(after, error)
            case Buried(error):
                raise JobBuried(error)

    return run


def _connection(database_url: str) -> dict[str, Any]:
    """What asyncpg makes of the URL that SQLAlchemy is given."""
    url = make_url(database_url)
    _, options = url.get_dialect()().create_connect_args(url)
    return {
        **options,
        "timeout": CONNECT_SECONDS,
        "command_timeout": STATEMENT_SECONDS,
        "server_settings": {"application_name": "taskwell worker", "jit": "off", "timezone": "UTC"},
    }
