"""The quota, as it is held before, during and after uploads that say how large they are, and of those that don't."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from tests.api.conftest import Api, Person, start
from tests.api.files.exchanges import send_raw, stored

HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
END = b"\r\n--b--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def whole(size: int) -> bytes:
    return HEAD + b"x" * size + END


def without_the_last_line_break(size: int) -> bytes:
    return whole(size).removesuffix(b"\r\n")


async def in_chunks(size: int) -> AsyncIterator[bytes]:
    """Without a length."""
    for byte in whole(size):
        yield bytes([byte])


@pytest.mark.parametrize("form", [whole, without_the_last_line_break, in_chunks])
async def test_exactly_the_limit_and_exactly_what_is_left_pass(form: Callable[[int], Any]) -> None:
    async with start(max_file_bytes=100, user_quota_bytes=150) as api:
        me = await api.person()
        path = f"/tasks/{(await me.task())['id']}/files"
        too_large = 413 if form is whole else 507  # of others it is not known so soon
        for size, status in ((101, 413), (100, 201), (101, too_large), (51, 507), (50, 201), (1, 507)):
            answer = await me.post(path, content=form(size), headers=FORM)
            assert answer.status_code == status
        assert sorted(map(len, stored(api).values())) == [50, 100]
        assert (await me.get("/tasks/stats")).json()["files"] == {"count": 2, "bytes": 150}


class Upload:
    """One that stands still in the middle, until it is told to go on, or is given up."""

    def __init__(self, me: Person, path: str, size: int) -> None:
        self.half, self.goes_on = asyncio.Event(), asyncio.Event()
        headers = FORM | {"Content-Length": str(len(whole(size)))}
        self.answer = asyncio.create_task(me.post(path, content=self._body(size), headers=headers))

    async def _body(self, size: int) -> AsyncIterator[bytes]:
        yield whole(size)[:-100]
        self.half.set()
        await self.goes_on.wait()
        yield whole(size)[-100:]

    async def finish(self) -> httpx2.Response:
        self.goes_on.set()
        return await self.answer

    async def give_up(self) -> None:
        self.answer.cancel()
        await asyncio.wait({self.answer})


async def test_an_upload_under_way_holds_its_room_and_leaves_the_statistics_cached(any_api: Api) -> None:
    me = await any_api.person()
    task = await me.task()
    path = f"/tasks/{task['id']}/files"

    async def cached() -> str:
        return (await me.get("/tasks/stats")).headers["X-Cache"]

    assert (await cached(), await cached()) == ("MISS", "HIT")
    upload = Upload(me, path, 1000)
    await upload.half.wait()
    assert await cached() == "HIT"
    assert (await upload.finish()).status_code == 201
    assert (await cached(), await cached()) == ("MISS", "HIT")
    upload = Upload(me, path, 1000)
    await upload.half.wait()
    await upload.give_up()
    assert await cached() == "HIT"


async def test_room_that_is_reserved_is_nobody_elses_and_is_given_back() -> None:
    async with start(user_quota_bytes=1000) as api:
        me = await api.person()
        path = f"/tasks/{(await me.task())['id']}/files"
        upload = Upload(me, path, 600)
        await upload.half.wait()
        for size, status in ((401, 507), (300, 201), (101, 507)):
            assert (await me.post(path, content=whole(size), headers=FORM)).status_code == status
        await upload.give_up()
        assert (await me.post(path, content=whole(701), headers=FORM)).status_code == 507
        assert (await me.post(path, content=whole(700), headers=FORM)).status_code == 201
        assert sorted(map(len, stored(api).values())) == [300, 700]


async def test_what_does_not_fit_is_507_before_its_content_is_read() -> None:
    async with start(user_quota_bytes=100_000) as api:
        me = await api.person()
        path = f"/tasks/{(await me.task())['id']}/files"
        pieces = [HEAD, *[b"x" * 1000] * 100, b"x", END]
        answer, _, taken = await send_raw(me, path, pieces, content_length=str(sum(map(len, pieces))))
        assert (answer["status"], taken) == (507, 1)
        pieces.remove(b"x")
        answer, _, taken = await send_raw(me, path, pieces, content_length=str(sum(map(len, pieces))))
        assert (answer["status"], taken) == (201, len(pieces))
        answer, _, taken = await send_raw(me, path, pieces)  # now that nothing is left, no length need be told
        assert (answer["status"], taken) == (507, 0)
