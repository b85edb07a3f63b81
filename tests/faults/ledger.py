"""A client that writes without a pause and keeps a ledger of what it was promised, for an audit of what is there."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeAlias
from uuid import uuid4

import httpx2

from tests.e2e.service import Service
from tests.e2e.started import logged_in

Fact: TypeAlias = tuple[str, ...]  # ("task", title), ("done", title) or ("file", title, sha256)
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n%s\r\n--b--\r\n'


@dataclass
class Ledger:
    """What each fact may be by now: one value once it is acknowledged, two while nobody knows."""

    facts: dict[Fact, set[bool]] = field(default_factory=dict)
    mails: set[str] = field(default_factory=set)  # the subjects of those that are owed

    def sure(self, kind: str) -> list[Fact]:
        """The facts of this kind that hold beyond doubt, in order of time."""
        return [fact for fact, values in self.facts.items() if fact[0] == kind and values == {True}]

    def wrong(self, found: set[Fact]) -> list[Fact]:
        """What is there and should not be, or the other way round."""
        unknown = [fact for fact in found if fact not in self.facts]
        return unknown + [fact for fact, may_be in self.facts.items() if (fact in found) not in may_be]

    def forget_task(self, title: str) -> None:
        """It is gone, and all that hangs on it with it."""
        for fact in self.facts:
            if fact[1] == title:
                self.facts[fact] = {False}

    def doubt_task(self, title: str) -> None:
        for fact in self.facts:
            if fact[1] == title:
                self.facts[fact].add(False)


class Writer:
    """Creates, completes and deletes tasks of its own, with files, until the service is gone."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.ledger = Ledger()
        self._headers = headers
        self._ids: dict[Fact, int] = {}
        self.acknowledged = 0

    async def write(self, url: str) -> None:
        """Return when the service no longer answers; what was under way then stays in doubt."""
        try:
            async with self._client(url) as client:
                while True:
                    await self._one(client)
                    self.acknowledged += 1
        except httpx2.TransportError:
            return

    async def found(self, url: str) -> set[Fact]:
        """All that a reader finds; each file is fetched, and must have the bytes that it is listed with."""
        found: set[Fact] = set()
        async with self._client(url) as client:
            async for task in _tasks(client):
                title = task["title"]
                found.add(("task", title))
                if task["completed"]:
                    found.add(("done", title))
                files = (await client.get(f"/tasks/{task['id']}/files")).raise_for_status().json()["items"]
                assert task["file_count"] == len(files)
                for file in files:
                    content = (await client.get(f"/files/{file['id']}")).raise_for_status().content
                    assert (sha256(content).hexdigest(), len(content)) == (file["sha256"], file["file_size"])
                    found.add(("file", title, file["sha256"]))
        return found

    async def stats(self, url: str) -> dict[str, Any]:
        async with self._client(url) as client:
            stats: dict[str, Any] = (await client.get("/tasks/stats")).raise_for_status().json()
        return stats

    def _client(self, url: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30, headers=self._headers)

    async def _one(self, client: httpx2.AsyncClient) -> None:
        tasks, files = self.ledger.sure("task"), self.ledger.sure("file")
        match random.choices(["create", "complete", "upload", "drop", "delete"], [4, 3, 5, 2, 1])[0]:
            case "complete" if tasks:
                await self._complete(client, random.choice(tasks))
            case "upload" if tasks:
                await self._upload(client, random.choice(tasks))
            case "drop" if files:
                await self._drop(client, random.choice(files))
            case "delete" if tasks:
                await self._delete(client, random.choice(tasks))
            case _:
                await self._create(client)

    async def _create(self, client: httpx2.AsyncClient) -> None:
        title = uuid4().hex
        fact = ("task", title)
        self.ledger.facts |= {fact: {True, False}, ("done", title): {False}}
        answer = await client.post("/tasks", json={"title": title})
        self._ids[fact] = answer.raise_for_status().json()["id"]
        self.ledger.facts[fact] = {True}
        self.ledger.mails.add(f"New task: {title}")

    async def _complete(self, client: httpx2.AsyncClient, task: Fact) -> None:
        done = ("done", task[1])
        self.ledger.facts[done].add(True)
        (await client.post(f"/tasks/{self._ids[task]}/complete")).raise_for_status()
        self.ledger.facts[done] = {True}
        self.ledger.mails.add(f"Done: {task[1]}")

    async def _upload(self, client: httpx2.AsyncClient, task: Fact) -> None:
        content = uuid4().hex.encode() * random.choice([1, 100, 20_000])
        file = ("file", task[1], sha256(content).hexdigest())
        self.ledger.facts[file] = {True, False}
        answer = await client.post(f"/tasks/{self._ids[task]}/files", content=PART % content, headers=MULTIPART)
        self._ids[file] = answer.raise_for_status().json()["id"]
        self.ledger.facts[file] = {True}

    async def _drop(self, client: httpx2.AsyncClient, file: Fact) -> None:
        self.ledger.facts[file].add(False)
        (await client.delete(f"/files/{self._ids[file]}")).raise_for_status()
        self.ledger.facts[file] = {False}

    async def _delete(self, client: httpx2.AsyncClient, task: Fact) -> None:
        self.ledger.doubt_task(task[1])
        (await client.delete(f"/tasks/{self._ids[task]}")).raise_for_status()
        self.ledger.forget_task(task[1])


async def _tasks(client: httpx2.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get("/tasks", params={"limit": "100", **cursor})).raise_for_status().json()
        for task in page["items"]:
            yield task
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


async def new_writer(service: Service, name: str) -> Writer:
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as client:
        await logged_in(client, name)
        return Writer({"authorization": client.headers["authorization"]})


async def until_acknowledged(writers: Sequence[Writer], number: int) -> None:
    """So many writes of them all together."""
    async with asyncio.timeout(60):
        while sum(writer.acknowledged for writer in writers) < number:  # noqa: ASYNC110  requests set no event
            await asyncio.sleep(0.01)
