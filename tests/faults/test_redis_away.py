"""The real program under load, while its Redis stands still, dies, forgets, is full, may not write, or lies."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.started import started
from tests.faults.traffic import Person, traffic_to
from tests.faults.valkey import Valkey

CALM_SECONDS, FAULT_SECONDS = 1.5, 2.5


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path) as valkey:
        yield valkey


async def stand_still(valkey: Valkey) -> None:
    valkey.pause()
    await asyncio.sleep(FAULT_SECONDS)
    valkey.resume()


async def die(valkey: Valkey) -> None:
    valkey.kill()
    await asyncio.sleep(FAULT_SECONDS)
    await asyncio.to_thread(valkey.start)


async def forget(valkey: Valkey) -> None:
    for _ in range(25):
        await asyncio.to_thread(valkey.do, "FLUSHALL")
        await asyncio.sleep(FAULT_SECONDS / 25)


async def be_full(valkey: Valkey) -> None:
    valkey.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
    valkey.do("CONFIG", "SET", "maxmemory", "1")
    await asyncio.sleep(FAULT_SECONDS)
    valkey.do("CONFIG", "SET", "maxmemory", "0")


async def be_a_replica(valkey: Valkey) -> None:
    valkey.do("REPLICAOF", "127.0.0.1", "1")
    await asyncio.sleep(FAULT_SECONDS)
    valkey.do("REPLICAOF", "NO", "ONE")


async def lie(valkey: Valkey) -> None:
    """Somebody else's statistics, damaged ones, a list, something that is no number: under every key."""
    for number in range(25):
        await asyncio.to_thread(_lie_once, valkey, number)  # not in the way of those who measure
        await asyncio.sleep(FAULT_SECONDS / 25)
    valkey.do("FLUSHALL")


# In one step: in between the service could put a value of its own there.
PUT_A_LIST = "redis.call('DEL', KEYS[1]) return redis.call('RPUSH', KEYS[1], 'a list')"


def _lie_once(valkey: Valkey, number: int) -> None:
    keys = sorted(
        key for key in _keys(valkey, "stats:*") if b":lock:" not in key and valkey.do("TYPE", key) == b"string"
    )
    values = [valkey.do("GET", key) for key in keys]
    for key, other in zip(keys, values[1:] + values[:1], strict=True):
        lies: list[Any] = [other, b"\xff garbage", b"", b'{"total": 1}', str(other).encode()[:-5]]
        valkey.do("SET", key, lies[number % len(lies)] or b"", "KEEPTTL")
    for key in _keys(valkey, "LIMITER/*")[: number % 3]:
        valkey.do("SET", key, "many", "KEEPTTL")
    if keys and number % 5 == 0:
        valkey.do("EVAL", PUT_A_LIST, 1, keys[0])


def _keys(valkey: Valkey, pattern: str) -> list[bytes]:
    found = valkey.do("KEYS", pattern)
    assert isinstance(found, list)
    return found


async def until_in_force(valkey: Valkey, person: Person) -> float:
    """Seconds until statistics come from the cache again, and requests are counted in Redis."""
    started = time.monotonic()
    async with asyncio.timeout(20):
        while True:
            await asyncio.sleep(0.02)
            cached = (await person.client.get("/tasks/stats")).headers["x-cache"] == "HIT"
            counters = await asyncio.to_thread(_keys, valkey, f"LIMITER/user_{person.id}/default/*")
            if cached and counters:
                return time.monotonic() - started


@pytest.mark.parametrize("fault", [stand_still, die, forget, be_full, be_a_replica, lie], ids=lambda f: f.__name__)
async def test_answers_stay_right_and_quick(
    request: pytest.FixtureRequest, valkey: Valkey, fault: Callable[[Valkey], Any]
) -> None:
    async with started("scale", request, TASKWELL_REDIS_URL=valkey.url) as service, traffic_to(service) as traffic:
        async with traffic.flowing():
            await asyncio.sleep(CALM_SECONDS)
            traffic.phase = "fault"
            await fault(valkey)
            traffic.people[0].writes = False  # whose statistics change is not answered from the cache
            back = await until_in_force(valkey, traffic.people[0])
        log = service.log()
    slowest = {phase: max(seconds) for phase, seconds in traffic.seconds.items()}
    health = {phase: max(seconds) for phase, seconds in traffic.health.items()}
    print(fault.__name__, slowest, health, f"back {back:.2f}", Counter(traffic.wrong))  # noqa: T201, shown with -s
    assert Counter(traffic.wrong) == {}
    assert len(traffic.seconds["fault"]) > 100
    assert "traceback" not in log.lower()
    assert slowest["fault"] - slowest["calm"] < 0.3
    assert health["fault"] < 0.1
    assert back < 2
