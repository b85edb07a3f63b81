"""Bad input of every kind, on every database: the exact status, nothing repeated, nothing changed."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.api.conftest import PASSWORD, Api, Person, assert_problem

SECRET = "hunter2-marker"  # in every bad body, and nowhere else
MIB = 1024 * 1024
MISSING = object()

NO_TEXT: list[Any] = [1, 1.5, True, [SECRET], {SECRET: SECRET}, 10**400]
BROKEN_TEXT = [f"{SECRET}\0", f"{SECRET}\ud800", f"\udfff{SECRET}", "\ud83d \ude00"]
WRONG: dict[str, list[Any]] = {
    "title": [None, *NO_TEXT, *BROKEN_TEXT, "", " \t\u2003", "x" * 201, SECRET * 1000],
    "description": [*NO_TEXT, *BROKEN_TEXT, "x" * 10_001],
    "completed": [None, 0, 1, 2**31, "true", SECRET, [True], {}, 1.0, 10**400],
    "priority": [None, *NO_TEXT, *BROKEN_TEXT, "", "Low", " low", SECRET, 2**63],
    "due_at": [
        *(*NO_TEXT, *BROKEN_TEXT, "", SECRET, 0, 2**31, 2**63, "now", "1893456000", "2030-01-01", "2030-01-01T00:00Z"),
        *("2030-01-01T00:00:00", "2030-01-01 00:00:00Z", "2030-01-01T00:00:00 Z", "2030-01-01T00:00:00Z\n"),
        *("2030-01-01T00:00:60Z", "2030-06-30T23:59:60Z", "2030-01-01T24:00:00Z", "2030-02-29T00:00:00Z"),
        *("2030-01-01T00:00:00+24:00", "2030-01-01T00:00:00+0100", "2030-01-01T00:00:00.Z", "2030-01-01T00:00:00,5Z"),
        *("9999-12-31T23:59:59-00:01", "1970-01-01T00:00:00+00:01", "1969-12-31T23:59:59Z", "10000-01-01T00:00:00Z"),
        *("0000-01-01T00:00:00Z", "-2030-01-01T00:00:00Z", "٢030-01-01T00:00:00Z", "2030-W01-1T00:00:00Z"),
    ],
    "tags": [None, SECRET, 1, True, {SECRET: 1}, [""], ["  "], ["x" * 51], [str(n) for n in range(21)]]
    + [[wrong] for wrong in (None, *NO_TEXT, *BROKEN_TEXT)],
    "username": [MISSING, None, *NO_TEXT, *BROKEN_TEXT, "ab", "x" * 33, f"{SECRET} "],
    "email": [MISSING, None, *NO_TEXT, *BROKEN_TEXT, SECRET, "x" * 250 + "@example.org"],
    "password": [MISSING, None, *NO_TEXT, *BROKEN_TEXT, "seven 7", SECRET * 100],
    "ids": [MISSING, None, [], [0], [-1], [2**63], [10**400], [1.0], ["1"], [True], [None], [[1]], 1, "1", {}, [1, 1]],
    "set": [MISSING, None, 1, SECRET, [], [SECRET]],
}
TASK = ("title", "description", "completed", "priority", "due_at", "tags")
ACCOUNT = {"username": "somebody", "email": "somebody@example.org", "password": PASSWORD}
ROUTES: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = [
    ("POST", "/tasks", {"title": "Fine"}, TASK),
    ("PATCH", "/tasks/{}", {}, TASK),
    ("PATCH", "/tasks/bulk", {"ids": [1], "set": {}}, ("ids", "set")),
    ("POST", "/tasks/bulk/delete", {"ids": [1]}, ("ids",)),
    ("POST", "/auth/register", ACCOUNT, tuple(ACCOUNT)),
    ("POST", "/auth/login", {"username": "somebody", "password": "x"}, ()),
]


@dataclass(frozen=True)
class Watched(Person):
    task_id: int


@pytest.fixture
async def me(any_api: Api, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Watched]:
    """Somebody with one task, which nothing may change, watched for what comes out about the bad bodies."""
    me = await any_api.person()
    task = await me.task(title="Old", description="Text", due_at="2030-01-01T00:00:00Z", tags=["a"])
    before = [(await me.get(path)).json() for path in ("/tasks", "/tasks/stats")]
    yield Watched(me.api, me.username, me.id, me.token, task["id"])
    assert [(await me.get(path)).json() for path in ("/tasks", "/tasks/stats")] == before
    login = await any_api.client.post("/auth/login", json={"username": "somebody", "password": PASSWORD})
    assert login.status_code == 401  # no account was made
    out, err = capsys.readouterr()
    assert "answered" in out
    assert SECRET not in out + err


async def refused(me: Watched, method: str, path: str, body: Any, **headers: Any) -> httpx2.Response:
    """The answer to these bytes, or to this value as JSON."""
    content = json.dumps(body).encode() if isinstance(body, dict | list) else body
    headers = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await me.send(method, path.format(me.task_id), content=content, headers=headers)
    assert (answer.status_code in range(400, 500), SECRET in answer.text) == (True, False), (body, answer.text)
    return answer


def wrong_bodies(valid: dict[str, Any], fields: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    for field in fields:
        for value in WRONG[field]:
            kept = {name: fine for name, fine in valid.items() if name != field}
            yield field, kept if value is MISSING else kept | {field: value}


async def test_each_field(me: Watched) -> None:
    for method, path, valid, fields in ROUTES:
        for field, body in wrong_bodies(valid, fields):
            answer = await refused(me, method, path, body)
            assert_problem(answer, 422, "invalid-request", *(error["pointer"] for error in answer.json()["errors"]))
            pointers = {error["pointer"].split("/")[1] for error in answer.json()["errors"]}
            assert (method, path, body, pointers) == (method, path, body, {field})


async def test_each_field_of_many(me: Watched) -> None:
    """What is set in bulk is judged as in a patch."""
    for field, changes in wrong_bodies({}, TASK):
        answer = await refused(me, "PATCH", "/tasks/bulk", {"ids": [1], "set": changes})
        pointers = {"/".join(error["pointer"].split("/")[:3]) for error in answer.json()["errors"]}
        assert (answer.status_code, changes, pointers) == (422, changes, {f"/set/{field}"})


async def test_credentials_that_can_be_nobodys(me: Watched) -> None:
    for field in ("username", "password"):
        for value in (MISSING, None, *NO_TEXT, *BROKEN_TEXT, SECRET * 1000):
            body = {"username": "somebody", "password": "x"} | {field: value}
            body = {name: one for name, one in body.items() if one is not MISSING}
            answer = await refused(me, "POST", "/auth/login", body)
            assert_problem(answer, 422, "invalid-request", f"/{field}")
    for form, status in {
        f"username={SECRET}": 422,
        "username=&password=x": 422,
        f"username={SECRET}%00&password=x": 422,
        f"username=x&password={SECRET}%00": 422,
        f"username=x&password={SECRET * 100}": 422,
        f"username={SECRET}%ED%A0%80&password=x": 400,
        f"username={SECRET}%FF&password=x": 400,
        f"username={SECRET}&username=x&password=x": 400,
        f"username=x&password=x&{SECRET}": 400,
        "&".join(f"a{number}={SECRET}" for number in range(100)): 400,
        "": 422,
        f"username=é{SECRET}&password=x": 400,
        f"username=x&password={'x' * MIB}": 413,
    }.items():
        form_type = "application/x-www-form-urlencoded"
        answer = await refused(me, "POST", "/auth/token", form.encode(), Content_Type=form_type)
        assert (form[:50], answer.status_code) == (form[:50], status)


async def test_unknown_fields_and_no_objects(me: Watched) -> None:
    for method, path, valid, _ in ROUTES:
        for unknown, pointer in (
            ("nope", "/nope"),
            ("", "/"),
            ("a/b~c", "/a~1b~0c"),
            ("\0", "/\0"),
            ("é" * 1000, None),
        ):
            answer = await refused(me, method, path, valid | {unknown: SECRET})
            assert_problem(answer, 422, "invalid-request", pointer or f"/{unknown}")
        for body in (b"[]", b"[{}]", b"null", b'"x"', b"0", b"true", b"1e999", b"1" * 5000, b'{"\\ud800": 1}'):
            answer = await refused(me, method, path, body)
            assert (body[:9], answer.status_code, answer.json()["code"]) == (body[:9], 422, "invalid-request")
        many = valid | {f"unknown-{number}": SECRET for number in range(20_000)}
        answer = await refused(me, method, path, many)
        assert (answer.status_code, len(answer.content) < 64 * 1024) == (422, True)


MALFORMED: list[bytes] = [
    *(b"", b"  ", b"{", b"}", b'{"title"', b'{"title": "x}', b"{'title': 1}", b"{title: 1}", b'{"title": }', b"tru"),
    *(b'{"title": "a",}', b'{"title": 1 "x": 2}', b"{} {}", b"{}x", b"// x\n{}", b"[1,]", b"\0{}", b"{}\0", b"\\"),
    *(b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": nan}', b"NaN", b'{"a": 01}', b'{"a": +1}'),
    *(b'{"a": 1.}', b'{"a": .5}', b'{"a": 0x1}', b'{"a": 1_0}', b'{"a": 1e}', '{"a": ٣}'.encode()),
    *(b'{"a": "\n"}', b'{"a": "\0"}', b'{"a": "\\x41"}', b'{"a": "\\u12"}', b'{"a": "\\"}'),
    *(b'{"a": 1, "a": 1}', b'{"a": 1, "\\u0061": 2}', b'{"set": {"a": 1, "a": 2}}', b'[{"b": [{"a": 1, "a": 1}]}]'),
    *(b"[" * 65 + b"]" * 65, b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000),
    *(b'{"a":' * 100_000, b"]" * 100_000, b"[{}" * 1000, b"[]" * 100_000, b'["' * 100_000),
    *(b"\xef\xbb\xbf{}", '{"a": "é"}'.encode("utf-16"), "{}".encode("utf-16-le"), b"{}\x00\x00"),
    *('{"a": "é"}'.encode("latin-1"), b'{"a": "\xed\xa0\x80"}', b'{"a": "\xc0\x80"}', b'{"a": "\xf4\x90\x80\x80"}'),
]


async def test_what_is_no_json(me: Watched) -> None:
    for method, path, valid, _ in ROUTES:
        cut = json.dumps(valid | {"x": SECRET}).encode()
        for body in [*MALFORMED, *(cut[:length] for length in range(len(cut)))]:
            answer = await refused(me, method, path, body)
            assert (body[:50], answer.status_code, path) == (body[:50], 400, path)
            assert_problem(answer, 400, "malformed-json")
        deepest = await refused(me, method, path, b'{"x": ' + b"[" * 63 + b"]" * 63 + b"}")
        assert (deepest.status_code, path) == (422, path)


async def test_more_than_a_mebibyte(me: Watched) -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        taken = b'{"nope": "' + SECRET.encode() + b'"}'
        yield taken + b" " * (size % 1000 - len(taken))
        for _ in range(size // 1000):
            yield b" " * 1000

    async def endless() -> AsyncIterator[bytes]:
        for piece in range(2 * MIB):
            assert piece < 2 * MIB / 1000
            yield b" " * 1000

    for method, path, _, _ in ROUTES:
        for size, status in ((MIB, 422), (MIB + 1, 413)):
            answer = await refused(me, method, path, b"".join([piece async for piece in pieces(size)]))
            assert (int(answer.request.headers["Content-Length"]), answer.status_code) == (size, status)
            answer = await refused(me, method, path, pieces(size))
            assert ("Content-Length" in answer.request.headers, answer.status_code) == (False, status)
        assert_problem(await refused(me, method, path, endless()), 413, "body-too-large")
        for announced in (str(MIB + 1), "9" * 18, "9" * 5000):
            answer = await refused(me, method, path, b"{}", Content_Length=announced)
            assert_problem(answer, 413, "body-too-large")


async def test_media_types(me: Watched) -> None:
    for method, path, valid, _ in ROUTES:
        for wrong in (
            *("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", "*/*"),
            *("application/jsonp", "application/problem+json", "application/json; charset=utf-16", ";", "é", "a/b/c"),
            *(
                "application/json, text/plain",
                "application/json; charset=latin-1",
                "text/json",
                "application/",
                "/json",
            ),
        ):
            answer = await refused(me, method, path, valid | {"x": SECRET}, Content_Type=wrong.encode())
            assert (wrong, answer.status_code) == (wrong, 415)
            assert_problem(answer, 415, "unsupported-media-type")
        for right in (
            "application/json",
            "APPLICATION/JSON",
            'application/json; charset="UTF-8"',
            "application/json;x=y",
        ):
            answer = await refused(me, method, path, valid | {"x": SECRET}, Content_Type=right)
            assert (right, answer.status_code) == (right, 422)
