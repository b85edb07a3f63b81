"""Runs the jobs that wait in PostgreSQL, beside any number of other workers."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from pgqueuer import Job, QueueManager, RetryRequested
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.core.tm import cancel_on_exit
from pgqueuer.domain.models import Context
from pgqueuer.domain.types import Channel
from sqlalchemy import make_url
from typing_extensions import override

from infrastructure.jobs import STOPPED, Again, Buried, Deliveries, Delivery, Jobs, Pace
from infrastructure.pgqueuer.driver import AWAY, PatientDriver
from infrastructure.pgqueuer.queries import JobQueries
from infrastructure.pgqueuer.schema import SETTINGS

# A dead worker's job is taken over after at most LEASE + PACE.poll; pgqueuer renews a lease twice in its time.
LEASE = timedelta(seconds=20)
PACE = Pace(poll=timedelta(seconds=5))  # how late a retry may start; what is enqueued is notified and starts at once
CONCURRENCY = 8
UNKNOWN_AFTER = timedelta(hours=1)
HOUSEKEEPING_SECONDS = 300.0
POOL_SIZE = 4
CONNECT_SECONDS, STATEMENT_SECONDS = 2, 10
RESTART_SECONDS = 1.0
LAST_WORD_SECONDS = 1.0  # for the database to learn what became of jobs that were cancelled

logger = structlog.get_logger()


class JobBuried(Exception):
    """What pgqueuer keeps of a job that is not run again."""


class DeliveryExecutor(AbstractEntrypointExecutor):
    def __init__(self, queries: JobQueries, deliver: Deliveries) -> None:
        super().__init__(EntrypointExecutorParameters(concurrency_limit=0, func=_never_called, on_failure="hold"))
        self._queries = queries
        self._deliver = deliver

    @override
    async def execute(self, job: Job, context: Context) -> None:
        """Raise `RetryRequested` or `JobBuried`, and nothing else: pgqueuer logs and keeps what it is told."""
        try:
            attempt = await self._queries.count_deliveries(job)
        except AWAY:
            raise RetryRequested(timedelta(), STOPPED) from None
        match await self._deliver(Delivery(job.id, job.entrypoint, (job.payload or b"").decode(), attempt)):
            case Again(error, after):
                raise RetryRequested(after, error)
            case Buried(error):
                raise JobBuried(error)


class PgqueuerWorker:
    """Keeps a lease on each job that it runs; a job that no worker knew for `unknown_after` is buried."""

    def __init__(
        self,
        database_url: str,
        jobs: Jobs,
        *,
        lease: timedelta = LEASE,
        unknown_after: timedelta = UNKNOWN_AFTER,
        pace: Pace = PACE,
    ) -> None:
        self._options = _connection(database_url)
        self._jobs = jobs
        self._lease = lease
        self._pace = pace
        self._unknown_after = unknown_after

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set and what then runs has ended. Cancelling this cancels what runs and puts it back."""
        stopping, deliver = asyncio.Event(), Deliveries(self._jobs, backoff=self._pace.backoff)
        with _forward(stop, stopping):
            working = asyncio.create_task(self._work(deliver, stopping))
            try:
                # Cancelling pgqueuer itself would delete the jobs that run.
                await asyncio.shield(working)
            finally:
                if not working.done():
                    stopping.set()
                    deliver.stop()
                    await asyncio.wait({working}, timeout=LAST_WORD_SECONDS)
                    working.cancel()
                    await asyncio.wait({working})

    async def _work(self, deliver: Deliveries, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._work_on_one_pool(deliver, stopping)
            except Exception as failure:  # noqa: BLE001  a worker that must run tries again, whatever happened
                logger.warning("worker starts again", error=type(failure).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), RESTART_SECONDS)

    async def _work_on_one_pool(self, deliver: Deliveries, stopping: asyncio.Event) -> None:
        async with asyncpg.create_pool(**self._options, min_size=0, max_size=POOL_SIZE) as pool:
            queries = JobQueries(PatientDriver(pool, self._options, stopping))
            manager = QueueManager(queries, Channel(SETTINGS.channel))
            for name in self._jobs:
                manager.register_executor(name, DeliveryExecutor(queries, deliver))
            # pgqueuer sets its event itself when it gives up: it must not be ours.
            with _forward(stopping, manager.shutdown):
                async with cancel_on_exit(asyncio.create_task(self._keep_house(queries))):
                    await manager.run(
                        dequeue_timeout=self._pace.poll,
                        batch_size=CONCURRENCY // 2,
                        max_concurrent_tasks=CONCURRENCY,
                        shutdown_on_listener_failure=True,
                        heartbeat_timeout=self._lease,
                        log_aggregation_interval=timedelta(),  # its statistics serve nobody here
                    )

    async def _keep_house(self, queries: JobQueries) -> None:
        while True:
            try:
                await queries.bury_unknown(list(self._jobs), after=self._unknown_after)
            except Exception as failure:  # noqa: BLE001  it can wait for the next time
                logger.warning("housekeeping failed", error=type(failure).__name__)
            await asyncio.sleep(min(HOUSEKEEPING_SECONDS, self._unknown_after.total_seconds()))


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


async def _never_called(job: Job) -> None:
    """pgqueuer wants a function; the executor is what it calls."""
    raise NotImplementedError


@contextmanager
def _forward(source: asyncio.Event, target: asyncio.Event) -> Iterator[None]:
    """Set `target` once `source` is set."""
    waiting = asyncio.create_task(source.wait())
    waiting.add_done_callback(lambda done: None if done.cancelled() else target.set())
    try:
        yield
    finally:
        waiting.cancel()
