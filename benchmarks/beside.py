"""Beside stock slowapi, fastapi-cache2 and cashews: requests a second, and what a Redis held up costs other routes.

They go into an environment of their own, in a temporary folder: they are in neither lock.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Load, load
from benchmarks.started import get
from tests.e2e.service import ROOT, clean_environment
from tests.faults.valkey import Valkey
from tests.ports import free_port

CLIENTS, SECONDS, PAUSE_SECONDS = 16, 3.0, 2.0
PACKAGES = ("fastapi", "uvicorn[standard]", "slowapi", "redis", "fastapi-cache2[redis]", "cashews[redis]")
UNDECLARED = ("jinja2",)  # what fastapi-cache2 imports all the same

# As their own first pages have it: one route that is limited or cached, and another one that has nothing to do with it.
STOCK = """
import os
from fastapi import FastAPI, Request

URL = os.environ["TASKWELL_REDIS_URL"]
app = FastAPI()

@app.get("/other")
async def other():
    return {"ok": True}

match os.environ["CONTESTANT"]:
    case "slowapi":
        from slowapi import Limiter, _rate_limit_exceeded_handler
        from slowapi.errors import RateLimitExceeded
        from slowapi.util import get_remote_address
        limiter = app.state.limiter = Limiter(key_func=get_remote_address, storage_uri=URL)
        app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
        decorate = limiter.limit("100000000/hour")
    case "fastapi-cache2":
        from fastapi_cache import FastAPICache
        from fastapi_cache.backends.redis import RedisBackend
        from fastapi_cache.decorator import cache
        from redis import asyncio as aioredis
        FastAPICache.init(RedisBackend(aioredis.from_url(URL)), prefix="fastapi-cache")
        decorate = cache(expire=30)
    case "cashews":
        from cashews import cache
        cache.setup(URL)
        decorate = cache(ttl="30s", key="thing")

@app.get("/thing")
@decorate
async def thing(request: Request):
    return {"name": "thing", "numbers": list(range(20))}
"""


@dataclass(frozen=True)
class Contestant:
    name: str
    python: Path
    app: tuple[str, ...]
    path: str = "/thing"
    other: str = "/other"


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = _installed(folder)
        (folder / "stock.py").write_text(STOCK)
        ours, ours_app = Path(sys.executable), ("--factory", "benchmarks.beside_ours:create_app")
        contestants = [
            Contestant("Taskwell's limiter", ours, ours_app, "/limited", "/health/live"),
            Contestant("slowapi", stock, ("stock:app",)),
            Contestant("Taskwell's @cache", ours, ours_app, "/cached", "/health/live"),
            Contestant("fastapi-cache2", stock, ("stock:app",)),
            Contestant("cashews", stock, ("stock:app",)),
        ]
        print(f"  {_versions(stock)}")
        print(f"  1 process, {CLIENTS} clients, {SECONDS:.0f} s; then again, Redis paused for {PAUSE_SECONDS:.0f} s")
        for contestant in contestants:
            with Valkey(folder) as valkey:
                await _measure(contestant, folder, valkey)


def _installed(folder: Path) -> Path:
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-qq", *PACKAGES, *UNDECLARED], check=True)
    return python


def _versions(python: Path) -> str:
    names = [package.partition("[")[0] for package in PACKAGES]
    code = f"from importlib.metadata import version as v; print(*(f'{{n}} {{v(n)}}' for n in {names}), sep=', ')"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


async def _measure(contestant: Contestant, folder: Path, valkey: Valkey) -> None:
    async with _serving(contestant, folder, valkey) as port:
        calm = await load(port, get(contestant.path), clients=CLIENTS, seconds=SECONDS)
        before, _ = await _others(port, contestant, seconds=1.0)
        pausing = asyncio.create_task(_pause(valkey))
        during, loaded = await _others(port, contestant, seconds=PAUSE_SECONDS + 2)
        await pausing
    print(
        f"    {contestant.name:20} {calm.requests_per_second:7.0f} requests/s"
        f"   slowest other request {before * 1000:6.0f} ms, Redis paused {during * 1000:6.0f} ms"
        f"   answers meanwhile {loaded.statuses}, slowest {max(loaded.seconds) * 1000:.0f} ms"
    )


@asynccontextmanager
async def _serving(contestant: Contestant, folder: Path, valkey: Valkey) -> AsyncIterator[int]:
    port = free_port()
    command: Sequence[str | Path] = [contestant.python, "-m", "uvicorn", *contestant.app, "--port", str(port)]
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "critical"]
    env = clean_environment() | {
        "TASKWELL_REDIS_URL": valkey.url,
        "TASKWELL_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/taskwell.db",
        "TASKWELL_STORAGE_URL": f"file:{folder}/files",
        "TASKWELL_SECRET_KEY": "b" * 40,
        "TASKWELL_LOG_LEVEL": "warning",
        "CONTESTANT": contestant.name,
        "PYTHONPATH": f"{ROOT}:{folder}",
    }
    process = subprocess.Popen(  # noqa: ASYNC220  nothing else is to run
        [*command, *options], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await _answering(port, contestant.path)
        yield port
    finally:
        process.kill()
        process.wait()


async def _answering(port: int, path: str) -> None:
    for _ in range(300):
        try:
            warm = await load(port, get(path), clients=1, seconds=0.2)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            assert set(warm.statuses) == {200}, warm.statuses
            return
    raise TimeoutError("it did not start")


async def _pause(valkey: Valkey) -> None:
    await asyncio.sleep(0.5)
    valkey.pause()
    await asyncio.sleep(PAUSE_SECONDS)
    valkey.resume()


async def _others(port: int, contestant: Contestant, *, seconds: float) -> tuple[float, Load]:
    """How long the slowest of some other requests took, one after the other, while the route is under load."""
    loading = asyncio.create_task(load(port, get(contestant.path), clients=CLIENTS, seconds=seconds))
    slowest, until = 0.0, time.perf_counter() + seconds
    while (started := time.perf_counter()) < until:
        await load(port, get(contestant.other), clients=1, seconds=0.001)
        slowest = max(slowest, time.perf_counter() - started)
        await asyncio.sleep(0.01)
    return slowest, await loading
