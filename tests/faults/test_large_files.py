"""Files of a gigabyte, one and eight at once: in bounded memory, stored once, and without holding up anybody."""

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import pytest

from tests.e2e.service import Service
from tests.e2e.started import logged_in, started
from tests.faults.sockets import PREFIX, SUFFIX, head, upload_head

MEGABYTE = 2**20
BLOCK = b"0123456789abcdef" * (MEGABYTE // 16)
PROBE_SECONDS = 0.5  # five times what the event loop may be held up for: the clients are on the same machine


@dataclass
class Watch:
    """What the service takes while something goes on, from its own process's view and from that of other clients."""

    service: Service
    folder: Path  # of its temporary files
    megabytes: float = 0.0
    seconds: list[float] = field(default_factory=list)
    temporary: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def watching(self, client: httpx2.AsyncClient) -> AsyncIterator[None]:
        process = Path(f"/proc/{self.service.pid}")
        before = _memory(process, "VmRSS")
        (process / "clear_refs").write_text("5")  # from here on, the peak is of what follows: proc_pid_clear_refs(5)
        probing = asyncio.create_task(self._probe(client))
        yield
        probing.cancel()
        await asyncio.wait({probing})
        self.megabytes = _memory(process, "VmHWM") - before

    def told(self) -> str:
        others = f"{len(self.seconds)} other requests, {median(self.seconds):.3f} s, {max(self.seconds):.3f} s at most"
        return f"{self.megabytes:.1f} MiB more; {others}"

    async def _probe(self, client: httpx2.AsyncClient) -> None:
        while True:
            started = time.perf_counter()
            (await client.get("/tasks")).raise_for_status()
            self.seconds.append(time.perf_counter() - started)
            self.temporary |= {path.name for path in self.folder.iterdir()}
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("at_once", "megabytes"), [(1, 32), (8, 128)], ids=["one", "eight"])
async def test_large_files_take_little_memory_no_second_copy_and_nobodys_time(
    at_once: int, megabytes: int, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (1024 if request.config.getoption("--full") else 256 if at_once == 1 else 64) * MEGABYTE
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    limits = {"TASKWELL_MAX_FILE_BYTES": str(size), "TASKWELL_USER_QUOTA_BYTES": str(10 * size)}
    async with (
        started("embedded", request, **limits, TMPDIR=str(temporary)) as service,
        httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as client,
    ):
        await logged_in(client)
        task = (await client.post("/tasks", json={"title": "Write"})).raise_for_status().json()
        path = f"/tasks/{task['id']}/files"
        watches = [Watch(service, temporary) for _ in range(2)]
        small = upload(client, path, MEGABYTE)  # what is loaded or allocated once is so now
        download(client, small["id"])
        async with watches[0].watching(client):
            files = await _at_once(at_once, lambda: upload(client, path, size))
        async with watches[1].watching(client):
            digests = await _at_once(at_once, lambda: download(client, files[0]["id"]))
    with capsys.disabled():
        for name, watch in zip(("up", "down"), watches, strict=True):
            print(f"\n{at_once} x {size // MEGABYTE} MiB {name}: {watch.told()}")  # noqa: T201  to be seen in CI
    assert {file["sha256"] for file in files} == set(digests) == {_digest(size)}
    for watch in watches:
        assert watch.megabytes <= megabytes
        assert watch.temporary == set()
        assert len(watch.seconds) > 3
        assert median(watch.seconds) < PROBE_SECONDS
        assert max(watch.seconds) < 4 * PROBE_SECONDS
    stored = [path.stat().st_size for path in (tmp_path / "files").iterdir()]
    assert sorted(stored) == [MEGABYTE] + [size] * at_once


async def _at_once(number: int, act: Callable[[], Any]) -> list[Any]:
    """In threads, out of the way of those who measure the time."""
    with ThreadPoolExecutor(number) as threads:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(threads, act) for _ in range(number)))


def upload(client: httpx2.AsyncClient, path: str, size: int) -> dict[str, Any]:
    with _connected(client) as line:
        line.sendall(upload_head(path, client, size) + PREFIX)
        for _ in range(size // MEGABYTE):
            line.sendall(BLOCK)
        line.sendall(SUFFIX)
        with line.makefile("rb") as answer:
            assert b" 201 " in answer.readline()
            while answer.readline().strip():
                pass
            file: dict[str, Any] = json.loads(answer.readline())
            return file


def download(client: httpx2.AsyncClient, file_id: int) -> str:
    """Its sha256."""
    digest = sha256()
    with _connected(client) as line, line.makefile("rb", buffering=MEGABYTE) as answer:
        line.sendall(head("GET", f"/files/{file_id}", client, connection="close"))
        assert b" 200 " in answer.readline()
        while answer.readline().strip():
            pass
        while chunk := answer.read(MEGABYTE):
            digest.update(chunk)
    return digest.hexdigest()


def _connected(client: httpx2.AsyncClient) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=120)


def _digest(size: int) -> str:
    digest = sha256()
    for _ in range(size // MEGABYTE):
        digest.update(BLOCK)
    return digest.hexdigest()


def _memory(process: Path, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", (process / "status").read_text())
    assert found
    return int(found[1]) / 1024
