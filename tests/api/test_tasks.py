"""One task: every field there and back, conditional requests, merge patches, and what may be done twice."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, Person, assert_problem, start

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


async def test_every_field_there_and_back(any_api: Api) -> None:
    me = await any_api.person()
    fields: dict[str, Any] = {
        "title": "  Écrire 🖊 ",
        "description": "Ligne 1\nLigne 2\t\u2028'; DROP TABLE tasks; --",
        "completed": True,
        "priority": "urgent",
        "due_at": "2031-05-01T10:00:00.25+02:00",
        "tags": [" home ", "Home", "home", "é", "a,b"],
    }
    created = await me.post("/tasks", json=fields)
    task = created.json()
    assert (created.status_code, created.headers["Location"]) == (201, f"/tasks/{task['id']}")
    assert created.headers["ETag"] == '"1"'
    assert MOMENT.fullmatch(task["created_at"])
    assert task == fields | {
        "id": task["id"],
        "due_at": "2031-05-01T08:00:00.250000Z",
        "tags": ["home", "Home", "é", "a,b"],
        "created_at": task["created_at"],
        "updated_at": task["created_at"],
        "completed_at": task["created_at"],
        "version": 1,
        "file_count": 0,
    }
    got = await me.get(created.headers["Location"])
    assert (got.status_code, got.json(), got.headers["ETag"]) == (200, task, '"1"')
    assert (await me.get("/tasks")).json() == {"items": [task], "next_cursor": None}


async def test_what_is_not_said_has_a_default(me: Person) -> None:
    task = await me.task(title="Just this")
    defaults: dict[str, Any] = {
        "description": None,
        "completed": False,
        "priority": "medium",
        "due_at": None,
        "tags": [],
    }
    assert {name: task[name] for name in defaults} == defaults
    assert task["completed_at"] is None


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00.000000Z"),
        ("2030-01-01t00:00:00z", "2030-01-01T00:00:00.000000Z"),
        ("2030-01-01T00:00:00-00:00", "2030-01-01T00:00:00.000000Z"),
        ("2030-01-01T00:00:00.1Z", "2030-01-01T00:00:00.100000Z"),
        ("2030-01-01T00:00:00.123456999999Z", "2030-01-01T00:00:00.123456Z"),
        ("2030-01-01T00:00:00+23:59", "2029-12-31T00:01:00.000000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        ("1969-12-31T23:59:59-00:01", "1970-01-01T00:00:59.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2032-02-29T12:00:00Z", "2032-02-29T12:00:00.000000Z"),
    ],
)
async def test_times_are_answered_in_utc(me: Person, sent: str, answered: str) -> None:
    task = await me.task(due_at=sent)
    assert task["due_at"] == answered
    again = await me.patch(f"/tasks/{task['id']}", json={"due_at": answered})
    assert (again.json()["due_at"], again.json()["version"]) == (answered, 1)


async def test_reading_what_has_not_changed(me: Person) -> None:
    path = f"/tasks/{(await me.task())['id']}"
    for tags, status in {
        '"1"': 304,
        'W/"1"': 304,
        '"7", W/"1"': 304,
        "*": 304,
        '"2"': 200,
        '"1': 200,
        "1": 200,
        "": 200,
        '"1" "2"': 200,
    }.items():
        answer = await me.get(path, headers={"If-None-Match": tags})
        assert (tags, answer.status_code, answer.headers["ETag"]) == (tags, status, '"1"')
        assert bool(answer.content) == (status == 200)
    two_lines = await me.api.client.get(
        path, headers=[("Authorization", f"Bearer {me.token}"), ("If-None-Match", '"7"'), ("If-None-Match", '"1"')]
    )
    assert two_lines.status_code == 304


WRITES: list[tuple[str, dict[str, Any]]] = [("PATCH", {"json": {"title": "New"}}), ("DELETE", {})]


@pytest.mark.parametrize(
    ("if_match", "goes"),
    {
        "*": True,
        '"1"': True,
        '"7", "1"': True,
        '"7" , "1","x y"': False,  # a blank is no part of a tag, so this is no list
        '"2"': False,
        'W/"1"': False,
        "1": False,
        "garbage": False,
        "": False,
        '"99999999999999999999"': False,
        '"01"': False,
        '"1", *': False,
    }.items(),
)
async def test_writing_only_if_nothing_has_changed(me: Person, if_match: str, goes: bool) -> None:
    for method, options in WRITES:
        path = f"/tasks/{(await me.task())['id']}"
        answer = await me.send(method, path, headers={"If-Match": if_match}, **options)
        if goes:
            assert answer.is_success
        else:
            assert_problem(answer, 412, "stale-task")
            assert (await me.get(path)).json()["version"] == 1


async def test_a_stale_writer_loses_also_when_nothing_would_change(me: Person) -> None:
    task = await me.task()
    path = f"/tasks/{task['id']}"
    first = await me.patch(path, json={"title": "New"}, headers={"If-Match": '"1"'})
    assert (first.status_code, first.headers["ETag"]) == (200, '"2"')
    for body in ({"title": "Newer"}, {"title": "New"}, {}):
        assert_problem(await me.patch(path, json=body, headers={"If-Match": '"1"'}), 412, "stale-task")
    assert (await me.get(path)).json() == first.json()
    for missing in ("/tasks/999999999", "/tasks/0"):
        for method, options in WRITES:
            for tags in ('"1"', "*", "garbage"):
                answer = await me.send(method, missing, headers={"If-Match": tags}, **options)
                assert_problem(answer, 404, "task-not-found")


FULL = {
    "title": "Old",
    "description": "Text",
    "completed": True,
    "priority": "high",
    "due_at": "2030-01-01T00:00:00.000000Z",
    "tags": ["a", "b"],
}


PATCHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"title": "Old"}, {}),
    (FULL, {}),
    ({"due_at": "2030-01-01T02:00:00+02:00"}, {}),
    ({"tags": [" a", "b ", "a"]}, {}),
    ({"title": "New"}, {"title": "New"}),
    ({"description": None}, {"description": None}),
    ({"description": ""}, {"description": ""}),
    ({"due_at": None, "tags": []}, {"due_at": None, "tags": []}),
    ({"tags": ["b", "a"]}, {"tags": ["b", "a"]}),
    ({"completed": False, "priority": "low"}, {"completed": False, "priority": "low", "completed_at": None}),
]


@pytest.mark.parametrize("media_type", ["application/json", "application/merge-patch+json; charset=UTF-8"])
async def test_a_merge_patch(any_api: Api, media_type: str) -> None:
    me = await any_api.person()
    for patch, changed in PATCHES:
        before = await me.task(**FULL)
        answer = await me.patch(f"/tasks/{before['id']}", json=patch, headers={"Content-Type": media_type})
        task = answer.json()
        version = 2 if changed else 1
        assert (answer.status_code, answer.headers["ETag"]) == (200, f'"{version}"')
        assert task == before | changed | {"version": version, "updated_at": task["updated_at"]}
        assert (task["updated_at"] > before["updated_at"]) == bool(changed)
        assert (await me.get(f"/tasks/{before['id']}")).json() == task


async def test_what_may_not_be_null(me: Person) -> None:
    task = await me.task(**FULL)
    for name in ("title", "completed", "priority", "tags"):
        refused = await me.patch(f"/tasks/{task['id']}", json={name: None, "description": "x"})
        assert_problem(refused, 422, "invalid-request", f"/{name}")
    assert (await me.get(f"/tasks/{task['id']}")).json() == task


async def test_completing_and_reopening_twice() -> None:
    now = NOON
    async with start(clock=lambda: now) as api:
        me = await api.person()
        task = await me.task(title="Paint")
        seen = []
        for action in ("complete", "complete", "reopen", "reopen", "complete"):
            now += timedelta(minutes=1)
            answer = await me.post(f"/tasks/{task['id']}/{action}")
            assert answer.status_code == 200
            assert (await me.get(f"/tasks/{task['id']}")).json() == answer.json()
            seen.append(tuple(answer.json()[name] for name in ("completed", "completed_at", "version", "updated_at")))
    first, second, third = (f"2030-01-01T12:0{minute}:00.000000Z" for minute in (1, 3, 5))
    assert seen == [
        (True, first, 2, first),
        (True, first, 2, first),
        (False, None, 3, second),
        (False, None, 3, second),
        (True, third, 4, third),
    ]


async def test_deleting_twice(any_api: Api) -> None:
    me = await any_api.person()
    task, other = await me.task(), await me.task()
    file = await me.file(task)
    assert (await me.get(f"/tasks/{task['id']}")).json()["file_count"] == 1
    deleted = await me.delete(f"/tasks/{task['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert_problem(await me.delete(f"/tasks/{task['id']}"), 404, "task-not-found")
    assert_problem(await me.get(f"/tasks/{task['id']}"), 404, "task-not-found")
    assert_problem(await me.get(f"/files/{file['id']}"), 404, "file-not-found")
    assert (await me.get("/tasks")).json()["items"] == [other]
