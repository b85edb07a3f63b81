"""What the link does when Redis answers late, wrongly or not at all."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from infrastructure.redis import link as module
from infrastructure.redis.link import CONNECTIONS, RedisAway, RedisLink

Listening = tuple["Server", RedisLink]


class Server:
    """A Redis that answers what the test wants, in `reply`, once it lets it: by `awake`."""

    def __init__(self) -> None:
        self.reply = b"+PONG\r\n"
        self.awake = asyncio.Event()
        self.awake.set()
        self.connections = 0
        self.commands = 0
        self.asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError):
            while await reader.read(65536):
                self.commands += 1
                self.asked.set()
                reply = self.reply
                await self.awake.wait()
                writer.write(reply)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Listening]:
    fake = Server()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aclosing(RedisLink(f"redis://127.0.0.1:{port}")) as link:
        yield fake, link
        fake.awake.set()
        await link.aclose()
        server.close()
        await server.wait_closed()


async def ping(redis: Redis) -> Any:
    return await redis.ping()


async def outcomes(link: RedisLink, calls: int) -> list[Any]:
    return await asyncio.gather(*(link.call(ping) for _ in range(calls)), return_exceptions=True)


@pytest.fixture
def cool_down(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A short one, and how to wait for its end."""
    monkeypatch.setattr(module, "COOL_DOWN_SECONDS", 0.3)
    return lambda: asyncio.sleep(0.35)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is not about time: on a busy machine an answer may take longer than Redis is given."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 10.0)


@pytest.fixture
async def free_port() -> int:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
    return port


async def test_a_server_that_is_not_there_is_away_at_once(free_port: int) -> None:
    async with aclosing(RedisLink(f"redis://127.0.0.1:{free_port}")) as link:
        started = time.monotonic()
        assert {type(outcome) for outcome in await outcomes(link, 100)} == {RedisAway}
        assert time.monotonic() - started < 1


async def test_a_server_that_never_answers_costs_a_tenth_of_a_second_once() -> None:
    async with listening() as (server, link):
        server.awake.clear()
        started = time.monotonic()
        assert {type(outcome) for outcome in await outcomes(link, 100)} == {RedisAway}
        first = time.monotonic() - started
        asked = server.commands
        assert {type(outcome) for outcome in await outcomes(link, 1000)} == {RedisAway}
        assert asked == CONNECTIONS, "the others were waiting for a place, and learned of the failure there"
        assert server.commands == asked
        assert 0.09 < first < 0.6


async def test_one_probe_is_let_through_after_the_cool_down(cool_down: Callable[[], Any]) -> None:
    async with listening() as (server, link):
        server.awake.clear()
        await outcomes(link, 1)
        for probes in (1, 2):
            await cool_down()
            assert {type(outcome) for outcome in await outcomes(link, 50)} == {RedisAway}
            assert server.commands == 1 + probes
        server.awake.set()
        await cool_down()
        assert await link.call(ping) is True
        assert await outcomes(link, 50) == [True] * 50


