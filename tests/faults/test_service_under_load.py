"""One process of the real program: many clients at once, read-your-writes, and stop signals while it is busy."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import httpx2
import pytest

from tests.e2e.service import Service
from tests.e2e.started import logged_in, started

WRITES = 1000


@pytest.fixture(params=["embedded", "scale"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with started(request.param, request) as service:
        yield service


def client_of(service: Service, connections: int = 10) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=30, limits=limits)


async def test_a_write_can_be_read_on_another_connection_when_its_answer_arrives(service: Service) -> None:
    """Every write is read by another client, over another connection of its own, right after its 201."""
    async with client_of(service) as writer, client_of(service) as reader:
        await logged_in(writer)
        reader.headers = writer.headers

        async def write_and_read(n: int) -> bool:
            created = (await writer.post("/tasks", json={"title": f"Task {n}"})).raise_for_status().json()
            read = await reader.get(f"/tasks/{created['id']}")
            return read.status_code == 200 and read.json() == created

        found: list[bool] = []
        for first in range(0, WRITES, 10):
            found += await asyncio.gather(*(write_and_read(n) for n in range(first, first + 10)))
    assert Counter(found) == {True: WRITES}


@pytest.mark.parametrize("clients", [32, 256])
async def test_many_clients_at_once_are_all_answered(service: Service, clients: int) -> None:
    async with client_of(service, connections=clients) as client:
        await logged_in(client)
        task = (await client.post("/tasks", json={"title": "Shared"})).json()["id"]

        async def one(n: int) -> list[int]:
            answers = [
                await client.get(f"/tasks/{task}"),
                await client.post("/tasks", json={"title": f"Task {n}"}),
                await client.patch(f"/tasks/{task}", json={"tags": [str(n)]}),
                await client.get("/tasks/stats"),
                await client.get("/tasks?limit=5"),
            ]
            return [answer.status_code for answer in answers]

        answered = await asyncio.gather(*(one(n) for n in range(clients)))
    assert Counter(tuple(statuses) for statuses in answered) == {(200, 201, 200, 200, 200): clients}
    assert "pool" not in service.log().lower()
    assert "traceback" not in service.log().lower()


@pytest.mark.parametrize("kind", ["embedded", "scale"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_busy_process_ends_within_its_time_and_in_order(
    kind: str, number: int, request: pytest.FixtureRequest
) -> None:
    """Busy is a request that takes longer than the process has: half of an upload that never goes on."""
    async with started(kind, request, TASKWELL_SHUTDOWN_SECONDS="1") as service:
        async with client_of(service) as client:
            await logged_in(client)
            task = (await client.post("/tasks", json={"title": "Files"})).json()["id"]
            half = asyncio.Event()

            async def never_ending() -> AsyncIterator[bytes]:
                yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + b"x" * 100_000
                half.set()
                await asyncio.Event().wait()

            headers = {"content-type": "multipart/form-data; boundary=b"}
            upload = asyncio.create_task(client.post(f"/tasks/{task}/files", content=never_ending(), headers=headers))
            await half.wait()
            code, seconds = await service.stop(number)
            upload.cancel()
            await asyncio.gather(upload, return_exceptions=True)
        assert code == 0, service.log()
        assert seconds < 1 + 1, service.log()
        assert "traceback" not in service.log().lower()


async def test_the_database_gone_is_a_quick_503_and_comes_back_by_itself(request: pytest.FixtureRequest) -> None:
    async with started("scale", request) as service, client_of(service) as client:
        await logged_in(client)
        url = service.environment["TASKWELL_DATABASE_URL"].replace("+asyncpg", "")
        name = url.rpartition("/")[2]
        admin = await asyncpg.connect(url.removesuffix(name) + "postgres")
        try:
            await admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
            await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            for path in ("/tasks", "/tasks/1", "/auth/me", "/tasks/stats"):
                asked = time.monotonic()
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["code"]) == (503, "database-away"), service.log()
                assert answer.headers["retry-after"] == "1"
                assert time.monotonic() - asked < 5
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "away")
            assert (await client.get("/health/live")).status_code == 200
        finally:
            await admin.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
            await admin.close()
        answers = [(await client.get("/tasks")).status_code for _ in range(20)]
        assert answers[-10:] == [200] * 10
        assert (await client.post("/tasks", json={"title": "Back"})).status_code == 201
