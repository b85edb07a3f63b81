"""A request that is given up in the middle leaves no reply behind that a later one could read."""

import asyncio
import random
from collections import Counter
from contextlib import aclosing, suppress

import pytest

from infrastructure.redis.link import RedisAway, RedisLink
from tests.e2e.started import started
from tests.faults.traffic import Traffic, traffic_to

ABORTED, CHECKED, CHECKED_OVER_HTTP = 5_000, 50_000, 600


async def test_a_storm_of_commands_given_up_mixes_up_no_replies(redis_url: str) -> None:
    seen, away = Counter[str](), 0
    async with aclosing(RedisLink(redis_url)) as link:

        async def ask(text: str) -> None:
            try:
                reply = await link.call(lambda redis: redis.echo(text))
            except RedisAway:
                seen["away"] += 1
            else:
                seen["right" if reply == text.encode() else "wrong"] += 1

        while seen["aborted"] < ABORTED or seen["right"] < CHECKED:
            aborted = [asyncio.create_task(ask(f"aborted {n} of {seen}")) for n in range(20)]
            checked = [asyncio.create_task(ask(f"checked {n} of {seen}")) for n in range(50)]
            for _ in range(random.randint(1, 5)):
                await asyncio.sleep(0)  # some are being queued, some sent, some answered
            seen["aborted"] += sum(task.cancel() for task in aborted)
            checked += [asyncio.create_task(ask(f"checked later {n} of {seen}")) for n in range(50)]
            await asyncio.gather(*checked)
            await asyncio.gather(*aborted, return_exceptions=True)
            assert seen["wrong"] == 0
            if seen["away"] > away:  # on a machine with too much to do: wait until Redis is asked again
                away = seen["away"]
                await asyncio.sleep(0.5)
    print(dict(seen))  # noqa: T201, shown with -s
    assert seen["away"] < CHECKED / 10


async def test_a_storm_of_requests_given_up_mixes_up_no_answers(request: pytest.FixtureRequest) -> None:
    async with started("scale", request) as service, traffic_to(service) as traffic:
        port = int(service.url.rpartition(":")[2])
        given_up = 0
        async with traffic.flowing():
            while len(traffic.seconds["calm"]) < CHECKED_OVER_HTTP:
                await asyncio.gather(*(give_up(port, traffic) for _ in range(5)))
                given_up += 5
        log = service.log()
    assert traffic.wrong == []
    assert given_up > CHECKED_OVER_HTTP / 10
    assert "traceback" not in log.lower()


async def give_up(port: int, traffic: Traffic) -> None:
    """Ask for the statistics of one of them several times on one connection, and break it off at some moment."""
    person = random.choice(traffic.people)
    head = f"Host: x\r\nAuthorization: {person.client.headers['authorization']}\r\n\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /tasks/stats HTTP/1.1\r\n{head}".encode() * 3)
    await asyncio.sleep(random.choice([0, 0.001, 0.003, 0.01]))
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()
