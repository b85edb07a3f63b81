"""The one way to Redis, shared by cache and rate limits: quick answers, or `RedisAway` at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

T = TypeVar("T")

CONNECTIONS = 32
ANSWER_SECONDS = 0.1  # connecting included
QUEUE_SECONDS = 0.5  # for one of the connections, while Redis answers: a queue that moves is no failure
COOL_DOWN_SECONDS = 0.5
CALM_SECONDS = 2.0  # without a failure, until the log says that Redis is back: a flapping server is one outage
LATE_LOOP_ROUNDS = 5

AWAY = (RedisError, OSError, EOFError)
# What a server answers that can't serve; other error replies are about the one command.
UNFIT = (OutOfMemoryError, ReadOnlyError, NoPermissionError)
UNFIT_CODES = ("MISCONF", "BUSY", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "UNKILLABLE")

log = structlog.get_logger()


class RedisAway(Exception):
    """Redis does not answer, or can't serve. The message is the reason; it holds no key and no value."""


class RedisLink:
    """Connections to one server and the circuit before them.

    After a failure the circuit is open: calls are refused at once, until a cool-down has passed and one of them, the
    probe, gets through. The connections that the failure met are thrown away as a whole, together with what still runs
    on them, so that no later command can read an answer that was meant for an earlier one.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._redis = self._new_client()
        self._running: set[asyncio.Task[Any]] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._retry_at: float | None = None  # None: the circuit is closed
        self._probing = False
        self._failed_at: float | None = None  # None: no outage that the log knows of

    async def call(self, command: Callable[[Redis], Awaitable[T]]) -> T:
        """Return what the command returns; it may use one connection at a time. Raise `RedisAway` if Redis fails it.

        A caller that is cancelled leaves its command to itself: it ends in its time, with its connection in order.
        """
        self._check_circuit()
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            raise RedisAway("busy") from None
        task = self._start(command)
        await asyncio.wait({task})
        if task.cancelled():
            raise RedisAway("circuit opened")
        try:
            return task.result()
        except AWAY as error:
            raise RedisAway(type(error).__name__) from error

    async def aclose(self) -> None:
        """Cut what still runs and close all connections."""
        self._retire()
        await asyncio.wait(self._retiring)

    def _new_client(self) -> Redis:
        # Our own deadline is the only one: redis-py's, per read and write, blame the server for a late event loop.
        # RESP2 needs no greeting, so that a new connection costs no round trips. Names are resolved in a thread.
        pool = ConnectionPool.from_url(
            self._url,
            max_connections=CONNECTIONS,
            socket_timeout=None,
            socket_connect_timeout=1,
            protocol=2,
            driver_info=None,
        )
        return Redis.from_pool(pool)

    def _check_circuit(self) -> None:
        if self._retry_at is not None and (self._probing or asyncio.get_running_loop().time() < self._retry_at):
            raise RedisAway("circuit open")

    def _start(self, command: Callable[[Redis], Awaitable[T]]) -> asyncio.Task[T]:
        """Take over the caller's place, for as long as the command runs."""
        try:
            self._check_circuit()  # it may have opened while we queued
        except RedisAway:
            self._places.release()
            raise
        self._probing = self._retry_at is not None
        task = asyncio.create_task(_run(command, self._redis))
        self._running.add(task)
        overdue = task.get_loop().call_later(ANSWER_SECONDS, self._overdue, task, LATE_LOOP_ROUNDS)
        task.add_done_callback(lambda task: self._settle(task, overdue))
        return task

    def _overdue(self, task: asyncio.Task[Any], rounds: int) -> None:
        """Open the circuit; but if it was our own event loop that was late, read first what has long arrived."""
        if task.done():
            return
        if rounds:
            task.get_loop().call_soon(self._overdue, task, rounds - 1)
        else:
            self._open(reason="timeout")

    def _settle(self, task: asyncio.Task[Any], overdue: asyncio.TimerHandle) -> None:
        overdue.cancel()
        self._places.release()
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if task not in self._running:
            return  # the circuit opened meanwhile: this outcome is no news
        self._running.discard(task)
        if error is None or _is_reply_to_command(error):
            self._close(now=task.get_loop().time())
        elif isinstance(error, AWAY):
            self._open(reason=type(error).__name__)
        else:
            self._probing = False  # our own mistake tells nothing about Redis: the next call is another probe

    def _open(self, *, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        is_news = self._failed_at is None
        self._failed_at = now
        self._retry_at = now + COOL_DOWN_SECONDS
        self._probing = False
        self._retire()
        if is_news:
            log.warning("redis_away", reason=reason)

    def _close(self, *, now: float) -> None:
        self._retry_at = None
        self._probing = False
        if self._failed_at is not None and now >= self._failed_at + CALM_SECONDS:
            self._failed_at = None
            log.info("redis_back")

    def _retire(self) -> None:
        """Throw the connections away, and start with new ones."""
        retiring = asyncio.create_task(_cut(self._redis, self._running))
        self._redis, self._running = self._new_client(), set()
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)


async def _run(command: Callable[[Redis], Awaitable[T]], redis: Redis) -> T:
    return await command(redis)


async def _cut(redis: Redis, running: set[asyncio.Task[Any]]) -> None:
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
    await redis.connection_pool.disconnect()


def _is_reply_to_command(error: BaseException) -> bool:
    """Like WRONGTYPE: bad for this command, and proof that the server is well."""
    unfit = isinstance(error, UNFIT) or str(error).startswith(UNFIT_CODES)
    return isinstance(error, ResponseError) and not unfit
