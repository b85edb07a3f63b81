"""Requests a second of `GET /tasks/{id}`: PostgreSQL and Redis, one process, 32 clients; beside the floor, in turns."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.load import load
from benchmarks.started import a_task, answered, environment, get, port_of
from tests.e2e.service import ROOT, Service
from tests.ports import free_port

CLIENTS, SECONDS, ROUNDS = 32, 3.0, 5


async def main() -> None:
    with environment() as env:
        await _measure(env)


async def _measure(env: dict[str, str]) -> None:
    async with Service(env=env) as service:
        token, task = await a_task(service.url)
        request, port = get(f"/tasks/{task}", token), port_of(service.url)
        with _floor(env) as floor_port:
            await load(port, request, clients=CLIENTS, seconds=1)
            await _warm(floor_port, request)
            ports = (port, floor_port)
            pairs = [
                [await answered(each, request, clients=CLIENTS, seconds=SECONDS) for each in ports]
                for _ in range(ROUNDS)
            ]
    ours, floor = ([pair[i].requests_per_second for pair in pairs] for i in (0, 1))
    ratios = sorted(a / b for a, b in zip(ours, floor, strict=True))
    print(f"GET /tasks/{{id}}, PostgreSQL and Redis, 1 process, {CLIENTS} clients, {ROUNDS} rounds of {SECONDS:.0f} s")
    print(f"  Taskwell {sorted(ours)[ROUNDS // 2]:7.0f} requests/s, p99 {pairs[-1][0].percentile(0.99) * 1000:.1f} ms")
    print(f"  floor    {sorted(floor)[ROUNDS // 2]:7.0f} requests/s, p99 {pairs[-1][1].percentile(0.99) * 1000:.1f} ms")
    print(f"  ratio    {ratios[ROUNDS // 2]:7.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


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
