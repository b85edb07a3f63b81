"""What files on S3 promise beyond what any storage does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest

from application.ports import StorageAway
from domain.file import FileContentMissing, stored_name
from domain.task import TaskId
from infrastructure.s3 import CHUNK, PART, TRIAL, S3Storage
from tests.contract.contents import content, some
from tests.s3 import names_at, open_uploads, storage_at, store_of

LARGE = bytes(range(256)) * (2 * PART // 256) + b"end"  # three parts


@pytest.fixture
def place(s3_url: str) -> str:
    return f"{s3_url}/{uuid4().hex}"


@pytest.fixture
def s3(place: str) -> S3Storage:
    return storage_at(place)


async def two_parts_then(end: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
    for start in range(0, len(LARGE), CHUNK):
        yield LARGE[start : start + CHUNK]
    await end()


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART, len(LARGE)])
async def test_what_is_put_in_parts_is_whole(s3: S3Storage, place: str, size: int) -> None:
    chunks = [LARGE[start : min(start + 100_000, size)] for start in range(0, size, 100_000)]
    await s3.put("a", some(*chunks))
    assert await content(s3, "a") == LARGE[:size]
    assert await content(s3, "a", PART - 3, PART + 3) == LARGE[:size][PART - 3 : PART + 3]
    assert names_at(place) == ["a"]
    assert open_uploads(place) == []


@pytest.mark.parametrize("error", [ConnectionResetError, TimeoutError, FileNotFoundError, FileContentMissing])
async def test_what_goes_wrong_with_the_source_is_told_and_ends_the_upload(
    s3: S3Storage, place: str, error: type[Exception]
) -> None:
    uploads: list[list[str]] = []

    async def fail() -> None:
        uploads.append(await asyncio.to_thread(open_uploads, place))
        raise error

    with pytest.raises(error):
        await s3.put("a", two_parts_then(fail))
    assert uploads == [["a"]]
    assert open_uploads(place) == names_at(place) == []


async def test_a_put_cancelled_while_it_waits_for_its_source_ends_the_upload(s3: S3Storage, place: str) -> None:
    reached = asyncio.Event()

    async def wait_for_ever() -> None:
        reached.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(s3.put("a", two_parts_then(wait_for_ever)))
    await reached.wait()
    assert await asyncio.to_thread(open_uploads, place) == ["a"]
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert open_uploads(place) == names_at(place) == []


@pytest.mark.parametrize("size", [10, len(LARGE)])
@pytest.mark.parametrize("turns", [0, 1, 2, 5, 20])
async def test_a_put_cancelled_at_any_time_leaves_nothing(s3: S3Storage, place: str, size: int, turns: int) -> None:
    read = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield LARGE[:size]
        read.set()

    putting = asyncio.create_task(s3.put("a", source()))
    await read.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    putting.cancel()
    await asyncio.wait({putting})
    assert open_uploads(place) == []
    assert names_at(place) == ([] if putting.cancelled() else ["a"])  # done before, if the server was quick


async def test_a_ping_leaves_nothing(s3: S3Storage, place: str) -> None:
    await s3.ping()
    assert names_at(place) == []


async def test_what_a_ping_left_is_listed_as_unfinished(s3: S3Storage, place: str) -> None:
    store_of(place).put(TRIAL, b"?")
    store_of(place).put(f"folder/{stored_name(TaskId(1), 'txt')}", b"of somebody else")
    (left,) = await s3.page()
    assert (left.name, left.size, left.draft_of) == (TRIAL, 1, TRIAL)
    await s3.delete(left.name)
    assert not await s3.page()


async def test_a_bucket_that_is_not_there_is_not_a_missing_file(s3_url: str) -> None:
    scheme, _, host, *_ = s3_url.split("/")
    s3 = storage_at(f"{scheme}//{host}/no-such-bucket/files")
    for use in (s3.size("a"), content(s3, "a"), s3.delete("a"), s3.page()):
        with pytest.raises(StorageAway):
            await use


async def test_variables_meant_for_others_change_nothing(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"SESSION_TOKEN": "theirs", "ENDPOINT_URL_S3": "http://127.0.0.1:9", "SKIP_SIGNATURE": "true"}
    for name, value in {**others, "ENDPOINT_URL": "http://127.0.0.1:9", "REGION": "nowhere"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    s3 = storage_at(place)
    await s3.put("a", some(b"one"))
    assert await content(s3, "a") == b"one"


async def test_a_key_that_is_refused_is_a_storage_that_is_away(place: str) -> None:
    s3 = storage_at(place.replace("taskwell:", "taskwell:not"))
    for use in (s3.ping(), s3.put("a", some(b"one")), s3.size("a"), content(s3, "a"), s3.delete("a")):
        with pytest.raises(StorageAway):
            await use


async def test_a_slow_reader_gets_it_all(s3: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.s3.PATIENCE_SECONDS", 1)
    await s3.put("a", some(LARGE))
    read = b""
    async with s3.read("a") as chunks:
        async for chunk in chunks:
            if not read:
                await asyncio.sleep(1.2)  # longer than the storage itself may take
            read += chunk
    assert read == LARGE


async def test_a_slow_sender_has_all_the_time_it_needs(s3: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.s3.PATIENCE_SECONDS", 1)

    async def pause() -> None:
        await asyncio.sleep(1.2)  # longer than the storage itself may take

    await s3.put("a", two_parts_then(pause))
    assert await content(s3, "a") == LARGE
