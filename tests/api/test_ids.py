"""Ids in paths: somebody else's, nobody's, and spellings that are none; and parameters that no route has."""

from typing import Any

import httpx2

from tests.api.conftest import Api, Person, assert_problem

IMPOSSIBLE = [
    *("0", "00", "01", "+1", "-1", "%201", "1%20", "1%0A", "1_000", "1.0", "1e3", "0x1", "x", "null", "1;", "%D9%A3"),
    *("%C2%B2", "%EF%BC%91", "%00", "%ED%A0%80", "9223372036854775808", "1" * 300, "9" * 5000, "bulk", "stats"),
]
ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/tasks/{task}", {}),
    ("PATCH", "/tasks/{task}", {"json": {"title": "Mine now"}}),
    ("DELETE", "/tasks/{task}", {}),
    ("POST", "/tasks/{task}/complete", {}),
    ("POST", "/tasks/{task}/reopen", {}),
    ("GET", "/tasks/{task}/files", {}),
    ("POST", "/tasks/{task}/files", {"files": {"file": ("notes.txt", b"x")}}),
    ("GET", "/tasks/{task}/files/{file}", {}),
    ("GET", "/files/{file}", {}),
    ("HEAD", "/files/{file}", {}),
    ("DELETE", "/files/{file}", {}),
]
VARIES = {"x-request-id", "content-length"}  # a path, which the problem names, may be longer than another


def seen(answer: httpx2.Response) -> Any:
    """All that a client can tell apart, but for what is counted."""
    headers = {name: value for name, value in answer.headers.items() if name not in VARIES and "ratelimit" not in name}
    body = {"instance": "", "request_id": ""} if answer.request.method == "HEAD" else answer.json()
    return answer.status_code, headers, body | {"instance": "", "request_id": ""}


async def test_somebody_elses_looks_like_nothing(any_api: Api) -> None:
    me, other = await any_api.person(), await any_api.person()
    mine, task = await me.task(), await other.task()
    file, stats = await other.file(task), (await other.get("/tasks/stats")).json()
    task = (await other.get(f"/tasks/{task['id']}")).json()
    for method, path, options in ROUTES:
        foreign = await me.send(method, path.format(task=task["id"], file=file["id"]), **options)
        assert foreign.status_code == 404
        for task_id, file_id in ((999_999_999, 999_999_999), (2**63 - 1, 2**63 - 1), (mine["id"], file["id"])):
            if task_id != mine["id"] or "{file}" in path:
                missing = await me.send(method, path.format(task=task_id, file=file_id), **options)
                assert (method, path, seen(missing)) == (method, path, seen(foreign))
    assert (await other.get(f"/tasks/{task['id']}")).json() == task
    assert (await other.get(f"/tasks/{task['id']}/files")).json() == {"items": [file]}
    assert (await other.get("/tasks/stats")).json() == stats
    other_task = await other.task()  # a file is found under its own task only
    assert_problem(await other.get(f"/tasks/{other_task['id']}/files/{file['id']}"), 404, "file-not-found")


async def test_impossible_ids(any_api: Api) -> None:
    me, nobody = await any_api.person(), Person(any_api, "nobody", 0, "x")
    task = (await me.task())["id"]
    file = (await me.file({"id": task}))["id"]
    others = ["0{}", "+{}", "%20{}", "{}%20", "{}%0A", "{}.0", "{}_", "{};", "%00{}"]
    spellings = [
        *((one, one) for one in IMPOSSIBLE),
        *((one.format(task), one.format(file)) for one in others),
        *((task, one) for one in [*IMPOSSIBLE, *(one.format(file) for one in others)]),
    ]
    own = {("PATCH", "/tasks/bulk"), ("GET", "/tasks/stats")}  # routes of their own
    for method, path, options in ROUTES:
        for task_id, file_id in spellings:
            url = path.format(task=task_id, file=file_id)
            if (method, url) in own or ("{file}" not in path and task_id == task):
                continue
            assert ((await nobody.send(method, url, **options)).status_code, method, url) == (401, method, url)
            answer = await me.send(method, url, **options)
            assert (answer.status_code, method, url) == (404, method, url)
            if method != "HEAD":
                assert_problem(answer, 404, "file-not-found" if "{file}" in path else "task-not-found")


async def test_unknown_and_repeated_parameters(me: Person) -> None:
    file = await me.file(await me.task())
    task, bodies = file["task_id"], {"/tasks/{task}": {"json": {"title": "New"}}}
    routes = [
        *((method, path.format(task=task, file=file["id"]), options) for method, path, options in ROUTES),
        ("GET", "/auth/me", {}),
        ("GET", "/tasks", {}),
        ("GET", "/tasks/stats", {}),
        ("POST", "/background-task", {}),
        ("GET", "/health/live", {}),
        ("GET", "/metrics", {}),
        ("POST", "/tasks", bodies["/tasks/{task}"]),
        ("PATCH", "/tasks/bulk", {"json": {"ids": [task], "set": {}}}),
        ("POST", "/tasks/bulk/delete", {"json": {"ids": [task]}}),
        ("POST", "/auth/login", {"json": {"username": "x", "password": "x"}}),
        ("POST", "/auth/token", {"data": {"username": "x", "password": "x"}}),
    ]
    for method, path, options in routes:
        for query, pointers in (
            ("nope=1", ["/query/nope"]),
            ("nope", ["/query/nope"]),
            ("=", ["/query/"]),
            ("a/b~c=1&x=1&x=2", ["/query/a~1b~0c", "/query/x"]),
            ("%00=1", ["/query/\0"]),
            ("x=%FF", ["/query"]),
            ("%ED%A0%80=1", ["/query"]),
        ):
            answer = await me.send(method, f"{path}?{query}", **options)
            assert (answer.status_code, method, path, query) == (422, method, path, query)
            if method != "HEAD":
                assert_problem(answer, 422, "invalid-request", *pointers)
    assert (await me.get("/tasks")).json()["items"][0]["version"] == 2  # the upload's, nothing since
    for path, name in (("/tasks", "limit"), ("/tasks", "q"), ("/tasks", "cursor"), ("/tasks/stats", "tz")):
        answer = await me.get(f"{path}?{name}=1&{name}=1")
        assert_problem(answer, 422, "invalid-request", f"/query/{name}")
        assert answer.json()["errors"][0]["code"] == "repeated_parameter"


async def test_a_query_that_is_no_text(api: Api, me: Person) -> None:
    """Bytes that a client should have percent-encoded."""
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/tasks", "raw_path": b"/tasks", "state": {}}
    scope |= {"scheme": "http", "http_version": "1.1", "root_path": "", "client": ("127.0.0.1", 1), "server": ("x", 80)}
    scope |= {"headers": [(b"authorization", f"Bearer {me.token}".encode())], "query_string": "q=é".encode()}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await api.app(scope, receive, send)
    assert sent[0]["status"] == 422
