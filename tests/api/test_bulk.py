"""Many tasks at once: all or nothing, both ways."""

from typing import Any

import pytest

from domain.task import Task
from domain.user import UserId
from tests.api.conftest import Api, Person, assert_problem
from tests.examples import NOON


async def everything(me: Person) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await me.get("/tasks?limit=100&sort=created_at")).json()["items"]
    return items


async def test_changing_many(any_api: Api) -> None:
    me = await any_api.person()
    before = [await me.task(title=f"Task {number}", tags=[str(number)]) for number in range(4)]
    ids = [task["id"] for task in reversed(before[:3])]
    body = {"ids": ids, "set": {"priority": "high", "completed": True, "due_at": None, "tags": ["1"]}}
    answer = await me.patch("/tasks/bulk", json=body)
    assert (answer.status_code, answer.json()) == (200, {"updated": 3, "ids": ids})
    after = await everything(me)
    assert [task["version"] for task in after] == [2, 2, 2, 1]
    assert [task["tags"] for task in after] == [["1"], ["1"], ["1"], ["3"]]
    assert all(task["completed"] and task["priority"] == "high" for task in after[:3])
    assert after[3] == before[3]
    again = await me.patch("/tasks/bulk", json=body)  # equal values change nothing
    assert (again.json(), await everything(me)) == (answer.json(), after)
    nothing = await me.patch("/tasks/bulk", json={"ids": ids, "set": {}})
    assert (nothing.status_code, await everything(me)) == (200, after)


async def test_deleting_many(any_api: Api) -> None:
    me = await any_api.person()
    tasks = [await me.task(title=f"Task {number}") for number in range(4)]
    file = await me.file(tasks[0])
    ids = [tasks[2]["id"], tasks[0]["id"]]
    answer = await me.post("/tasks/bulk/delete", json={"ids": ids})
    assert (answer.status_code, answer.json()) == (200, {"deleted": 2, "ids": ids})
    assert await everything(me) == [tasks[1], tasks[3]]
    assert_problem(await me.get(f"/files/{file['id']}"), 404, "file-not-found")


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_all_or_nothing(any_api: Api, method: str) -> None:
    me, other = await any_api.person(), await any_api.person()
    mine = [await me.task(title=f"Task {number}") for number in range(2)]
    foreign = await other.task()
    unknown, largest = foreign["id"] + 10**6, 2**63 - 1
    ids = [mine[0]["id"], foreign["id"], largest, mine[1]["id"], unknown]
    path, body = ("/tasks/bulk", {"set": {"title": "New"}}) if method == "PATCH" else ("/tasks/bulk/delete", {})
    refused = await me.send(method, path, json={"ids": ids, **body})
    assert refused.status_code == 404
    problem = refused.json()
    assert (problem["code"], problem["ids"]) == ("task-not-found", [foreign["id"], largest, unknown])
    assert await everything(me) == mine
    assert await everything(other) == [foreign]


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_how_many_there_may_be(any_api: Api, method: str) -> None:
    me = await any_api.person()
    mine = (await me.task())["id"]
    path, body = ("/tasks/bulk", {"set": {"title": "New"}}) if method == "PATCH" else ("/tasks/bulk/delete", {})
    others = range(10**9, 10**9 + 500)
    for ids, pointer in (
        ([], "/ids"),
        ([mine, mine], "/ids"),
        ([mine, *others], "/ids"),
        ([0], "/ids/0"),
        ([mine, -1], "/ids/1"),
        ([2**63], "/ids/0"),
        ([10**400], "/ids/0"),
        ([str(mine)], "/ids/0"),
        ([float(mine)], "/ids/0"),
        ([True], "/ids/0"),
        ([None], "/ids/0"),
        (mine, "/ids"),
        (None, "/ids"),
        ({"0": mine}, "/ids"),
    ):
        assert_problem(await me.send(method, path, json={"ids": ids, **body}), 422, "invalid-request", pointer)
    full = await me.send(method, path, json={"ids": list(others), **body})
    assert (full.status_code, full.json()["ids"]) == (404, list(others))
    assert (await everything(me))[0]["title"] == "Write the report"


async def test_what_is_set_is_judged_like_a_patch(me: Person) -> None:
    ids = [(await me.task())["id"]]
    for body, pointers in (
        ({"ids": ids}, ["/set"]),
        ({"set": {}}, ["/ids"]),
        ({"ids": ids, "set": None}, ["/set"]),
        ({"ids": ids, "set": []}, ["/set"]),
        ({"ids": ids, "set": {"title": None, "nope": 1}}, ["/set/title", "/set/nope"]),
        ({"ids": ids, "set": {}, "nope": 1}, ["/nope"]),
    ):
        assert_problem(await me.patch("/tasks/bulk", json=body), 422, "invalid-request", *pointers)
    refused = await me.post("/tasks/bulk/delete", json={"ids": ids, "set": {}})
    assert_problem(refused, 422, "invalid-request", "/set")


async def test_five_hundred_at_once(any_api: Api) -> None:
    me = await any_api.person()
    async with any_api.app.state.container.work().write() as tx:
        tasks = [Task.new(UserId(me.id), {"title": f"Task {number}"}, at=NOON) for number in range(500)]
        ids = [(await tx.tasks.add(task)).id for task in tasks]
    changed = await me.patch("/tasks/bulk", json={"ids": ids, "set": {"completed": True}})
    assert (changed.status_code, changed.json()) == (200, {"updated": 500, "ids": ids})
    deleted = await me.post("/tasks/bulk/delete", json={"ids": ids})
    assert (deleted.status_code, deleted.json()) == (200, {"deleted": 500, "ids": ids})
    assert await everything(me) == []
