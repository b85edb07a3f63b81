"""Requests a second of `GET /tasks/{id}`: PostgreSQL and Redis, one process, 32 clients; beside the floor, in turns."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from benchmarks.load import Load, load
from tests.e2e.service import ROOT, Service, clean_environment
from tests.ports import free_port
from tests.services import Keeper, ask

CLIENTS, SECONDS, ROUNDS = 32, 3.0, 5
SECRET = "b" * 40


async def main() -> None:
    keeper = Keeper()
    try:
        with tempfile.TemporaryDirectory() as folder:
            await _measure(
                {
                    "TASKWELL_DATABASE_URL": ask(keeper.address, "postgres").replace(
                        "postgresql://", "postgresql+asyncpg://"
                    ),
                    "TASKWELL_REDIS_URL": ask(keeper.address, "redis"),
                    "TASKWELL_STORAGE_URL": f"file:{folder}",
                    "TASKWELL_SECRET_KEY": SECRET,
                    "TASKWELL_LIMIT_DEFAULT": "100000000/hour",
                    "TASKWELL_LOG_LEVEL": "warning",
                }
            )
    finally:
        keeper.end()


async def _measure(env: dict[str, str]) -> None:
    taskwell = (sys.executable, "-m", "interfaces.cli.main", "migrate")
    await asyncio.to_thread(subprocess.run, taskwell, cwd=ROOT, env=clean_environment() | env, check=True)
    async with Service(env=env) as service:
        token, task = await _a_task(service.url)
        request = f"GET /tasks/{task} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        with _floor(env) as floor_port:
            port = int(service.url.rpartition(":")[2])
            await load(port, request, clients=CLIENTS, seconds=1)
            await _warm(floor_port, request)
            pairs = [(await _ask(port, request), await _ask(floor_port, request)) for _ in range(ROUNDS)]
    ours, floor = ([pair[i].requests_per_second for pair in pairs] for i in (0, 1))
    ratios = sorted(a / b for a, b in zip(ours, floor, strict=True))
    print(f"GET /tasks/{{id}}, PostgreSQL and Redis, 1 process, {CLIENTS} clients, {ROUNDS} rounds of {SECONDS:.0f} s")
    print(f"  Taskwell {sorted(ours)[ROUNDS // 2]:7.0f} requests/s, p99 {pairs[-1][0].percentile(0.99) * 1000:.1f} ms")
    print(f"  floor    {sorted(floor)[ROUNDS // 2]:7.0f} requests/s, p99 {pairs[-1][1].percentile(0.99) * 1000:.1f} ms")
    print(f"  ratio    {ratios[ROUNDS // 2]:7.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


async def _ask(port: int, request: bytes) -> Load:
    done = await load(port, request, clients=CLIENTS, seconds=SECONDS)
    assert set(done.statuses) == {200}, done.statuses
    return done


async def _a_task(url: str) -> tuple[str, int]:
    account = {"username": "bench", "email": "bench@example.org", "password": "correct horse battery"}
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        (await client.post("/auth/register", json=account)).raise_for_status()
        account.pop("email")
        token = (await client.post("/auth/login", json=account)).raise_for_status().json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        task = await client.post("/tasks", json={"title": "Measure", "tags": ["a"]}, headers=headers)
        return token, task.raise_for_status().json()["id"]


@contextmanager
def _floor(env: dict[str, str]) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.floor:create_app", "--port", str(port)]
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    process = subprocess.Popen([*command, *options], cwd=ROOT, env=os.environ | env)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


async def _warm(port: int, request: bytes) -> None:
    for _ in range(100):
        try:
            await load(port, request, clients=CLIENTS, seconds=1)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    asyncio.run(main())