@pytest.mark.usefixtures("patient")
async def test_an_outage_is_two_lines_in_the_log(cool_down: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALM_SECONDS", 0.0)
    with capture_logs() as lines:
        async with listening() as (server, link):
            server.reply = b"-LOADING Redis is loading the dataset in memory\r\n"
            for _ in range(2):
                await outcomes(link, 50)
                await cool_down()
            server.reply = b"+PONG\r\n"
            assert await link.call(ping) is True
            assert await outcomes(link, 50) == [True] * 50
    assert [(line["log_level"], line["event"]) for line in lines] == [("warning", "redis_away"), ("info", "redis_back")]


async def test_a_flapping_server_does_not_flood_the_log(cool_down: Callable[[], Any]) -> None:
    with capture_logs() as lines:
        async with listening() as (server, link):
            for _ in range(3):
                server.reply = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
                await outcomes(link, 5)
                await cool_down()
                server.reply = b"+PONG\r\n"
                assert await link.call(ping) is True
    assert [line["event"] for line in lines] == ["redis_away"]


@pytest.mark.parametrize(
    "reply",
    [
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-MISCONF Redis is configured to save RDB snapshots.\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-ERR max number of clients reached\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
    ],
)
async def test_a_server_that_cannot_serve_is_away(reply: bytes) -> None:
    async with listening() as (server, link):
        server.reply = reply
        for _ in range(2):
            with pytest.raises(RedisAway):
                await link.call(ping)
        assert server.commands == 1


@pytest.mark.usefixtures("patient")
async def test_an_error_about_one_command_does_not_open_the_circuit() -> None:
    async with listening() as (server, link):
        server.reply = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
        with pytest.raises(RedisAway):
            await link.call(ping)
        server.reply = b"+PONG\r\n"
        assert await link.call(ping) is True
        assert server.connections == 1


@pytest.mark.usefixtures("patient")
async def test_a_mistake_of_ours_is_raised_and_says_nothing_about_redis() -> None:
    async def mistaken(_: Redis) -> None:
        raise KeyError("ours")

    async with listening() as (_, link):
        with pytest.raises(KeyError, match="ours"):
            await link.call(mistaken)
        assert await link.call(ping) is True


async def test_a_late_event_loop_is_not_held_against_redis() -> None:
    async with listening() as (server, link):
        await link.call(ping)
        server.asked.clear()
        calls = [asyncio.create_task(link.call(ping)) for _ in range(10)]
        await server.asked.wait()
        time.sleep(0.2)  # noqa: ASYNC251  # the loop is late: that is the point
        assert await asyncio.gather(*calls) == [True] * 10


async def test_a_late_answer_is_never_read_by_a_later_command(cool_down: Callable[[], Any]) -> None:
    async with listening() as (server, link):
        server.reply = b"+LATE\r\n"
        server.awake.clear()
        with pytest.raises(RedisAway):
            await link.call(lambda redis: redis.get("a"))
        server.reply = b"+OWN\r\n"
        server.awake.set()
        await cool_down()
        assert [await link.call(lambda redis: redis.get("b")) for _ in range(3)] == [b"OWN"] * 3


@pytest.mark.usefixtures("patient")
async def test_a_caller_that_is_cancelled_leaves_its_connection_in_order() -> None:
    async with listening() as (server, link):
        server.reply = b"+FIRST\r\n"
        server.awake.clear()
        caller = asyncio.create_task(link.call(lambda redis: redis.get("a")))
        await server.asked.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        server.reply = b"+SECOND\r\n"
        server.awake.set()
        assert [await link.call(lambda redis: redis.get("b")) for _ in range(3)] == [b"SECOND"] * 3


@pytest.mark.usefixtures("patient")
async def test_a_storm_of_cancelled_calls_mixes_up_no_answers(redis_url: str) -> None:
    async with aclosing(RedisLink(redis_url)) as link:
        prefix = uuid4().hex

        async def echo(number: int) -> bytes | str:
            answer: bytes | str = await link.call(lambda redis: redis.echo(f"{prefix}{number}"))
            return answer

        for round_ in range(20):
            calls = [asyncio.create_task(echo(number)) for number in range(60)]
            for number, call in enumerate(calls):
                if number % 3 == 0:
                    call.cancel()
                if number % 7 == round_ % 7:
                    await asyncio.sleep(0)
            ended = await asyncio.gather(*calls, return_exceptions=True)
            for number, answer in enumerate(ended):
                assert answer == f"{prefix}{number}".encode() or (number % 3 == 0 and isinstance(answer, BaseException))
        assert await asyncio.gather(*map(echo, range(200))) == [f"{prefix}{number}".encode() for number in range(200)]


async def test_closing_cuts_what_runs() -> None:
    async with listening() as (server, link):
        server.awake.clear()
        caller = asyncio.create_task(link.call(ping))
        await server.asked.wait()
        await link.aclose()
        with pytest.raises(RedisAway):
            await caller
