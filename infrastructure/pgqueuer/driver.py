"""pgqueuer's driver, taught to outlive a restart of PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver, Relay
from pgqueuer.domain.models import TableChangedEvent, utc_now
from pgqueuer.ports.driver import NotifyCallback
from typing_extensions import override

from infrastructure.pgqueuer.schema import SETTINGS

# What a server that is gone, stops, starts or is full makes of a call, and what asyncpg makes of a lost connection.
AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
PAUSE_SECONDS = 1.0

logger = structlog.get_logger()
T = TypeVar("T")


_CHANGED = TableChangedEvent(
    channel=SETTINGS.channel,
    sent_at=utc_now(),
    type="table_changed_event",
    operation="insert",
    table=SETTINGS.queue_table,
).model_dump_json()


class PatientDriver(AsyncpgPoolDriver):
    """A statement waits for the server until the worker stops; the listener renews its connection."""

    def __init__(self, pool: "asyncpg.Pool[Any]", options: dict[str, Any], stopping: asyncio.Event) -> None:
        super().__init__(pool)
        self._options = options
        self._stopping = stopping
        self._listening = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._notify: NotifyCallback | None = None

    @override
    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return await self._patiently(lambda: super(PatientDriver, self).fetch(query, *args))

    @override
    async def execute(self, query: str, *args: object) -> str:
        return await self._patiently(lambda: super(PatientDriver, self).execute(query, *args))

    @override
    async def notify(self, channel: str, payload: str) -> None:
        """pgqueuer sends itself a notification to see whether it listens: not before it does."""
        await self._listening.wait()
        await self._patiently(lambda: super(PatientDriver, self).notify(channel, payload))

    @override
    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        self._notify = callback
        self._listener = asyncio.create_task(self._listen(channel, callback))

    @override
    async def __aexit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait({self._listener})

    def wake(self) -> None:
        """Make pgqueuer look for work, as if the table had changed."""
        if self._notify is not None:
            self._notify(_CHANGED)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        waiting = False
        while True:
            try:
                return await call()
            except AWAY as away:
                if self._stopping.is_set():
                    raise
                if not waiting:
                    logger.warning("jobs wait for the database", error=type(away).__name__)
                waiting = True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), PAUSE_SECONDS)

    async def _listen(self, channel: str, callback: NotifyCallback) -> None:
        while True:
            with suppress(*AWAY):
                await self._listen_once(channel, callback)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen_once(self, channel: str, callback: NotifyCallback) -> None:
        connection = await asyncpg.connect(**self._options)
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(channel, Relay(callback))
            self._listening.set()
            self.wake()  # it may have changed while nobody listened
            await lost.wait()
        finally:
            self._listening.clear()
            with suppress(*AWAY):
                await connection.close(timeout=PAUSE_SECONDS)
