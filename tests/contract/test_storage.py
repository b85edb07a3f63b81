"""What every file storage promises."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from application.ports import FileStorage
from domain.file import FileContentMissing, stored_name
from domain.task import TaskId
from infrastructure.filesystem import CHUNK, FilesystemStorage
from infrastructure.memory.storage import MemoryStorage
from tests.contract.contents import LONG, broken, content, endless, some
from tests.s3 import storage_at


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "files"


@pytest.fixture(params=["memory", "disk", "s3"])
def storage(request: pytest.FixtureRequest, root: Path) -> FileStorage:
    match request.param:
        case "memory":
            return MemoryStorage()
        case "disk":
            return FilesystemStorage(root)
        case _:
            return storage_at(f"{request.getfixturevalue('s3_url')}/{uuid4().hex}")


async def is_missing(storage: FileStorage, name: str) -> bool:
    with pytest.raises(FileContentMissing):
        await content(storage, name)
    with pytest.raises(FileContentMissing):
        await storage.size(name)
    return True


@pytest.mark.parametrize(
    "chunks", [[], [b"one"], [b"", b"one", b"", b"two"], [b"x"] * 1000, [LONG, b"tail"], [LONG] * 3]
)
async def test_what_is_put_can_be_read(storage: FileStorage, chunks: list[bytes]) -> None:
    await storage.put("a", some(*chunks))
    assert await content(storage, "a") == b"".join(chunks)
    assert await storage.size("a") == sum(map(len, chunks))


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 1),
        (1, 5),
        (CHUNK - 1, CHUNK + 1),
        (5, 5),
        (len(LONG) - 3, None),
        (7, len(LONG)),
        (0, 2 * CHUNK),
        (len(LONG), None),
    ],
)
async def test_a_range_can_be_read(storage: FileStorage, start: int, stop: int | None) -> None:
    await storage.put("a", some(LONG))
    assert await content(storage, "a", start, stop) == LONG[start:stop]


async def test_pieces_are_bounded(storage: FileStorage) -> None:
    await storage.put("a", some(LONG))
    async with storage.read("a") as chunks:
        assert [len(chunk) async for chunk in chunks] == [CHUNK, CHUNK, CHUNK, 3]


async def test_an_unknown_name_is_missing(storage: FileStorage) -> None:
    assert await is_missing(storage, "a")


async def test_deleting_twice_is_deleting_once(storage: FileStorage) -> None:
    await storage.put("a", some(b"one"))
    await storage.put("b", some(b"two"))
    await storage.delete("a")
    await storage.delete("a")
    assert await is_missing(storage, "a")
    assert await content(storage, "b") == b"two"


async def test_a_reader_reads_on_when_its_file_is_deleted(storage: FileStorage) -> None:
    await storage.put("a", some(LONG))
    async with storage.read("a") as chunks:
        first = await anext(chunks)
        await storage.delete("a")
        assert first + b"".join([chunk async for chunk in chunks]) == LONG
    assert await is_missing(storage, "a")


async def test_a_broken_source_leaves_nothing(storage: FileStorage, root: Path) -> None:
    with pytest.raises(ConnectionResetError):
        await storage.put("a", broken())
    assert await is_missing(storage, "a")
    assert not root.exists() or not list(root.iterdir())


async def test_a_cancelled_put_leaves_nothing(storage: FileStorage, root: Path) -> None:
    reached = asyncio.Event()
    putting = asyncio.create_task(storage.put("a", endless(reached)))
    await reached.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await is_missing(storage, "a")
    assert not root.exists() or not list(root.iterdir())


async def test_what_is_being_put_is_not_there_yet(storage: FileStorage) -> None:
    looked: list[bool] = []

    async def source() -> AsyncIterator[bytes]:
        yield LONG
        looked.append(await is_missing(storage, "a"))

    await storage.put("a", source())
    assert looked == [True]


async def test_many_puts_at_once_do_not_mix(storage: FileStorage) -> None:
    contents = {f"file {number}": bytes([number]) * (CHUNK + number) for number in range(30)}
    await asyncio.gather(*(storage.put(name, some(bytes_[:100], bytes_[100:])) for name, bytes_ in contents.items()))
    assert {name: await content(storage, name) for name in contents} == contents


async def names_in(storage: FileStorage, *, limit: int) -> list[str]:
    names: list[str] = []
    while page := await storage.page(after=names[-1] if names else "", limit=limit):
        assert len(page) <= limit
        names += [stored.name for stored in page]
    return names


@pytest.mark.parametrize("limit", [1, 4, 1000])
async def test_what_it_holds_comes_page_by_page_in_order(storage: FileStorage, limit: int) -> None:
    names = [stored_name(TaskId(task), extension) for task in (9, 10, 2**63 - 1) for extension in ("txt", "png", "7z")]
    for name in names:
        await storage.put(name, some(b"one"))
    assert await names_in(storage, limit=limit) == sorted(names)


async def test_what_is_not_ours_is_not_listed(storage: FileStorage) -> None:
    ours = stored_name(TaskId(1), "txt")
    for name in ("letter.txt", "task_1.txt", f"{ours}~", f"x{ours}", f"{ours[:-4]}.TXT", ours, "é", ".draft-1"):
        await storage.put(name, some(b"one"))
    assert await names_in(storage, limit=2) == [ours]


async def test_a_page_tells_size_and_time(storage: FileStorage) -> None:
    began = datetime.now(UTC)
    await storage.put(name := stored_name(TaskId(1), "txt"), some(LONG, b"tail"))
    (stored,) = await storage.page()
    assert (stored.name, stored.size, stored.draft_of) == (name, len(LONG) + 4, None)
    assert abs(stored.written_at - began) < timedelta(seconds=30)
    await storage.delete(name)
    assert not await storage.page()


async def test_a_storage_answers(storage: FileStorage) -> None:
    await storage.ping()
