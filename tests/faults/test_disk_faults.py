"""The program on a small file system of its own, which fills up, becomes read-only, and is taken away."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.e2e.started import PASSWORD, started

MEGABYTES = 8
CONTENT = bytes(range(32, 127)) * 30_000  # the third does not fit


@dataclass(frozen=True)
class Disk:
    """A tmpfs, mounted at this folder."""

    folder: Path

    def mount(self) -> None:
        _run("mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", self.folder)

    def remount(self, mode: str) -> None:
        _run("mount", "-o", f"remount,{mode}", self.folder)

    def move(self, to: Path) -> "Disk":
        """All that is on it goes with it."""
        to.mkdir(exist_ok=True)
        _run("mount", "--move", self.folder, to)
        return Disk(to)

    def unmount(self) -> None:
        _run("umount", "--lazy", self.folder)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    disk.folder.mkdir()
    try:
        disk.mount()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"this machine can't mount: {error}")
    yield disk
    disk.unmount()


@dataclass(frozen=True)
class User:
    client: httpx2.AsyncClient
    files: str

    async def upload(self) -> int:
        return (await self.client.post(self.files, files={"file": ("a.txt", CONTENT)})).status_code

    async def downloads(self) -> list[int]:
        """Of each file that was acknowledged, the answer's status."""
        answers = [await self.client.get(f"/files/{item['id']}") for item in await self.items()]
        assert all(answer.content == CONTENT for answer in answers if answer.is_success)
        return [answer.status_code for answer in answers]

    async def items(self) -> list[dict[str, int]]:
        items: list[dict[str, int]] = (await self.client.get(self.files)).json()["items"]
        return items

    async def ready(self) -> int:
        return (await self.client.get("/health/ready")).status_code


@asynccontextmanager
async def user(request: pytest.FixtureRequest, disk: Disk) -> AsyncIterator[User]:
    async with (
        started("embedded", request, TASKWELL_STORAGE_URL=f"file:{disk.folder / 'files'}") as service,
        httpx2.AsyncClient(base_url=service.url, timeout=30, trust_env=False) as client,
    ):
        account = {"username": "someone", "password": PASSWORD}
        await client.post("/auth/register", json={**account, "email": "someone@example.org"})
        token = (await client.post("/auth/login", json=account)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        task = await client.post("/tasks", json={"title": "Keep files"})
        yield User(client, f"/tasks/{task.json()['id']}/files")
        assert "traceback" not in service.log().lower()


async def test_a_disk_that_is_full_takes_files_again_when_there_is_room(
    request: pytest.FixtureRequest, disk: Disk
) -> None:
    async with user(request, disk) as me:
        stored = 0
        while (status := await me.upload()) == 201:
            stored += 1
        assert (stored, status, await me.upload(), await me.ready()) == (2, 507, 507, 200)
        assert await me.downloads() == [200] * stored
        assert len(list((disk.folder / "files").iterdir())) == stored
        _run("mount", "-o", f"remount,size={2 * MEGABYTES}m", disk.folder)
        assert await me.upload() == 201
        assert await me.downloads() == [200] * (stored + 1)


async def test_a_read_only_disk_gives_what_it_has(request: pytest.FixtureRequest, disk: Disk) -> None:
    async with user(request, disk) as me:
        assert await me.upload() == 201
        disk.remount("ro")
        assert (await me.upload(), await me.ready(), await me.downloads()) == (503, 503, [200])
        disk.remount("rw")
        assert (await me.ready(), await me.upload(), await me.downloads()) == (200, 201, [200, 200])


async def test_a_disk_that_is_not_mounted_hides_files_and_loses_none(
    request: pytest.FixtureRequest, disk: Disk, tmp_path: Path
) -> None:
    async with user(request, disk) as me:
        assert await me.upload() == 201
        away = disk.move(tmp_path / "elsewhere")
        try:
            assert (await me.upload(), await me.ready(), await me.downloads()) == (503, 503, [503])
        finally:
            away.move(disk.folder)
        assert (await me.ready(), await me.upload(), await me.downloads()) == (200, 201, [200, 200])
