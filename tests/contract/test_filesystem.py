"""What files on a disk promise beyond what any storage does."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from application.ports import StorageAway, StorageFull, StoredContent
from domain.file import FileContentMissing, stored_name
from domain.task import TaskId
from infrastructure.filesystem import BATCH, FilesystemStorage
from tests.contract.contents import LONG, broken, content, endless, some
from tests.examples import NOON


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "files"


@pytest.fixture
def disk(root: Path) -> FilesystemStorage:
    return FilesystemStorage(root)


async def test_only_whole_files_are_in_the_folder(disk: FilesystemStorage, root: Path) -> None:
    seen: list[list[str]] = []

    async def source() -> AsyncIterator[bytes]:
        yield LONG
        seen.append([path.name[:7] for path in root.iterdir()])

    await disk.put("a", source())
    await disk.ping()
    assert seen == [[".draft-"]]
    assert [path.name for path in root.iterdir()] == ["a"]


async def test_an_unfinished_file_is_listed_and_can_be_deleted(disk: FilesystemStorage, root: Path) -> None:
    name, unfinished = stored_name(TaskId(1), "txt"), list[StoredContent]()

    async def source() -> AsyncIterator[bytes]:
        yield bytes(BATCH)
        yield bytes(BATCH)
        unfinished.extend(await disk.page())  # the first is written by now, the second perhaps
        os.link(root / unfinished[0].name, root / f".draft-{'0' * 32}")

    await disk.put(name, source())
    (one,) = unfinished
    assert BATCH <= one.size <= 2 * BATCH
    os.utime(root / name, (NOON.timestamp(), NOON.timestamp()))
    left, stored = await disk.page()
    assert (one.draft_of, left.draft_of, stored.draft_of) == (name, "0" * 32, None)
    assert (left.written_at, left.size, stored) == (NOON, 2 * BATCH, replace(left, name=name, draft_of=None))
    await disk.delete(left.name)
    assert [path.name for path in root.iterdir()] == [name]


async def test_only_files_with_names_of_ours_are_listed(disk: FilesystemStorage, root: Path) -> None:
    await disk.ping()
    ours, folder, link = (stored_name(TaskId(task), "txt") for task in (1, 2, 3))
    (root / folder).mkdir()
    (root / link).symlink_to(root / ours)
    for name in (ours.encode(), b"letter.txt", b".draft-mine", b"\xff"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).touch()
    assert [one.name for one in await disk.page(limit=1)] == [ours]
    assert not await disk.page(after=ours)


async def test_a_page_is_empty_only_at_the_end(disk: FilesystemStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = sorted(stored_name(TaskId(1), "txt") for _ in range(2))
    for name in (first, last):
        await disk.put(name, some(b"one"))
    real = Path.lstat

    def vanishes(path: Path) -> os.stat_result:
        if path.name == first:
            path.unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(Path, "lstat", vanishes)
    assert [one.name for one in await disk.page(limit=1)] == [last]


async def test_a_file_is_durable_before_it_has_its_name_and_the_name_before_it_is_acknowledged(
    disk: FilesystemStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await disk.ping()
    calls: list[str] = []

    def name_of(descriptor: int) -> str:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        return "folder" if path == root else "draft" if path.name.startswith(".draft-") else path.name

    def observe(name: str, describe: Callable[..., str]) -> None:
        real = getattr(os, name)

        def observed(*args: object) -> object:
            calls.append(describe(*args))
            return real(*args)

        monkeypatch.setattr(os, name, observed)

    observe("write", lambda descriptor, data: f"write {name_of(descriptor)}")
    observe("fsync", lambda descriptor: f"fsync {name_of(descriptor)}")
    observe("rename", lambda source, target: f"rename to {Path(target).name}")
    await disk.put("a", some(LONG))
    assert calls == ["write draft", "fsync draft", "rename to a", "fsync folder"]


async def test_a_new_folder_is_durable_too(
    disk: FilesystemStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    await disk.ping()
    assert set(synced) == {root.parent, root.parent.parent}


async def test_nobody_takes_a_new_folder_for_ready_before_it_is_durable(
    disk: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, real, calls = asyncio.get_running_loop(), os.fsync, count(1)
    inside, go_on = asyncio.Event(), threading.Event()

    def fsync(descriptor: int) -> None:
        if next(calls) == 1:
            loop.call_soon_threadsafe(inside.set)
            go_on.wait(5)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    first = asyncio.create_task(disk.ping())
    await inside.wait()
    second = asyncio.create_task(disk.put("a", some(b"one")))
    acknowledged, _ = await asyncio.wait({second}, timeout=0.1)
    go_on.set()
    await asyncio.gather(first, second)
    assert not acknowledged


@pytest.mark.parametrize("failing", [1, 2], ids=["file", "folder"])
async def test_a_failed_fsync_fails_the_put_and_is_not_tried_again(
    disk: FilesystemStorage, root: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    await disk.ping()
    synced: list[int] = []

    def fsync(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == failing:
            raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageAway):
        await disk.put("a", some(LONG))
    assert len(synced) == failing
    assert not list(root.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_said_to_be_full_and_is_not_away(
    disk: FilesystemStorage, root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def write(descriptor: int, data: bytes) -> int:
        raise OSError(code, "full")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StorageFull):
        await disk.put("a", some(LONG))
    await disk.ping()
    assert not list(root.iterdir())


async def test_a_source_that_fails_while_a_write_fails_is_what_is_told(
    disk: FilesystemStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(descriptor: int, data: bytes) -> int:
        raise OSError(errno.EIO, "the disk is broken")

    async def source() -> AsyncIterator[bytes]:
        yield bytes(BATCH)  # it is being written when the source is asked for more
        raise ConnectionResetError

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(ConnectionResetError):
        await disk.put("a", source())
    assert not list(root.iterdir())


async def test_a_disk_that_fails_in_the_middle_is_noticed_before_the_source_is_at_its_end(
    disk: FilesystemStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def write(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    async def source() -> AsyncIterator[bytes]:
        for number in range(10):
            asked.append(number)
            yield bytes(BATCH)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StorageFull):
        await disk.put("a", source())
    assert asked == [0, 1]
    assert not list(root.iterdir())


async def test_short_writes_are_completed(disk: FilesystemStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:1000]))
    await disk.put("a", some(LONG))
    assert await content(disk, "a") == LONG


async def test_a_folder_that_vanishes_is_away_until_it_is_back(disk: FilesystemStorage, root: Path) -> None:
    await disk.put("a", some(b"one"))
    root.rename(root.with_name("elsewhere"))
    for use in (disk.put("b", some(b"two")), disk.size("a"), content(disk, "a"), disk.delete("a"), disk.ping()):
        with pytest.raises(StorageAway):
            await use
    assert not root.exists()
    root.with_name("elsewhere").rename(root)
    await disk.ping()
    assert await content(disk, "a") == b"one"
    await disk.put("b", some(b"two"))
    assert {path.name for path in root.iterdir()} == {"a", "b"}


async def test_a_folder_that_cannot_be_made_is_away_until_it_can(disk: FilesystemStorage, root: Path) -> None:
    root.parent.write_text("in the way")
    with pytest.raises(StorageAway):
        await disk.ping()
    with pytest.raises(StorageAway):
        await disk.put("a", some(b"one"))
    root.parent.unlink()
    await disk.put("a", some(b"one"))
    assert await content(disk, "a") == b"one"


async def test_no_descriptor_is_left_open(disk: FilesystemStorage) -> None:
    await disk.put("a", some(LONG))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ConnectionResetError):
        await disk.put("b", broken())
    with pytest.raises(FileContentMissing):
        await content(disk, "b")
    async with disk.read("a") as chunks:
        await anext(chunks)  # a reader that goes away
    reached = asyncio.Event()
    putting = asyncio.create_task(disk.put("c", endless(reached)))
    await reached.wait()
    putting.cancel()
    await asyncio.wait({putting})
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("function", ["open", "write", "fsync", "rename"])
async def test_a_put_cancelled_in_the_middle_of_a_call_leaves_nothing(
    disk: FilesystemStorage, root: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    await disk.ping()
    before = len(list(Path("/proc/self/fd").iterdir()))
    loop, inside, real = asyncio.get_running_loop(), asyncio.Event(), getattr(os, function)
    putting = asyncio.create_task(disk.put("a", some(bytes(BATCH), LONG)))
    ended_meanwhile: list[asyncio.Task[None]] = []

    def cancel_in_the_middle(*args: object) -> object:
        monkeypatch.setattr(os, function, real)
        asyncio.run_coroutine_threadsafe(cancel(), loop).result()
        return real(*args)

    async def cancel() -> None:
        putting.cancel()
        ended, _ = await asyncio.wait({putting}, timeout=0.05)
        ended_meanwhile.extend(ended)
        inside.set()

    monkeypatch.setattr(os, function, cancel_in_the_middle)
    await inside.wait()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert not ended_meanwhile
    assert not list(root.iterdir())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def watch_for_a_close_during(patch: pytest.MonkeyPatch, function: str, inside: asyncio.Event) -> list[bool]:
    """The second call of this function lasts until a descriptor is closed, or for a moment; was one closed?"""
    loop, real, close = asyncio.get_running_loop(), getattr(os, function), os.close
    calls, closed, seen = count(1), threading.Event(), list[bool]()

    def slow(*args: object) -> object:
        if next(calls) == 2:
            loop.call_soon_threadsafe(inside.set)
            seen.append(closed.wait(0.2))
        return real(*args)

    def closing(descriptor: int) -> None:
        closed.set()
        close(descriptor)

    patch.setattr(os, function, slow)
    patch.setattr(os, "close", closing)
    return seen


async def test_a_file_is_not_closed_while_it_is_written_to(disk: FilesystemStorage, root: Path) -> None:
    inside = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield bytes(BATCH)
        yield bytes(BATCH)
        await inside.wait()
        raise ConnectionResetError

    await disk.ping()
    with pytest.MonkeyPatch.context() as patch:
        closed = watch_for_a_close_during(patch, "write", inside)
        with pytest.raises(ConnectionResetError):
            await disk.put("a", source())
    assert closed == [False]  # or the descriptor could be another file's by the time of the write
    assert not list(root.iterdir())


async def test_a_file_is_not_closed_while_it_is_read(disk: FilesystemStorage) -> None:
    await disk.put("a", some(LONG))
    inside = asyncio.Event()
    with pytest.MonkeyPatch.context() as patch:
        closed = watch_for_a_close_during(patch, "pread", inside)
        async with disk.read("a") as chunks:
            await anext(chunks)
            await inside.wait()
    assert closed == [False]


async def test_the_event_loop_goes_on_while_the_disk_is_slow(
    disk: FilesystemStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, real = asyncio.get_running_loop(), os.fsync

    async def proof_of_life() -> None:
        await asyncio.sleep(0)

    def fsync(descriptor: int) -> None:
        asyncio.run_coroutine_threadsafe(proof_of_life(), loop).result(timeout=5)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    await disk.put("a", some(LONG))
    assert await disk.size("a") == len(LONG)
