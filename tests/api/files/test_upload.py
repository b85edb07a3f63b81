"""POST /tasks/{id}/files"""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
from starlette.types import Message

from application.ports import StorageAway, StorageFull
from domain.errors import DomainError
from interfaces.http.multipart import OVERHEAD
from tests.api.conftest import Api, Person, start
from tests.api.files.exchanges import PNG, TEN, digest, send_raw, storage_of, stored, zipped


async def test_a_file_is_stored_under_a_name_of_ours(api: Api, me: Person, task: dict[str, Any]) -> None:
    answer = await me.post(f"/tasks/{task['id']}/files", files={"file": ("Grüße.PNG", PNG, "image/png")})
    file = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/tasks/{task['id']}/files/{file['id']}"
    assert file == {
        "id": file["id"],
        "task_id": task["id"],
        "original_filename": "Grüße.PNG",
        "content_type": "image/png",
        "file_size": len(PNG),
        "sha256": sha256(PNG).hexdigest(),
        "uploaded_at": file["uploaded_at"],
    }
    assert (await me.get(answer.headers["Location"])).json() == file
    assert (await me.get(f"/tasks/{task['id']}/files")).json() == {"items": [file]}
    assert (await me.get(f"/tasks/{task['id']}")).json()["file_count"] == 1
    [(name, content)] = stored(api).items()
    assert name.startswith(f"task_{task['id']}_")
    assert name.endswith(".png")
    assert content == PNG


