"""Refusals: which comes first, what each looks like, and what nobody can learn from them."""

from itertools import combinations
from typing import Any

import httpx2
import pytest

from tests.api.conftest import Api, Person, assert_problem, start

MIB = 1024 * 1024
JSON_FAULTS = {"limit": 429, "token": 401, "type": 415, "size": 413, "form": 400, "value": 422, "id": 404, "stale": 412}
UPLOAD_FAULTS = {
    "limit": 429,
    "token": 401,
    "id": 404,
    "type": 415,
    "size": 413,
    "quota": 507,
    "form": 400,
    "name": 422,
}


def subsets(faults: dict[str, int]) -> dict[tuple[str, ...], int]:
    """Each set of one or more faults, with the status of the first."""
    return {chosen: faults[chosen[0]] for count in range(1, len(faults) + 1) for chosen in combinations(faults, count)}


def faulty_patch(faults: tuple[str, ...], token: str, task: int) -> httpx2.Request:
    body = '{"nope": 1}' if "value" in faults else '{"title": "New"}'
    body = body[:-1] if "form" in faults else body
    headers = {"Content-Type": "text/plain" if "type" in faults else "application/json"}
    headers |= {} if "token" in faults else {"Authorization": f"Bearer {token}"}
    headers |= {"If-Match": '"7"'} if "stale" in faults else {}
    url = f"http://test/tasks/{999_999_999 if 'id' in faults else task}"
    return httpx2.Request("PATCH", url, headers=headers, content=body + " " * (MIB if "size" in faults else 0))


def faulty_upload(faults: tuple[str, ...], token: str, task: int) -> httpx2.Request:
    size = 500_000 if "size" in faults else 200_000 if "quota" in faults else 10
    name = "../notes.txt" if "name" in faults else "notes.txt"
    url = f"http://test/tasks/{999_999_999 if 'id' in faults else task}/files"
    request = httpx2.Request("POST", url, files={"file": (name, b"x" * size)})
    if "type" in faults:
        request.headers["Content-Type"] = "application/json"
    elif "form" in faults:
        request.headers["Content-Type"] = "multipart/form-data"
    if "token" not in faults:
        request.headers["Authorization"] = f"Bearer {token}"
    return request


@pytest.mark.parametrize(
    ("faults", "request_with"), [(JSON_FAULTS, faulty_patch), (UPLOAD_FAULTS, faulty_upload)], ids=["patch", "upload"]
)
async def test_what_is_wrong_first_is_answered_first(faults: dict[str, int], request_with: Any) -> None:
    expected = subsets(faults)
    answered = {}
    one = {"limit_default": "2/hour", "limit_upload": "1/hour"}
    sizes = {"max_file_bytes": 300_000, "user_quota_bytes": 100_000}
    async with start(**sizes) as free, start(**sizes, **one) as limited:
        me, full = await free.person(), await limited.person()
        task = (await me.task())["id"]
        assert (await full.task())["id"] == task
        for wrong in [(), (), ("token",), ("token",)]:  # all that there is for the user, and for the address
            await limited.client.send(request_with(wrong, full.token, task))
        for chosen in expected:
            api, person = (limited, full) if "limit" in chosen else (free, me)
            answer = await api.client.send(request_with(chosen, person.token, task))
            assert answer.headers["Content-Type"] == "application/problem+json"
            answered[chosen] = answer.status_code
        assert answered == expected
        assert (await me.get(f"/tasks/{task}")).json()["version"] == 1
        assert (await free.client.send(request_with((), me.token, task))).is_success


ALLOWED = {
    "/auth/register": "POST",
    "/auth/login": "POST",
    "/auth/token": "POST",
    "/auth/me": "GET",
    "/tasks": "GET, POST",
    "/tasks/1": "DELETE, GET, PATCH",
    "/tasks/bulk": "DELETE, GET, PATCH",  # like any other word in the place of an id
    "/tasks/stats": "DELETE, GET, PATCH",
    "/tasks/bulk/delete": "POST",
    "/tasks/1/complete": "POST",
    "/tasks/1/reopen": "POST",
    "/tasks/1/files": "GET, POST",
    "/tasks/1/files/1": "GET",
    "/files/1": "DELETE, GET, HEAD",
    "/health/live": "GET",
    "/health/ready": "GET",
    "/metrics": "GET",
    "/": "GET",
    "/docs": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
    "/cached-data": "GET",
    "/rate-limited": "GET",
    "/background-task": "POST",
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]


async def test_methods_that_are_not_allowed(api: Api) -> None:
    assert {path.replace("{task_id}", "1").replace("{file_id}", "1") for path in api.app.openapi()["paths"]} <= set(
        ALLOWED
    )
    for path, allow in ALLOWED.items():
        for method in set(METHODS) - set(allow.split(", ")):
            answer = await api.client.request(method, path)
            assert (answer.status_code, method, path) == (405, method, path)
            assert answer.headers["Allow"] == allow
            assert "X-RateLimit-Limit" not in answer.headers
            if method != "HEAD":
                assert_problem(answer, 405, "method-not-allowed")


