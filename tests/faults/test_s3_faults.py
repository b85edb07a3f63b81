"""S3 that goes away in the middle of an upload: a quick no or a whole file, and nothing half stored to be seen."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from application.ports import StorageAway
from infrastructure.s3 import PART, TRIAL
from tests.contract.contents import content, some
from tests.faults.weed import Weed
from tests.s3 import make_bucket, names_at, storage_at

WHOLE = bytes(range(256)) * (6 * PART // 256)
SECONDS = 10  # within which it is said that the storage is away


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    with Weed(tmp_path_factory.mktemp("weed")) as weed:
        make_bucket(weed.url)
        yield weed


async def interrupted(fault: Callable[[], None]) -> AsyncIterator[bytes]:
    yield WHOLE[: len(WHOLE) // 2]
    fault()
    yield WHOLE[len(WHOLE) // 2 :]


async def seconds_until_away(use: Awaitable[object]) -> float:
    began = time.monotonic()
    with pytest.raises(StorageAway):
        await use
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("fault", "mending"), [(Weed.pause, Weed.resume), (Weed.kill, Weed.start)], ids=["paused", "killed"]
)
async def test_a_server_that_stays_away_is_away_soon_and_back_by_itself(
    weed: Weed, fault: Callable[[Weed], None], mending: Callable[[Weed], None]
) -> None:
    place = f"{weed.url}/{fault.__name__}"
    s3 = storage_at(place)
    await s3.put("before", some(WHOLE))
    away = asyncio.Event()

    def fail() -> None:
        fault(weed)
        away.set()

    try:
        uploading = asyncio.create_task(seconds_until_away(s3.put("a", interrupted(fail))))
        await away.wait()
        others = (s3.put("b", some(b"small")), s3.size("before"), content(s3, "before"), s3.delete("c"), s3.ping())
        took = await asyncio.gather(uploading, *map(seconds_until_away, others))
    finally:
        mending(weed)
    assert max(took) < SECONDS
    assert await content(s3, "before") == WHOLE
    seen = {name for name in names_at(place) if not name.startswith(TRIAL)}
    assert {"before"} <= seen <= {"before", "b"}  # what is small may have come through after all
    await s3.put("a", some(WHOLE))
    assert await content(s3, "a") == WHOLE


@pytest.mark.parametrize("fault", ["pause", "restart"])
async def test_a_server_that_is_away_for_a_moment_has_the_whole_file_or_none(weed: Weed, fault: str) -> None:
    place = f"{weed.url}/for-a-moment-{fault}"
    s3 = storage_at(place)
    loop = asyncio.get_running_loop()
    mended: list[asyncio.Future[None]] = []

    def mend() -> None:
        if fault == "pause":
            time.sleep(1)
            weed.resume()
        else:
            weed.start()

    def fail() -> None:
        weed.pause() if fault == "pause" else weed.kill()
        mended.append(loop.run_in_executor(None, mend))

    began = time.monotonic()
    try:
        await s3.put("a", interrupted(fail))
    except StorageAway:
        assert time.monotonic() - began < SECONDS
        stored = []
    else:
        stored = ["a"]
    await mended[0]
    assert fault == "restart" or stored  # a second is less than a try takes
    assert names_at(place) == stored
    assert [await content(s3, name) == WHOLE for name in stored] == [True] * len(stored)
