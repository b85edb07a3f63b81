"""One quota over several processes on one PostgreSQL and one folder: exact, also when one of them is killed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from itertools import count, cycle
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx2
import pytest

from domain.upload import LEASE
from tests.e2e.service import Service
from tests.e2e.started import logged_in, started

PROCESSES = 3
MEGABYTE = 1_000_000
FITS = 20
UPLOADS = 50
QUOTA = {"TASKWELL_USER_QUOTA_BYTES": str(FITS * MEGABYTE)}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
END = b"\r\n--b--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


class Scene:
    """Processes, somebody with a task and a client at each of them, and what was acknowledged."""

    def __init__(self, services: list[Service], clients: list[httpx2.AsyncClient], task: int, folder: Path) -> None:
        self.services, self.clients, self.task, self.folder = services, clients, task, folder
        self.acknowledged: list[str] = []  # sha256 of each
        self._numbers = count()

    @classmethod
    @asynccontextmanager
    async def set_up(cls, request: pytest.FixtureRequest) -> AsyncIterator[Self]:
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(started("scale", request, **QUOTA))
            folder: Path = request.getfixturevalue("tmp_path")
            others = [Service(cwd=folder, env=first.environment) for _ in range(PROCESSES - 1)]
            services = [first, *[await stack.enter_async_context(other) for other in others]]
            clients = [
                await stack.enter_async_context(
                    httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=60, limits=httpx2.Limits())
                )
                for service in services
            ]
            await logged_in(clients[0])
            for client in clients[1:]:
                client.headers["authorization"] = clients[0].headers["authorization"]
            task = (await clients[0].post("/tasks", json={"title": "Files"})).raise_for_status().json()["id"]
            yield cls(services, clients, task, folder / "files")

    async def upload(self, client: httpx2.AsyncClient) -> int:
        content = b"%07d" % next(self._numbers) + b"x" * (MEGABYTE - 7)
        answer = await client.post(f"/tasks/{self.task}/files", content=HEAD + content + END, headers=FORM)
        if answer.status_code == 201:
            self.acknowledged.append(answer.json()["sha256"])
            assert answer.json()["sha256"] == sha256(content).hexdigest()
        return answer.status_code

    async def upload_at_once(self, clients: list[httpx2.AsyncClient]) -> Counter[int]:
        uploads = (self.upload(client) for client, _ in zip(cycle(clients), range(UPLOADS), strict=False))
        return Counter(await asyncio.gather(*uploads))

    async def stand_still(self, client: httpx2.AsyncClient) -> None:
        """Send a half, and never more."""

        async def half() -> AsyncIterator[bytes]:
            yield HEAD + b"x" * (MEGABYTE // 2)
            await asyncio.Event().wait()

        headers = FORM | {"Content-Length": str(len(HEAD) + MEGABYTE + len(END))}
        await client.post(f"/tasks/{self.task}/files", content=half(), headers=headers)

    async def ask(self, query: str, *values: object) -> Any:
        url = self.services[0].environment["TASKWELL_DATABASE_URL"].replace("+asyncpg", "")
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(query, *values)
        finally:
            await connection.close()

    async def until_there_are(self, uploads: int) -> None:
        async with asyncio.timeout(30):
            while await self.ask("SELECT count(*) FROM uploads") != uploads:  # noqa: ASYNC110  a database sets no event
                await asyncio.sleep(0.05)

    async def check(self, client: httpx2.AsyncClient) -> None:
        """What was acknowledged fills the quota, is all that is stored, and what the statistics tell."""
        stored = [path.read_bytes() for path in self.folder.glob("task_*")]
        assert sorted(sha256(content).hexdigest() for content in stored) == sorted(self.acknowledged)
        assert sum(map(len, stored)) == FITS * MEGABYTE
        stats = (await client.get("/tasks/stats")).json()["files"]
        assert stats == {"count": FITS, "bytes": FITS * MEGABYTE}


async def test_of_fifty_uploads_at_once_exactly_those_pass_that_fit(request: pytest.FixtureRequest) -> None:
    async with Scene.set_up(request) as scene:
        assert await scene.upload_at_once(scene.clients) == {201: FITS, 507: UPLOADS - FITS}
        await scene.check(scene.clients[-1])
        assert await scene.ask("SELECT count(*) FROM uploads") == 0
        assert len(list(scene.folder.iterdir())) == FITS


async def test_a_killed_process_holds_room_for_as_long_as_an_upload_lives_unseen(
    request: pytest.FixtureRequest,
) -> None:
    held = 8
    async with Scene.set_up(request) as scene:
        doomed, *others = scene.clients
        standing = [asyncio.create_task(scene.stand_still(doomed)) for _ in range(held)]
        await scene.until_there_are(held)
        assert await scene.upload_at_once(others) == {201: FITS - held, 507: UPLOADS - FITS + held}
        scene.services[0].kill()
        for upload in standing:  # it waits for what it would send, and hears of nothing
            upload.cancel()
        await asyncio.wait(standing)
        assert await scene.upload(others[0]) == 507
        # As if nobody had seen them for so long.
        await scene.ask("UPDATE uploads SET seen_at = seen_at - $1::interval", LEASE)
        assert await scene.upload_at_once(others) == {201: held, 507: UPLOADS - held}
        await scene.check(others[0])
        # What is left is the reconciler's: uploads that hold no room, and unfinished drafts.
        assert await scene.ask("SELECT count(*) FROM uploads") == held
