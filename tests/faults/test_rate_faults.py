"""Limits hold over processes, wrong clocks and a Redis that comes and goes."""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Protocol
from unittest.mock import patch
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from slowapi.errors import RateLimitExceeded
from starlette.datastructures import State
from starlette.requests import Request

from application.ports import Rate
from infrastructure.memory.rates import MemoryRateStore
from infrastructure.redis.link import RedisLink
from infrastructure.redis.rates import RedisRateStore
from interfaces.http.rates import Rates

PROCESSES, HITS, LIMIT, ROUNDS = 4, 1000, 100, 20
ROUND_SECONDS = 60  # a process that takes longer is stuck


class Barrier(Protocol):
    def wait(self, timeout: float) -> int: ...


barrier: Barrier  # of a child process, see `join`


def join(shared: Barrier) -> None:
    global barrier  # noqa: PLW0603 - a pool hands a barrier over in no other way
    barrier = shared


def passes_of_one_process(url: str, run: str, ahead: float) -> list[int]:
    """How many hits passed in each round; `ahead` is how many seconds this machine's clock is wrong."""
    right = time.time
    with patch("time.time", lambda: right() + ahead):
        return asyncio.run(_passes(url, run))


async def _passes(url: str, run: str) -> list[int]:
    link = RedisLink(url)
    store = RedisRateStore(link, MemoryRateStore(), processes=PROCESSES)
    await store.hit([Rate(f"{run}/warm-up", 1, 60)])
    passed = []
    for number in range(ROUNDS):
        barrier.wait(ROUND_SECONDS)
        rates = [Rate(f"{run}/{number}", LIMIT, 60), Rate(f"{run}/wide/{number}", 2 * LIMIT, 3600)]
        windows = await asyncio.gather(*[store.hit(rates) for _ in range(HITS)])
        passed.append(sum(all(window.allowed for window in pair) for pair in windows))
    await link.aclose()
    return passed


async def test_exactly_the_limit_passes_over_processes_with_different_clocks(redis_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    run = uuid4().hex
    with ProcessPoolExecutor(PROCESSES, spawn, join, (spawn.Barrier(PROCESSES),)) as pool:
        clocks = [0, 0, -120, 120]
        futures = [pool.submit(passes_of_one_process, redis_url, run, ahead) for ahead in clocks]
        passed = [future.result() for future in futures]
    assert [sum(of_round) for of_round in zip(*passed, strict=True)] == [LIMIT] * ROUNDS
    async with Redis.from_url(redis_url) as redis:
        assert [int(await redis.get(f"LIMITER/{run}/wide/{number}/200/3600") or 0) for number in range(ROUNDS)] == [
            LIMIT
        ] * ROUNDS


class Gate:
    """A way to a server that can be broken: `shut` refuses connections, `silent` takes them and never answers."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._port = 0
        self._silent = False
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return self._target._replace(netloc=f"127.0.0.1:{self._port}").geturl()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def fail(self, how: str) -> None:
        await self.shut()
        if how == "silent":
            self._silent = True
            await self.open()

    async def recover(self) -> None:
        await self.shut()
        self._silent = False
        await self.open()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, to_server = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, to_server}
        await asyncio.gather(self._pump(reader, to_server), self._pump(upstream, writer))
        self._writers -= {writer, to_server}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self._silent:
                    writer.write(data)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def opened(gate: Gate) -> AsyncIterator[Gate]:
    await gate.open()
    try:
        yield gate
    finally:
        await gate.shut()


async def passes(store: RedisRateStore, rate: Rate, hits: int) -> int:
    windows = await asyncio.gather(*[store.hit([rate]) for _ in range(hits)])
    return sum(window.allowed for (window,) in windows)


@pytest.mark.parametrize("how", ["shut", "silent"])
async def test_without_redis_a_process_has_its_share_and_with_it_again_the_limit_holds(
    redis_url: str, how: str
) -> None:
    rate = Rate(f"{uuid4().hex}/default", 10, 3600)
    async with opened(Gate(redis_url)) as gate:
        link = RedisLink(gate.url)
        store = RedisRateStore(link, MemoryRateStore(), processes=4)
        assert await passes(store, rate, 2) == 2
        await gate.fail(how)
        assert await passes(store, rate, 50) == 3
        assert await passes(store, rate, 50) == 0
        await gate.recover()
        async with asyncio.timeout(2):
            while not await passes(store, rate, 1):  # noqa: ASYNC110 - the circuit closes when a request tries it
                await asyncio.sleep(0.01)
        assert await passes(store, rate, 50) == 10 - 2 - 1
        await gate.fail(how)
        assert await passes(store, rate, 50) == 0
        await link.aclose()


async def test_a_rotating_header_from_a_peer_that_is_no_proxy_stays_limited(redis_url: str) -> None:
    link = RedisLink(redis_url)
    rates = Rates(
        RedisRateStore(link, MemoryRateStore(), processes=1),
        {"login": "5/minute", "default": "7/minute"},
        trusted_proxies=[ip_network("10.0.0.0/8")],
    )

    async def passes_from(address: str) -> bool:
        forged = [(b"x-forwarded-for", address.encode()), (b"x-forwarded-for", f"10.0.0.1, {address}".encode())]
        scope = {"type": "http", "method": "GET", "headers": forged, "client": ("203.0.113.9", 1234), "state": {}}
        scope["app"] = SimpleNamespace(state=State({"rates": rates}))
        try:
            await rates.check(Request(scope), passes_from)
        except RateLimitExceeded:
            return False
        return True

    passed = await asyncio.gather(*[passes_from(f"198.51.100.{number}") for number in range(200)])
    assert sum(passed) == 7
    await link.aclose()
