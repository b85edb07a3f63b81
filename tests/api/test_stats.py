"""Statistics: their numbers, and that none is older than the last write."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from tests.api.conftest import Api, Person, assert_problem, start

EVENING = datetime(2030, 6, 1, 22, 30, tzinfo=UTC)  # already tomorrow in Berlin, still early in Los Angeles
NOTHING = {
    "total": 0,
    "completed": 0,
    "pending": 0,
    "overdue": 0,
    "due_today": 0,
    "completion_rate": 0,
    "by_priority": {"low": 0, "medium": 0, "high": 0, "urgent": 0},
    "files": {"count": 0, "bytes": 0},
}


async def test_the_numbers() -> None:
    async with start(clock=lambda: EVENING) as api:
        me = await api.person()
        stats = await me.get("/tasks/stats")
        assert stats.json() == NOTHING | {"generated_at": "2030-06-01T22:30:00.000000Z"}
        for due_at, completed in (
            ("2030-06-01T00:00:00Z", False),
            ("2030-06-01T22:29:59.999999Z", False),
            ("2030-06-01T22:30:00Z", False),
            ("2030-06-01T23:59:59.999999Z", False),
            ("2030-06-02T00:00:00Z", False),
            ("2030-06-02T06:00:00Z", False),
            ("2030-06-02T20:00:00Z", False),
            ("2030-06-01T23:00:00Z", True),
            (None, False),
        ):
            await me.task(due_at=due_at, completed=completed, priority="high" if completed else "medium")
        await me.file(await me.task(priority="low"), b"x" * 1234)
        await (await api.person()).task()
        stats = await me.get("/tasks/stats")
        assert list(stats.json()) == [*NOTHING, "generated_at"]
        assert stats.json() == {
            "total": 10,
            "completed": 1,
            "pending": 9,
            "overdue": 2,
            "due_today": 4,
            "completion_rate": 0.1,
            "by_priority": {"low": 1, "medium": 8, "high": 1, "urgent": 0},
            "files": {"count": 1, "bytes": 1234},
            "generated_at": "2030-06-01T22:30:00.000000Z",
        }
        today = {zone: (await me.get(f"/tasks/stats?tz={zone}")).json()["due_today"] for zone in DUE_TODAY}
        assert today == DUE_TODAY


DUE_TODAY = {
    "UTC": 4,
    "Europe/Berlin": 6,  # 2 June, which began at 22:00 UTC
    "America/Los_Angeles": 5,  # still 1 June, which ends at 07:00 UTC
    "Asia/Kathmandu": 5,
    "Pacific/Kiritimati": 5,
    "Etc/GMT%2B12": 5,
}


async def test_four_decimals(me: Person) -> None:
    for number in range(3):
        await me.task(completed=number == 0)
    assert (await me.get("/tasks/stats")).json()["completion_rate"] == 0.3333


Write = Callable[[Person, dict[str, Any], dict[str, Any]], Awaitable[httpx2.Response]]

WRITES: dict[str, Write] = {
    "create": lambda me, task, file: me.post("/tasks", json={"title": "New"}),
    "patch": lambda me, task, file: me.patch(f"/tasks/{task['id']}", json={"priority": "low"}),
    "complete": lambda me, task, file: me.post(f"/tasks/{task['id']}/complete"),
    "reopen": lambda me, task, file: me.post(f"/tasks/{task['id']}/reopen"),
    "bulk patch": lambda me, task, file: me.patch(
        "/tasks/bulk", json={"ids": [task["id"]], "set": {"priority": "urgent"}}
    ),
    "upload": lambda me, task, file: me.post(f"/tasks/{task['id']}/files", files={"file": ("a.txt", b"more")}),
    "delete file": lambda me, task, file: me.delete(f"/files/{file['id']}"),
    "delete": lambda me, task, file: me.delete(f"/tasks/{task['id']}"),
}
NO_WRITES: dict[str, Write] = {
    "nothing": lambda me, task, file: me.patch(f"/tasks/{task['id']}", json={}),
    "the same": lambda me, task, file: me.patch(f"/tasks/{task['id']}", json={"title": task["title"]}),
    "reopen what is open": lambda me, task, file: me.post(f"/tasks/{task['id']}/reopen"),
    "what is refused": lambda me, task, file: me.patch(f"/tasks/{task['id']}", json={"title": ""}),
    "a refused upload": lambda me, task, file: me.post(f"/tasks/{task['id']}/files", files={"file": ("a.exe", b"x")}),
    "what is not there": lambda me, task, file: me.delete("/tasks/999999999"),
    "what half is not there": lambda me, task, file: me.post(
        "/tasks/bulk/delete", json={"ids": [task["id"], 999999999]}
    ),
}


async def cached(me: Person, query: str = "") -> str:
    answer = await me.get(f"/tasks/stats{query}")
    assert answer.status_code == 200
    return answer.headers["X-Cache"]


async def test_each_write_is_seen_at_once(any_api: Api) -> None:
    me, other = await any_api.person(), await any_api.person()
    task = await me.task()
    file = await me.file(task)
    assert (await cached(me), await cached(other)) == ("MISS", "MISS")
    for kind, write in WRITES.items():
        assert (kind, await cached(me)) == (kind, "HIT")
        before = (await me.get("/tasks/stats")).json()
        assert (await write(me, task, file)).is_success
        assert (kind, await cached(me), await cached(other)) == (kind, "MISS", "HIT")
        after = (await me.get("/tasks/stats")).json()
        assert (kind, after.pop("generated_at") > before.pop("generated_at")) == (kind, True)
        assert (kind, after != before) == (kind, True)
    assert after == NOTHING | {
        "total": 1,
        "pending": 1,
        "by_priority": {"low": 0, "medium": 1, "high": 0, "urgent": 0},
    }
    more = (await me.task())["id"], (await me.task())["id"]
    assert await cached(me) == "MISS"
    await me.post("/tasks/bulk/delete", json={"ids": more})
    assert (await cached(me), (await me.get("/tasks/stats")).json()["total"]) == ("MISS", 1)


async def test_what_changes_nothing_leaves_the_cache_alone(any_api: Api) -> None:
    me = await any_api.person()
    task = await me.task()
    file = await me.file(task)
    assert await cached(me) == "MISS"
    for kind, write in NO_WRITES.items():
        await write(me, task, file)
        assert (kind, await cached(me)) == (kind, "HIT")


async def test_each_zone_is_cached_by_itself(any_api: Api) -> None:
    me = await any_api.person()
    assert [await cached(me, f"?tz={zone}") for zone in ("UTC", "Asia/Tokyo", "Asia/Tokyo")] == ["MISS", "MISS", "HIT"]
    assert await cached(me) == "HIT"  # UTC is what is meant without a zone


@pytest.mark.parametrize(
    "zone",
    ["", "Europe", "Europe/Atlantis", "europe/berlin", "+02:00", "../../etc/passwd", "/etc/localtime", "%00", "UTC%20"],
)
async def test_zones_that_there_are_not(me: Person, zone: str) -> None:
    assert_problem(await me.get(f"/tasks/stats?tz={zone}"), 422, "invalid-request", "/query/tz")
    assert_problem(await me.get(f"/tasks/stats?tz={'x' * 10_000}"), 422, "invalid-request", "/query/tz")
