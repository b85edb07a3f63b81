"""GET and HEAD /files/{id}"""

import asyncio
import re
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

import pytest
from prometheus_client import REGISTRY
from starlette.types import Message
from structlog.testing import capture_logs

from tests.api.conftest import Api, Person
from tests.api.files.exchanges import TEN, storage_of, stored


@pytest.fixture
async def file(me: Person, task: dict[str, Any]) -> dict[str, Any]:
    return await me.file(task, TEN, 'Grün "x" %.txt')


async def test_the_bytes_come_as_an_attachment_under_the_original_name(me: Person, file: dict[str, Any]) -> None:
    answer = await me.get(f"/files/{file['id']}")
    assert (answer.status_code, answer.content) == (200, TEN)
    headers = dict(answer.headers)
    assert {name: headers[name] for name in headers.keys() - {"x-request-id"} if "rate" not in name} == {
        "content-type": "text/plain; charset=utf-8",
        "content-length": "10",
        "content-disposition": "attachment; "
        "filename=\"Gr_n _x_ _.txt\"; filename*=UTF-8''Gr%C3%BCn%20%22x%22%20%25.txt",
        "etag": f'"{sha256(TEN).hexdigest()}"',
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
    }


@pytest.mark.parametrize(
    "name", ["\u200e\u05e9\u05dc\u200f.txt", "👩\u200d💻; filename=b.txt", "100%41'c\"d.txt", "x" * 251 + ".txt"]
)
async def test_a_name_survives_the_way_there_and_back(me: Person, task: dict[str, Any], name: str) -> None:
    file = await me.file(task, TEN, name)
    disposition = (await me.get(f"/files/{file['id']}")).headers["Content-Disposition"]
    found = re.fullmatch(r"attachment; filename=\"([^\"\\]*)\"; filename\*=UTF-8''(.*)", disposition)
    assert found
    assert file["original_filename"] == unquote(found[2], errors="strict") == name
    assert found[1].isascii()
    assert found[1].isprintable()


async def test_head_is_get_without_the_bytes(me: Person, file: dict[str, Any]) -> None:
    got, head = await me.get(f"/files/{file['id']}"), await me.send("HEAD", f"/files/{file['id']}")
    assert (head.status_code, head.content) == (200, b"")
    assert {**head.headers, "x-request-id": ""} | {"x-ratelimit-remaining": "", "ratelimit": ""} == {
        **got.headers, "x-request-id": ""
    } | {"x-ratelimit-remaining": "", "ratelimit": ""}  # fmt: skip
    ranged = await me.send("HEAD", f"/files/{file['id']}", headers={"Range": "bytes=1-2"})
    assert (ranged.status_code, ranged.headers["Content-Length"]) == (200, "10")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-5", 2, 6),
        ("bytes=7-", 7, 10),
        ("bytes=0-", 0, 10),
        ("bytes=5-1000", 5, 10),
        (f"bytes=9-{'9' * 5000}", 9, 10),
        ("bytes=000000000000000000000000001-2", 1, 3),
        ("bytes=-3", 7, 10),
        ("bytes=-10", 0, 10),
        ("bytes=-1000", 0, 10),
        ("Bytes= 1-2 ", 1, 3),
    ],
)
async def test_one_range(me: Person, file: dict[str, Any], asked: str, start: int, stop: int) -> None:
    answer = await me.get(f"/files/{file['id']}", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, TEN[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/10"
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,3-4",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=",
        "bytes=-",
        "lines=0-1",
        "0-1",
        "bytes=1-2;x",
        "bytes=-1-2",
        "bytes=²-3",
    ],
)
async def test_what_is_no_single_range_is_ignored(me: Person, file: dict[str, Any], asked: str) -> None:
    answer = await me.get(f"/files/{file['id']}", headers={b"Range": asked.encode("latin-1")})
    assert (answer.status_code, answer.content) == (200, TEN)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0", f"bytes={'9' * 5000}-"])
async def test_a_range_outside_the_file(me: Person, file: dict[str, Any], asked: str) -> None:
    answer = await me.get(f"/files/{file['id']}", headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"{}"', 206), ('W/"{}"', 200), ('"other"', 200), ("Wed, 21 Oct 2026 07:28:00 GMT", 200)],
)
async def test_a_range_of_this_version_only(me: Person, file: dict[str, Any], condition: str, status: int) -> None:
    headers = {"Range": "bytes=1-2", "If-Range": condition.format(file["sha256"])}
    answer = await me.get(f"/files/{file['id']}", headers=headers)
    assert (answer.status_code, answer.content) == (status, TEN[1:3] if status == 206 else TEN)


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"{}"', 304), ('W/"{}"', 304), ('"a", "{}"', 304), ("*", 304), ('"other"', 206), ("{}", 206)],
)
async def test_what_the_client_has_is_not_sent_again(
    me: Person, file: dict[str, Any], condition: str, status: int
) -> None:
    headers = {"Range": "bytes=1-2", "If-None-Match": condition.format(file["sha256"])}
    answer = await me.get(f"/files/{file['id']}", headers=headers)
    assert answer.status_code == status
    assert answer.headers["ETag"] == f'"{file["sha256"]}"'
    assert answer.content == (b"" if status == 304 else TEN[1:3])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_bytes_that_are_gone_are_told_logged_and_counted(
    api: Api, me: Person, file: dict[str, Any], method: str
) -> None:
    before = REGISTRY.get_sample_value("file_contents_missing_total") or 0
    stored(api).clear()
    with capture_logs() as logs:
        answer = await me.send(method, f"/files/{file['id']}")
    assert answer.status_code == 404
    assert [entry for entry in logs if entry["log_level"] == "error"] == [
        {"event": "file content missing", "file_id": file["id"], "log_level": "error"}
    ]
    assert method == "HEAD" or answer.json()["code"] == "file-content-missing"
    assert REGISTRY.get_sample_value("file_contents_missing_total") == before + 1
    assert (await me.get(f"/tasks/{file['task_id']}/files/{file['id']}")).json() == file


async def test_bytes_deleted_between_opening_and_reading_are_still_a_404(
    api: Api, me: Person, file: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = storage_of(api)
    real = storage.size

    async def size(name: str) -> int:
        found = await real(name)
        await storage.delete(name)
        return found

    monkeypatch.setattr(storage, "size", size)
    assert (await me.get(f"/files/{file['id']}")).json()["code"] == "file-content-missing"


async def test_a_reader_that_goes_away_is_not_read_for(me: Person, task: dict[str, Any]) -> None:
    file = await me.file(task, b"x" * 5_000_000)
    sent: list[Message] = []
    gone = asyncio.Event()

    async def receive() -> Message:
        if not gone.is_set():
            await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 3:
            gone.set()

    scope = {
        "type": "http", "method": "GET", "path": f"/files/{file['id']}", "query_string": b"", "client": ("::1", 1),
        "headers": [(b"authorization", f"Bearer {me.token}".encode())],
    }  # fmt: skip
    await me.api.app(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * 2
    assert sum(len(message.get("body", b"")) for message in sent) < 2_000_000
