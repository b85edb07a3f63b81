"""Upload, download and deletion where the bytes are on S3."""

from hashlib import sha256
from uuid import uuid4

import pytest

from domain.file import is_stored_name
from infrastructure.s3 import PART
from tests.api.conftest import start
from tests.api.files.exchanges import until
from tests.s3 import names_at, open_uploads, settings_of

LONG = bytes(range(32, 127)) * (PART // 95 + 10_000)  # two parts


@pytest.mark.parametrize("content", [b"hello", LONG], ids=["short", "long"])
async def test_the_whole_way(s3_url: str, content: bytes) -> None:
    place = f"{s3_url}/{uuid4().hex}"
    async with start(**settings_of(place)) as api:
        me = await api.person()
        file = await me.file(await me.task(), content)
        assert (file["file_size"], file["sha256"]) == (len(content), sha256(content).hexdigest())
        (name,) = names_at(place)
        assert is_stored_name(name)
        path = f"/files/{file['id']}"
        assert (await me.get(path)).content == content
        for asked, expected in (("bytes=1-3", content[1:4]), ("bytes=-2", content[-2:])):
            part = await me.get(path, headers={"Range": asked})
            assert (part.status_code, part.content) == (206, expected)
        head = await me.send("HEAD", path)
        assert (head.headers["Content-Length"], head.content) == (str(len(content)), b"")
        assert (await me.delete(path)).status_code == 204
        assert (await me.get(path)).status_code == 404
        await until(lambda: not names_at(place))


async def test_what_is_refused_on_the_way_leaves_nothing(s3_url: str) -> None:
    place = f"{s3_url}/{uuid4().hex}"
    async with start(**settings_of(place)) as api:
        me = await api.person()
        path = f"/tasks/{(await me.task())['id']}/files"
        refused = await me.post(path, files={"file": ("a.txt", LONG + b"\0")})
        assert (refused.status_code, refused.json()["code"]) == (415, "file-type-mismatch")
        assert names_at(place) == open_uploads(place) == []
