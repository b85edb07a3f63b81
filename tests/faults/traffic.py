"""People who use the service all at once, and know which answer is right."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx2

from tests.e2e.service import Service
from tests.e2e.started import logged_in

USERS = 4


class Person:
    """Somebody who does one thing after the other, so that every answer is known beforehand."""

    def __init__(self, client: httpx2.AsyncClient, name: str) -> None:
        self.client, self.name = client, name
        self.tasks: list[dict[str, Any]] = []
        self.writes = True

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
            acts = (person.create if person.writes else person.count, person.read, person.count, person.count)
            await self._time(self.seconds, acts[number % len(acts)])
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
