"""What other S3 services answer, from a script: that they are full, that they err, and nothing at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

import pytest

from application.ports import StorageAway, StorageFull
from infrastructure.s3 import S3Storage
from tests.contract.contents import some
from tests.s3 import storage_at

MINIO = b"<Error><Code>XMinioStorageFull</Code></Error>"
MINIO_QUOTA = b"<Error><Code>XMinioAdminBucketQuotaExceeded</Code></Error>"
CEPH = b"<Error><Code>QuotaExceeded</Code></Error>"
DELETED = (
    b'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Deleted><Key>a</Key></Deleted></DeleteResult>'
)


class Script:
    """Answers each request with the next line, the last one again and again; a line of None is silence."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes] | None] = []
        self.asked: list[str] = []
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def served(self) -> AsyncIterator[S3Storage]:
        async with await asyncio.start_server(self._talk, "127.0.0.1", 0) as server:
            yield storage_at(f"http://key:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/bucket")
            for writer in self._talks.values():
                writer.close()
            await asyncio.gather(*self._talks)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks[task] = writer
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = head.partition("content-length: ")[2].partition("\r\n")[0]
                await reader.readexactly(int(length or 0))
                self.asked.append(head.split()[0])
                line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
                if line:
                    status, body = line
                    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def s3(script: Script) -> AsyncIterator[S3Storage]:
    async with script.served() as s3:
        yield s3


@pytest.mark.parametrize(
    ("status", "body"),
    [("507 Insufficient Storage", MINIO), ("400 Bad Request", MINIO_QUOTA), ("403 Forbidden", CEPH)],
    ids=["minio", "minio-quota", "ceph"],
)
async def test_a_full_service_is_full_and_not_away(s3: S3Storage, script: Script, status: str, body: bytes) -> None:
    script.lines = [(status, body)]
    with pytest.raises(StorageFull):
        await s3.put("a", some(b"one"))
    script.lines = [*[(status, body)] * len(script.asked), ("200 OK", DELETED)]
    await s3.ping()
    assert script.asked[-1] == "post"


async def test_what_errs_is_asked_three_times(s3: S3Storage, script: Script) -> None:
    script.lines = [("500 Internal Server Error", b"")]
    for use in (s3.put("a", some(b"one")), s3.delete("a")):
        with pytest.raises(StorageAway):
            await use
    assert script.asked == ["put"] * 3 + ["post"] * 3


async def test_a_delete_is_repeated_also_when_nothing_was_answered(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.s3_bucket.TRY_SECONDS", 0.2)
    async with script.served() as s3:
        script.lines = [None, None, ("200 OK", DELETED)]
        await s3.delete("a")
        assert script.asked == ["post"] * 3
        script.lines = [None]
        with pytest.raises(StorageAway):
            await s3.delete("a")
        assert script.asked == ["post"] * 6