@pytest.mark.parametrize(
    "path", ["/nope", "/tasks/", "/tasks/1/", "/tasks//1", "/Tasks", "/tasks/1/nope", "/files", "//", "/%00", "/%FF"]
)
async def test_paths_that_there_are_not(api: Api, path: str) -> None:
    for method in METHODS:
        answer = await api.client.request(method, f"http://test{path}", follow_redirects=False)
        assert answer.status_code == 404
        assert "X-RateLimit-Limit" not in answer.headers
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert method == "HEAD" or answer.json()["code"] == "not-found"


@pytest.mark.parametrize("path", ["/auth/me", "/tasks", "/tasks/1", "/tasks/stats", "/nope", "/rate-limited", "/docs"])
async def test_every_answer_has_an_id(api: Api, path: str) -> None:
    for kept in ("a", "A-z0._9", "x" * 128):
        answer = await api.client.get(path, headers={"X-Request-ID": kept})
        assert answer.headers["X-Request-ID"] == kept
        if answer.is_error:
            assert answer.json()["request_id"] == kept
    made = set()
    for replaced in ("", " ", "a b", "x" * 129, "é", "a\tb", "../x", "a,b", '"x"'):
        answer = await api.client.get(path, headers={b"X-Request-ID": replaced.encode()})
        made.add(answer.headers["X-Request-ID"])
        if answer.is_error:
            assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert (len(made), all(len(one) == 32 and one.isalnum() for one in made)) == (9, True)
    twice = await api.client.get(path, headers=[("X-Request-ID", "first"), ("X-Request-ID", "second")])
    assert twice.headers.get_list("X-Request-ID") == ["first"]


@pytest.mark.parametrize("path", ["/tasks", "/nope", "/health/live"])
async def test_headers_up_to_64_kib(api: Api, path: str) -> None:
    usual = api.client.build_request("GET", path).headers.raw
    room = 64 * 1024 - sum(len(name) + len(value) + 4 for name, value in usual) - len("X-Filler") - 4
    fits = await api.client.get(path, headers={"X-Filler": "x" * room})
    assert fits.status_code == {"/tasks": 401, "/nope": 404, "/health/live": 200}[path]
    assert_problem(await api.client.get(path, headers={"X-Filler": "x" * (room + 1)}), 431, "headers-too-large")
    many = [(f"X-{number}", "x") for number in range(12_000)]
    assert_problem(await api.client.get(path, headers=many), 431, "headers-too-large")


async def counted(me: Person, method: str, path: str, **options: Any) -> tuple[int, bool]:
    answer = await me.send(method, path, **options)
    headers = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"}
    seen = headers & {name.title().replace("Ratelimit", "RateLimit") for name in answer.headers}
    assert len(seen) in {0, len(headers)}
    return answer.status_code, bool(seen)


async def test_which_answers_are_counted(me: Person) -> None:
    task = await me.task()
    file = await me.file(task)
    path, nobody = f"/tasks/{task['id']}", Person(me.api, "nobody", 0, "x")
    assert await counted(me, "GET", "/tasks") == (200, True)
    assert await counted(nobody, "GET", "/tasks") == (401, True)
    assert await counted(me, "GET", "/tasks/0") == (404, True)
    assert await counted(me, "GET", "/tasks?nope=1") == (422, True)
    assert await counted(me, "GET", path, headers={"If-None-Match": "*"}) == (304, True)
    assert await counted(me, "PATCH", path, json={"nope": 1}) == (422, True)
    assert await counted(me, "PATCH", path, json={"nope": "x" * MIB}) == (413, True)
    assert await counted(me, "PATCH", path, content=b"{", headers={"Content-Type": "application/json"}) == (400, True)
    assert await counted(me, "PATCH", path, content=b"{") == (415, True)
    assert await counted(me, "PATCH", path, json={}, headers={"If-Match": '"7"'}) == (412, True)
    assert await counted(me, "GET", f"/files/{file['id']}") == (200, True)
    assert await counted(me, "HEAD", f"/files/{file['id']}") == (200, True)
    assert await counted(me, "DELETE", path) == (204, True)
    for uncounted, status in {"/nope": 404, "/docs": 200, "/openapi.json": 200, "/metrics": 200}.items():
        assert await counted(me, "GET", uncounted) == (status, False)
    assert await counted(me, "PUT", path) == (405, False)


async def test_a_429_costs_nothing() -> None:
    async with start(limit_default="2/minute;5/hour") as api:
        me = await api.person()
        left = []
        for number in range(6):
            answer = await me.get("/tasks" if number % 2 else "/tasks/0")
            left.append((answer.status_code, answer.headers["RateLimit"].split(", ")[1].split(";")[1]))
        assert left == [(404, "r=4"), (200, "r=3"), *[(429, "r=3")] * 4]
        assert_problem(answer, 429, "rate-limit-exceeded")
        assert answer.json()["detail"] == "Rate limit exceeded: 2 per 1 minute"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        await me.get("/nope")
        await me.send("PUT", "/tasks")
        assert (await me.get("/tasks")).headers["RateLimit"].split(", ")[1].split(";")[1] == "r=3"
