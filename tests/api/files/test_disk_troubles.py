"""A full, broken, read-only or missing disk: what needs it says so, the rest goes on, and all recovers by itself."""

import errno
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.conftest import Api, Person, assert_problem, start

LONG = b"text " * 500_000
Break = Callable[[pytest.MonkeyPatch, Path], None]


@dataclass(frozen=True)
class Place:
    """A task with a file, on an application that keeps files in this folder."""

    api: Api
    me: Person
    task: dict[str, Any]
    file: dict[str, Any]
    folder: Path

    async def upload(self) -> httpx2.Response:
        return await self.me.post(f"/tasks/{self.task['id']}/files", files={"file": ("a.txt", LONG)})

    async def download(self) -> httpx2.Response:
        return await self.me.get(f"/files/{self.file['id']}")

    async def ready(self) -> httpx2.Response:
        return await self.api.client.get("/health/ready")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "files"
    async with start(storage_url=f"file:{folder}") as api:
        me = await api.person()
        task = await me.task()
        yield Place(api, me, task, await me.file(task, LONG), folder)


def fail(patch: pytest.MonkeyPatch, function: str, code: int) -> list[str]:
    """From now on this function of the operating system fails; return where its calls are noted."""
    calls: list[str] = []

    def failing(*_: object) -> int:
        calls.append(function)
        raise OSError(code, os.strerror(code))

    patch.setattr(os, function, failing)
    return calls


def make_read_only(patch: pytest.MonkeyPatch, folder: Path) -> None:
    real = os.open

    def open_to_read(path: str | Path, flags: int, *mode: int) -> int:
        if flags & os.O_WRONLY and Path(path).parent == folder:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *mode)

    patch.setattr(os, "open", open_to_read)


async def works(place: Place) -> None:
    """All is well again, and what failed meanwhile has left nothing."""
    assert (await place.ready()).status_code == 200
    assert (await place.download()).content == LONG
    assert len(list(place.folder.iterdir())) == 1
    assert (await place.upload()).status_code == 201
    assert len(list(place.folder.iterdir())) == 2
    assert len((await place.me.get(f"/tasks/{place.task['id']}/files")).json()["items"]) == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("function", ["write", "fsync"])  # some file systems look for room only when they must
async def test_a_full_disk_takes_no_more_and_gives_all_it_has(place: Place, function: str, code: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail(patch, function, code)
        assert_problem(await place.upload(), 507, "storage-full")
        assert (await place.download()).content == LONG
        assert (await place.ready()).status_code == 200
        assert len(list(place.folder.iterdir())) == 1
    await works(place)


async def test_a_failed_fsync_is_told_and_not_repeated(place: Place) -> None:
    with pytest.MonkeyPatch.context() as patch:
        calls = fail(patch, "fsync", errno.EIO)
        assert_problem(await place.upload(), 503, "storage-away")
        assert calls == ["fsync"]
        assert (await place.download()).content == LONG
    await works(place)


async def test_a_read_only_disk_is_not_ready_and_all_but_uploads_work(place: Place) -> None:
    with pytest.MonkeyPatch.context() as patch:
        make_read_only(patch, place.folder)
        answer = await place.upload()
        assert_problem(answer, 503, "storage-away")
        assert answer.headers["Retry-After"]
        await is_not_ready(place)
        assert (await place.download()).content == LONG
        assert (await place.me.task())["title"]
    await works(place)


async def test_a_folder_that_is_gone_loses_no_file(place: Place) -> None:
    place.folder.rename(aside := place.folder.with_name("elsewhere"))
    for answer in (await place.upload(), await place.download()):
        assert_problem(answer, 503, "storage-away")
    await is_not_ready(place)
    assert not place.folder.exists()  # or what is stored now would be hidden when the disk comes back
    assert (await place.me.task())["title"]
    aside.rename(place.folder)
    await works(place)


async def is_not_ready(place: Place) -> None:
    answer = await place.ready()
    assert answer.status_code == 503
    assert (answer.json()["code"], answer.json()["checks"]) == ("not-ready", {"database": "ok", "storage": "away"})