@pytest.mark.parametrize(
    ("name", "content", "declared", "content_type"),
    [
        ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(20), "image/pjpeg", "image/jpeg"),
        ("a.gif", b"GIF89a" + bytes(20), "application/octet-stream", "image/gif"),
        ("a.webp", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", "image/webp"),
        ("a.pdf", b"%PDF-1.7 and so on", "application/x-pdf", "application/pdf"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20), "application/msword", "application/msword"),
        ("a.csv", b"a,b\n", "application/vnd.ms-excel", "text/csv"),
        ("a.md", "# Ä".encode(), "text/plain", "text/markdown"),
        (
            "a.docx",
            zipped("[Content_Types].xml", "word/document.xml"),
            "application/octet-stream",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (
            "a.xlsx",
            zipped("[Content_Types].xml", "xl/workbook.xml"),
            "application/octet-stream",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
    ],
)
async def test_the_type_answered_is_the_canonical_one(
    me: Person, task: dict[str, Any], name: str, content: bytes, declared: str, content_type: str
) -> None:
    answer = await me.post(f"/tasks/{task['id']}/files", files={"file": (name, content, declared)})
    assert (answer.status_code, answer.json()["content_type"]) == (201, content_type)


@pytest.mark.parametrize(
    ("status", "code", "files"),
    [
        (415, "file-type-not-allowed", {"file": ("a.exe", b"MZ")}),
        (415, "file-type-not-allowed", {"file": ("a.zip", zipped("a"))}),
        (415, "file-type-not-allowed", {"file": ("a", b"a")}),
        (415, "file-type-mismatch", {"file": ("a.png", b"GIF89a" + bytes(20))}),
        (415, "file-type-mismatch", {"file": ("a.png", PNG, "image/jpeg")}),
        (415, "file-type-mismatch", {"file": ("a.txt", b"a\0b")}),
        (415, "file-type-mismatch", {"file": ("a.docx", zipped("a"))}),
        (413, "file-too-large", {"file": ("a.txt", b"x" * 1001)}),
        (422, "empty-file", {"file": ("a.png", b"")}),
        (422, "invalid-request", {"file": ("", b"a")}),
        (422, "invalid-request", {"other": ("a.txt", b"a")}),
        (422, "invalid-request", [("file", ("a.txt", b"a")), ("file", ("b.txt", b"b"))]),
        (422, "invalid-request", [("file", ("a.txt", b"a")), ("note", (None, b"b"))]),
        (422, "invalid-request", {"file": ("../a.txt", b"a")}),
        (422, "invalid-request", {"file": ("a\\b.txt", b"a")}),
        (422, "invalid-request", {"file": ("a\0.txt", b"a")}),
        (422, "invalid-request", {"file": ("a\r\nX-Evil: 1.txt", b"a")}),
        (422, "invalid-request", {"file": ("a\u202egpj.txt", b"a")}),
        (422, "invalid-request", {"file": ("x" * 296 + ".txt", b"a")}),
        (422, "invalid-request", {"file": ("x" * 252 + ".txt", b"a")}),
        (422, "invalid-request", {"file": ("a.txt", b"a", "text/plain;" + "x" * 90)}),
        (422, "digest-mismatch", {"file": ("a.txt", b"a", "", {"Content-Digest": digest(b"b")})}),
    ],
)
async def test_what_is_refused_leaves_nothing(status: int, code: str, files: Any) -> None:
    async with start(max_file_bytes=1000) as api:
        me = await api.person()
        task = await me.task()
        answer = await me.post(f"/tasks/{task['id']}/files", files=files)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert [bool(error["detail"]) for error in problem.get("errors", [])] == [True] * (status == 422)
        assert (await me.get(f"/tasks/{task['id']}/files")).json() == {"items": []}
        assert stored(api) == {}


async def test_digests_that_hold_are_accepted(me: Person, task: dict[str, Any]) -> None:
    part = ("a.txt", TEN, "", {"Content-Digest": digest(TEN)})
    assert (await me.post(f"/tasks/{task['id']}/files", files={"file": part})).status_code == 201
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nHello\r\n--b--\r\n'
    for content, status in ((body, 201), (body + b"\r\n", 422)):
        headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Digest": digest(body)}
        answer = await me.post(f"/tasks/{task['id']}/files", content=content, headers=headers)
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported-media-type"),
        ("", b"", 415, "unsupported-media-type"),
        ("multipart/form-data", b"--b--\r\n", 400, "malformed-multipart"),
        ("multipart/form-data; boundary=b", b"--b\r\n", 400, "malformed-multipart"),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 422, "invalid-request"),
    ],
)
async def test_a_body_that_is_no_form(
    me: Person, task: dict[str, Any], content_type: str, body: bytes, status: int, code: str
) -> None:
    answer = await me.post(f"/tasks/{task['id']}/files", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_exactly_the_limit_and_exactly_the_quota_pass() -> None:
    async with start(max_file_bytes=100, user_quota_bytes=150) as api:
        me = await api.person()
        task = await me.task()
        sizes = {101: 413, 100: 201, 51: 507, 50: 201, 1: 507}
        for size, status in sizes.items():
            answer = await me.post(f"/tasks/{task['id']}/files", files={"file": ("a.txt", b"x" * size)})
            assert answer.status_code == status
        assert sorted(map(len, stored(api).values())) == [50, 100]
        assert (await me.get("/tasks/stats")).json()["files"] == {"count": 2, "bytes": 150}


async def test_what_can_be_judged_before_the_body_is_read_is_and_in_this_order() -> None:
    async with start(max_file_bytes=100, user_quota_bytes=50, limit_upload="8/hour") as api:
        me, other = await api.person(), await api.person()
        mine, foreign = f"/tasks/{(await me.task())['id']}/files", f"/tasks/{(await other.task())['id']}/files"
        pieces = [b"x" * 65536] * 100
        far, over_quota = str(OVERHEAD + 101), str(OVERHEAD + 51)
        for path, headers, status in (
            (mine, {"authorization": "Bearer no", "content_type": "text/plain"}, 401),
            (foreign, {"content_type": "text/plain", "content_length": far}, 404),
            ("/tasks/01/files", {"content_type": "text/plain"}, 404),
            (mine, {"content_type": "text/plain", "content_length": far}, 415),
            (mine, {"content_length": far}, 413),
            (mine, {"content_length": over_quota}, 507),
        ):
            answer, _, taken = await send_raw(me, path, pieces, **headers)
            assert (answer["status"], taken) == (status, 0)
        for status in (400, 400, 400, 429):  # the request without a token was counted elsewhere
            answer, _, taken = await send_raw(me, mine, pieces)
            assert answer["status"] == status
            assert taken <= 1
        answer, _, taken = await send_raw(me, foreign, pieces)
        assert (answer["status"], taken) == (429, 0)


async def test_a_client_that_hangs_up_leaves_nothing(api: Api, me: Person, task: dict[str, Any]) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'

    async def hang_up() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": head + b"Hello", "more_body": True}

    pieces = hang_up()

    async def receive() -> Message:
        return await anext(pieces, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        raise AssertionError(message)

    headers = [
        (b"content-type", b"multipart/form-data; boundary=b"),
        (b"authorization", f"Bearer {me.token}".encode()),
    ]
    path = f"/tasks/{task['id']}/files"
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "client": ("::1", 1),
    }
    await api.app(scope, receive, send)
    assert stored(api) == {}
    assert (await me.get(path)).json() == {"items": []}


@pytest.mark.parametrize(("error", "status"), [(StorageAway, 503), (StorageFull, 507)])
async def test_a_storage_that_fails_is_said_to(
    api: Api,
    me: Person,
    task: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    error: type[DomainError],
    status: int,
) -> None:
    async def put(name: str, chunks: AsyncIterator[bytes]) -> None:
        raise error

    monkeypatch.setattr(storage_of(api), "put", put)
    answer = await me.post(f"/tasks/{task['id']}/files", files={"file": ("a.txt", b"a")})
    assert (answer.status_code, answer.json()["code"]) == (status, error.code)
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert (await me.get(f"/tasks/{task['id']}")).json()["file_count"] == 0


async def test_the_document_describes_the_form_and_the_download(api: Api) -> None:
    paths = (await api.client.get("/openapi.json")).json()["paths"]
    form = paths["/tasks/{task_id}/files"]["post"]["requestBody"]
    assert form["required"]
    assert form["content"]["multipart/form-data"]["schema"]["properties"] == {
        "file": {"type": "string", "format": "binary"}
    }
    download = paths["/files/{file_id}"]["get"]["responses"]
    assert {"200", "206", "304", "416"} <= download.keys()
    assert download["200"]["content"].keys() == {"*/*"}
