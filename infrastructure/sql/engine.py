"""Engines: fixed pools, timeouts on everything, reads without transactions, and SQLite made to keep its promises."""

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_SECONDS = 2
STATEMENT_SECONDS = 5
CLOSE_SECONDS = 1
WAIT_FOR_A_CONNECTION_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Engines:
    """`read` runs each statement by itself, without the round trips of BEGIN and ROLLBACK; `write` in transactions."""

    read: AsyncEngine
    write: AsyncEngine

    async def aclose(self) -> None:
        """Say goodbye on each connection, unless the database is too slow to listen."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.read.dispose()
                await self.write.dispose()


def open_engines(url: str, *, pool_size: int, statement_seconds: float | None = STATEMENT_SECONDS) -> Engines:
    """No connection is made yet. None for `statement_seconds` lets a statement of PostgreSQL take its time."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, pool_size)
    return _postgresql(parsed, pool_size, statement_seconds)


def _postgresql(url: URL, pool_size: int, statement_seconds: float | None) -> Engines:
    engine = _engine(
        url,
        pool_size=pool_size,
        pool_timeout=WAIT_FOR_A_CONNECTION_SECONDS,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": statement_seconds,
            "server_settings": {"application_name": "taskwell", "jit": "off", "timezone": "UTC"},
        },
    )
    return Engines(read=engine.execution_options(isolation_level="AUTOCOMMIT"), write=engine)


def _sqlite(url: URL, pool_size: int) -> Engines:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    read = _engine(url, pool_size=pool_size, pool_timeout=WAIT_FOR_A_CONNECTION_SECONDS)
    # SQLite has one writer; a second connection would only wait for the lock in a thread instead of in our queue.
    write = _engine(url, pool_size=1, pool_timeout=STATEMENT_SECONDS)
    for engine, query_only in ((read, True), (write, False)):
        event.listen(engine.sync_engine, "connect", _prepare(query_only=query_only))
    event.listen(write.sync_engine, "begin", _begin_immediate)
    # The driver itself must never begin a transaction: it would begin too late and lose updates.
    return Engines(read=read.execution_options(isolation_level="AUTOCOMMIT"), write=write)


def _engine(url: URL, **options: Any) -> AsyncEngine:
    """No connections beyond the pool, which would be opened and closed under load; no values in the texts of errors."""
    return create_async_engine(url, max_overflow=0, hide_parameters=True, **options)


def _prepare(*, query_only: bool) -> Any:
    def connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "busy_timeout=5000",
            "journal_mode=WAL",
            "synchronous=FULL",  # an acknowledged write survives a power cut
            "foreign_keys=ON",
            f"query_only={'ON' if query_only else 'OFF'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return connect


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once, so that nothing read in the transaction can be outdated when it writes."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
