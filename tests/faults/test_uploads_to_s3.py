"""The application while its S3 goes away in the middle of an upload: a quick 503 or a success, then all is well."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest

from infrastructure.s3 import PART
from tests.api.conftest import Person, start
from tests.faults.weed import Weed
from tests.s3 import make_bucket, names_at, settings_of, storage_at

TEXT = bytes(range(32, 127)) * (PART * 7 // 4 // 95)  # in two parts
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
SECONDS = 10  # within which it is said that the storage is away
FAULTS = pytest.mark.parametrize(
    ("fault", "mend"), [(Weed.pause, Weed.resume), (Weed.kill, Weed.start)], ids=["paused", "killed"]
)


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    with Weed(tmp_path_factory.mktemp("weed")) as weed:
        make_bucket(weed.url)
        yield weed


@dataclass(frozen=True)
class Task:
    """One to which files are uploaded, on an application that keeps them there."""

    place: str
    me: Person
    path: str

    async def upload(self, fault: Callable[[], None]) -> tuple[int, float]:
        """The status, and how many seconds it took since the fault, which is in the middle."""
        began = 0.0

        async def body() -> AsyncIterator[bytes]:
            nonlocal began
            yield HEAD + TEXT[: len(TEXT) // 2]
            fault()
            began = time.monotonic()
            yield TEXT[len(TEXT) // 2 :] + b"\r\n--b--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await self.me.post(self.path, content=body(), headers=headers)
        return answer.status_code, time.monotonic() - began

    async def files(self) -> list[httpx2.Response]:
        items = (await self.me.get(self.path)).json()["items"]
        return [await self.me.get(f"/files/{item['id']}") for item in items]

    async def is_well(self, *, files: int) -> None:
        """It takes files again, has these, and what else is there can be swept up."""
        again = await self.me.post(self.path, files={"file": ("a.txt", TEXT)})
        assert again.status_code == 201, again.text
        assert [file.content == TEXT for file in await self.files()] == [True] * (files + 1)
        listed = {stored.name for stored in await storage_at(self.place).page()}
        assert set(names_at(self.place)) <= listed


@asynccontextmanager
async def task_on(place: str) -> AsyncIterator[Task]:
    async with start(**settings_of(place)) as api:
        me = await api.person()
        yield Task(place, me, f"/tasks/{(await me.task())['id']}/files")


@FAULTS
async def test_while_it_stays_away_uploads_are_refused_soon(
    weed: Weed, fault: Callable[[Weed], None], mend: Callable[[Weed], None]
) -> None:
    async with task_on(f"{weed.url}/{fault.__name__}") as task:
        try:
            status, seconds = await task.upload(lambda: fault(weed))
            assert (status, seconds < SECONDS) == (503, True)
            assert (await task.me.api.client.get("/health/ready")).status_code == 503
            assert await task.files() == []
        finally:
            mend(weed)
        await task.is_well(files=0)


@FAULTS
async def test_away_for_a_moment_is_a_success_or_a_quick_refusal(
    weed: Weed, fault: Callable[[Weed], None], mend: Callable[[Weed], None]
) -> None:
    mended: list[asyncio.Future[None]] = []

    def fail() -> None:
        fault(weed)
        mended.append(asyncio.get_running_loop().run_in_executor(None, after_a_second))

    def after_a_second() -> None:
        time.sleep(1)
        mend(weed)

    async with task_on(f"{weed.url}/moment-{fault.__name__}") as task:
        try:
            status, seconds = await task.upload(fail)
        finally:
            await asyncio.gather(*mended)
        assert (status in {201, 503}, seconds < SECONDS) == (True, True)
        assert fault is Weed.kill or status == 201  # a second is less than a try takes
        await task.is_well(files=int(status == 201))
