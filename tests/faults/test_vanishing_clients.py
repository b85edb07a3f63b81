"""Clients that go away in the middle of an upload or a download, or stop reading: nothing is left, and nothing open."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infrastructure.sql.engine import open_engines
from tests.e2e.service import Service
from tests.e2e.started import embedded, logged_in, started
from tests.faults.audit import audit
from tests.faults.sockets import PREFIX, Line, connected, head, held, until, upload_head

SIZE = 8 * 2**20  # more than the sockets of both sides hold
SHARES = [0.0, 0.01, 0.5, 0.99]
IMPATIENT = """
import interfaces.http.protocol
from interfaces.cli.main import main

interfaces.http.protocol.STALLED_SECONDS = 1.0
main()
"""
LEAVE = [Line.finish, Line.reset]


@pytest.fixture(params=["embedded", "scale"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    async with started(request.param, request, TASKWELL_LOG_FORMAT="json") as service:
        yield service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as client:
        await logged_in(client)
        yield client


@pytest.fixture
async def files(client: httpx2.AsyncClient) -> str:
    task = (await client.post("/tasks", json={"title": "Write"})).raise_for_status().json()
    return f"/tasks/{task['id']}/files"


async def test_an_upload_that_breaks_off_leaves_nothing(
    service: Service, client: httpx2.AsyncClient, files: str, tmp_path: Path
) -> None:
    whole = await _uploaded(client, files)
    before = held(service, tmp_path / "files")
    for share in SHARES:
        for leave in LEAVE:
            async with connected(service.url) as line:
                line.writer.write(upload_head(files, client, SIZE) + PREFIX + b"x" * int(SIZE * share))
                await line.writer.drain()
                await until(lambda: len(held(service, tmp_path / "files")) == len(before) + 2)  # it is at it
                leave(line)
                await until(lambda: held(service, tmp_path / "files") == before)
    await _nothing_is_left(service, tmp_path)
    assert (await client.get(files)).json()["items"] == [whole]
    await _uploaded(client, files)
    assert _errors(service) == []


async def test_a_download_that_breaks_off_leaves_nothing_open(
    service: Service, client: httpx2.AsyncClient, files: str, tmp_path: Path
) -> None:
    file = await _uploaded(client, files)
    before = held(service, tmp_path / "files")
    for share in SHARES:
        for leave in LEAVE:
            async with connected(service.url) as line:
                line.writer.write(head("GET", f"/files/{file['id']}", client))
                await line.reader.readuntil(b"\r\n\r\n")
                await line.reader.readexactly(int(SIZE * share))
                leave(line)
                await until(lambda: held(service, tmp_path / "files") == before)
    assert len((await client.get(f"/files/{file['id']}")).content) == SIZE
    assert _errors(service) == []


async def test_a_reader_that_stalls_is_given_up(tmp_path: Path) -> None:
    impatient = (
        "import interfaces.http.protocol as d; d.STALLED_SECONDS = 1; from interfaces.cli.main import main; main()"
    )
    command, env = [sys.executable, "-c", impatient, "serve"], embedded(tmp_path) | {"TASKWELL_LOG_FORMAT": "json"}
    async with Service(cwd=tmp_path, env=env, command=command) as service:
        async with httpx2.AsyncClient(base_url=service.url, trust_env=False) as client:
            await logged_in(client)
            task = (await client.post("/tasks", json={"title": "Write"})).raise_for_status().json()
            file = await _uploaded(client, f"/tasks/{task['id']}/files")
            before = held(service, tmp_path / "files")
            async with connected(service.url) as line:
                line.writer.write(head("GET", f"/files/{file['id']}", client))
                await line.reader.readuntil(b"\r\n\r\n")
                assert len(held(service, tmp_path / "files")) == len(before) + 2
                await until(lambda: held(service, tmp_path / "files") == before)
        assert _errors(service) == []


async def _uploaded(client: httpx2.AsyncClient, files: str) -> dict[str, Any]:
    answer = await client.post(files, files={"file": ("a.txt", b"x" * SIZE)})
    file: dict[str, Any] = answer.raise_for_status().json()
    return file


async def _nothing_is_left(service: Service, folder: Path) -> None:
    engines = open_engines(service.environment["TASKWELL_DATABASE_URL"], pool_size=1)
    try:
        async with asyncio.timeout(30):
            while (found := await audit(engines, folder / "files")).reserved or found.jobs:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await engines.aclose()
    assert found.wrong() == {}


def _errors(service: Service) -> list[str]:
    lines = [json.loads(line) for line in service.log().splitlines()]
    return [line["event"] for line in lines if line["level"] not in {"info", "debug"}]
