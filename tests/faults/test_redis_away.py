"""The real program under load, while its Redis stands still, dies, forgets, is full, may not write, or lies."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.service import Service
from tests.e2e.started import logged_in, started
from tests.faults.valkey import Valkey

USERS = 4
CALM_SECONDS, FAULT_SECONDS = 1.5, 2.5


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path) as valkey:
        yield valkey


class Person:
    """Somebody who does one thing after the other, so that every answer is known beforehand."""

    def __init__(self, client: httpx2.AsyncClient, name: str) -> None:
        self.client, self.name = client, name
        self.tasks: list[dict[str, Any]] = []

    async def start(self) -> None:
        self.id = (await logged_in(self.client, self.name))["id"]
        for _ in range(len(self.name)):  # a number of tasks of one's own
            await self.create()

    async def create(self) -> bool:
        answer = await self.client.post("/tasks", json={"title": f"Of {self.name}"})
        self.tasks.append(answer.json())
        return answer.status_code == 201 and "x-ratelimit-remaining" in answer.headers

    async def read(self) -> bool:
        answer = await self.client.get(f"/tasks/{self.tasks[-1]['id']}")
        return answer.status_code == 200 and answer.json() == self.tasks[-1]

    async def count(self) -> bool:
        answer = await self.client.get("/tasks/stats")
        return answer.status_code == 200 and answer.json()["total"] == len(self.tasks)


class Traffic:
    """What people do at once, and a look at the health in between; how long each took, and which answers were wrong."""

    def __init__(self, people: list[Person], prober: httpx2.AsyncClient) -> None:
        self.people, self.prober = people, prober
        self.phase = "calm"
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.health: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []

    async def _use(self, person: Person) -> None:
        for number in count():
            act = (person.create, person.read, person.count, person.count, person.read, person.count)[number % 6]
            await self._time(self.seconds, act)
            await asyncio.sleep(0.01)

    async def _probe(self) -> None:
        async def live() -> bool:
            return (await self.prober.get("/health/live")).status_code == 200

        while True:
            await self._time(self.health, live)
            await asyncio.sleep(0.02)

    async def _time(self, seconds: dict[str, list[float]], act: Callable[[], Any]) -> None:
        phase, started = self.phase, time.monotonic()
        if not await act():
            self.wrong.append(f"{phase}: {act.__qualname__}")
        seconds[phase].append(time.monotonic() - started)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        flows = [asyncio.create_task(self._use(person)) for person in self.people]
        flows.append(asyncio.create_task(self._probe()))
        yield
        for flow in flows:
            flow.cancel()
        ended = await asyncio.gather(*flows, return_exceptions=True)
        assert [type(end) for end in ended] == [asyncio.CancelledError] * len(flows), ended


@asynccontextmanager
async def traffic_to(service: Service) -> AsyncIterator[Traffic]:
    clients = [httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=30) for _ in range(USERS + 1)]
    people = [Person(client, "anna" + "a" * number) for number, client in enumerate(clients[1:])]
    try:
        for person in people:
            await person.start()
        yield Traffic(people, clients[0])
    finally:
        for client in clients:
            await client.aclose()


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
        valkey.do("FLUSHALL")
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
        keys = sorted(key for key in _keys(valkey, "stats:*") if b":lock:" not in key)
        values = [valkey.do("GET", key) for key in keys]
        for key, other in zip(keys, values[1:] + values[:1], strict=True):
            lies: list[Any] = [other, b"\xff garbage", b"", b'{"total": 1}', str(other).encode()[:-5]]
            valkey.do("SET", key, lies[number % len(lies)] or b"", "KEEPTTL")
        for key in _keys(valkey, "LIMITER/*")[: number % 3]:
            valkey.do("SET", key, "many", "KEEPTTL")
        if keys and number % 5 == 0:
            valkey.do("DEL", keys[0])
            valkey.do("RPUSH", keys[0], "a list")
        await asyncio.sleep(FAULT_SECONDS / 25)
    valkey.do("FLUSHALL")


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
            if cached and any(f"user_{person.id}/default" in key.decode() for key in _keys(valkey, "LIMITER/*")):
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
            # A person of their own: the others go on writing, and what is written is not cached.
            asking = Person(httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=30), "otto")
            async with asking.client:
                asking.client.headers = traffic.people[0].client.headers
                asking.id = traffic.people[0].id
                traffic.people[0].create = traffic.people[0].read  # type: ignore[method-assign]  # no more writes
                back = await until_in_force(valkey, asking)
        log = service.log()
    slowest = {phase: max(seconds) for phase, seconds in traffic.seconds.items()}
    health = {phase: max(seconds) for phase, seconds in traffic.health.items()}
    print(fault.__name__, slowest, health, f"back {back:.2f}", Counter(traffic.wrong))  # noqa: T201, shown with -s
    assert Counter(traffic.wrong) == {}
    assert len(traffic.seconds["fault"]) > 100
    assert "traceback" not in log.lower()
    assert slowest["fault"] - slowest["calm"] < 0.3
    assert health["fault"] < max(0.1, 2 * health["calm"])
    assert back < 2
