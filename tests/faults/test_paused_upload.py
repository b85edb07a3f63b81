"""A process that stands still in the middle of an upload for longer than the reconciler waits, and then goes on."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.service import Service
from tests.e2e.started import logged_in, mended, started
from tests.faults.ledger import MULTIPART, PART

CONTENT = b"x" * 3_000_000
MIN_AGE_SECONDS = 1
SECONDS = 30


@pytest.mark.parametrize("kind", ["embedded", "scale"])
async def test_an_upload_paused_for_too_long_is_a_503_and_leaves_nothing(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    async with (
        started(kind, request, TASKWELL_RECONCILE_MIN_AGE_SECONDS=str(MIN_AGE_SECONDS)) as service,
        httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=SECONDS) as client,
    ):
        await logged_in(client)
        task = (await client.post("/tasks", json={"title": "Pause"})).json()["id"]
        head, tail = (PART % CONTENT)[:2_000_000], (PART % CONTENT)[2_000_000:]

        async def body() -> AsyncIterator[bytes]:
            yield head
            await _until_written(folder)
            await asyncio.to_thread(_reconcile_while_paused, service, folder)
            yield tail

        answer = await client.post(f"/tasks/{task}/files", content=body(), headers=MULTIPART)
        assert answer.status_code == 503
        assert answer.json()["code"] in {"upload-abandoned", "storage-away"}
        assert list(folder.iterdir()) == []
        assert (await client.get(f"/tasks/{task}/files")).json()["items"] == []
        again = await client.post(f"/tasks/{task}/files", content=PART % b"again", headers=MULTIPART)
        assert again.status_code == 201
        assert await asyncio.to_thread(mended, service) == {}
        assert len(list(folder.iterdir())) == 1
        assert "unexpected error" not in service.log()


async def _until_written(folder: Path) -> None:
    async with asyncio.timeout(SECONDS):
        while not any(path.stat().st_size for path in folder.glob(".draft-task_*")):  # noqa: ASYNC110  a folder sets no event
            await asyncio.sleep(0.01)


def _reconcile_while_paused(service: Service, folder: Path) -> None:
    process = service._processes[0].pid  # noqa: SLF001  only the service stands still, not its watchdog
    os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(MIN_AGE_SECONDS + 0.1)
        assert mended(service) == {"abandoned_uploads": 1, "stray_contents": 1}
        assert list(folder.iterdir()) == []
    finally:
        os.kill(process, signal.SIGCONT)
