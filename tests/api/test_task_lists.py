"""Lists of tasks: what a query finds, in which order, page by page."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.conftest import Api, Person, assert_problem

RANKS = ["low", "medium", "high", "urgent"]
TASKS: list[dict[str, Any]] = [
    {"title": "Buy milk", "tags": ["home", "shop"], "priority": "low", "due_at": "2030-01-01T10:00:00Z"},
    {"title": "buy Bread", "tags": ["shop"], "priority": "urgent", "due_at": "2030-01-02T10:00:00Z"},
    {
        "title": "Écrire",
        "tags": ["Home"],
        "priority": "medium",
        "description": "une lettre à 100% sûre",
        "due_at": None,
    },
    {"title": "Straße fegen", "tags": [], "priority": "high", "due_at": "2030-01-01T11:00:00+01:00", "completed": True},
    {"title": "zebra", "tags": ["home"], "priority": "medium", "description": "milk_shake", "due_at": None},
]
TITLES = [task["title"] for task in TASKS]


async def stocked(api: Api) -> Person:
    me, other = await api.person(), await api.person()
    for task in TASKS:
        await me.task(**task)
        await other.task(**task)
    return me


async def found(me: Person, query: str) -> list[int]:
    """Which of `TASKS`, oldest first."""
    answer = await me.get(f"/tasks?sort=created_at&{query}")
    assert answer.status_code == 200, answer.text
    return [TITLES.index(task["title"]) for task in answer.json()["items"]]


QUERIES = {
    "": [0, 1, 2, 3, 4],
    "completed=true": [3],
    "completed=false": [0, 1, 2, 4],
    "priority=medium": [2, 4],
    "tag=home": [0, 4],
    "tag=home&tag=shop": [0],
    "tag=hom": [],
    "any_tag=Home&any_tag=shop": [0, 1, 2],
    "tag=shop&any_tag=home&any_tag=x": [0],
    "due_before=2030-01-01T10:00:00Z": [],
    "due_before=2030-01-01T10:00:00.000001Z": [0, 3],
    "due_before=2030-01-01T11:00:00.000001%2B01:00": [0, 3],
    "due_after=2030-01-01T10:00:00Z": [0, 1, 3],
    "due_after=2030-01-01T10:00:00.000001Z": [1],
    "due_after=2030-01-01T10:00:00Z&due_before=2030-01-02T10:00:00Z": [0, 3],
    "q=milk": [0, 4],
    "q=MIL+bu": [0],
    "q=ilk": [],
    "q=shake": [4],
    "q=%C3%A9crire": [2],
    "q=100%25": [2],
    "q=%25": [0, 1, 2, 3, 4],  # no word in it: nothing that a task would have to have
    "q=_": [0, 1, 2, 3, 4],
    "q=strasse": [3],
    "q=%27%20OR%201=1%20--": [],
    "q=milk&completed=true": [],
}


async def test_what_a_query_finds(any_api: Api) -> None:
    me = await stocked(any_api)
    assert {query: await found(me, query) for query in QUERIES} == QUERIES


ORDERS = {
    "created_at": [0, 1, 2, 3, 4],
    "-created_at": [4, 3, 2, 1, 0],
    "updated_at": [1, 2, 3, 4, 0],  # the first was changed last
    "-updated_at": [0, 4, 3, 2, 1],
    "due_at": [0, 3, 1, 2, 4],
    "-due_at": [1, 3, 0, 4, 2],
    "priority": [0, 2, 4, 3, 1],
    "-priority": [1, 3, 4, 2, 0],
    "title": [1, 0, 3, 4, 2],  # by code point of the case-folded title: é comes after z
    "-title": [2, 4, 3, 0, 1],
}


async def walk(me: Person, query: str, *, by_link: bool) -> list[int]:
    """All pages, to the end."""
    path, titles = f"/tasks?{query}", []
    while True:
        answer = await me.get(path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        titles += [task["title"] for task in page["items"]]
        assert (page["next_cursor"] is None) == ("Link" not in answer.headers)
        if page["next_cursor"] is None:
            return [TITLES.index(title) for title in titles]
        following = f"/tasks?{query}&{urlencode({'cursor': page['next_cursor']})}"
        path = answer.links["next"]["url"] if by_link else following
        assert (path.startswith("/tasks?"), len(titles) < 100) == (True, True)


async def test_every_order_page_by_page(any_api: Api) -> None:
    me = await stocked(any_api)
    first = (await me.get("/tasks?sort=created_at&limit=1")).json()["items"][0]
    await me.patch(f"/tasks/{first['id']}", json={"description": "Fresh"})
    for sort, order in ORDERS.items():
        for limit in (1, 2, 5, 100):
            assert (sort, limit, await walk(me, f"sort={sort}&limit={limit}", by_link=limit == 2)) == (
                sort,
                limit,
                order,
            )
    assert await walk(me, "limit=2", by_link=True) == ORDERS["-created_at"]
    assert await walk(me, "limit=1&tag=home&any_tag=shop&any_tag=home&q=%C3%A9+", by_link=True) == []
    assert await walk(me, "limit=1&any_tag=Home&any_tag=shop&sort=title", by_link=True) == [1, 0, 2]


async def test_a_page_holds_while_tasks_come_and_go(any_api: Api) -> None:
    me = await stocked(any_api)
    page = (await me.get("/tasks?sort=title&limit=2")).json()
    for task in page["items"]:
        await me.delete(f"/tasks/{task['id']}")
    await me.task(title="Aardvark")
    await me.task(title="yak")
    rest = (await me.get(f"/tasks?sort=title&cursor={page['next_cursor']}")).json()
    assert [task["title"] for task in rest["items"]] == ["Straße fegen", "yak", "zebra", "Écrire"]


async def test_twenty_are_a_page(me: Person) -> None:
    for _ in range(21):
        await me.task()
    page = (await me.get("/tasks")).json()
    assert len(page["items"]) == 20
    rest = await me.get(f"/tasks?cursor={page['next_cursor']}")
    assert (len(rest.json()["items"]), rest.json()["next_cursor"], "Link" in rest.headers) == (1, None, False)


async def test_a_cursor_is_ours_and_for_its_own_order(any_api: Api) -> None:
    me = await stocked(any_api)
    cursor = (await me.get("/tasks?sort=due_at&limit=1")).json()["next_cursor"]
    assert (await me.get(f"/tasks?sort=due_at&cursor={cursor}")).status_code == 200
    tampered = [cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(len(cursor))]
    shortened = [cursor[:length] for length in range(len(cursor))]
    others = [cursor + "=", cursor + "A", cursor + "%0A", "%20" + cursor, "x", "%00", "%C3%A9", cursor * 20]
    for wrong in tampered + shortened + others:
        assert_problem(await me.get(f"/tasks?sort=due_at&cursor={wrong}"), 422, "invalid-request", "/query/cursor")
    for sort in ("-due_at", "created_at", "-created_at", "updated_at", "priority", "title"):
        assert_problem(await me.get(f"/tasks?sort={sort}&cursor={cursor}"), 422, "invalid-request", "/query/cursor")


async def test_a_cursor_shows_nothing_of_somebody_else(any_api: Api) -> None:
    me, other = await stocked(any_api), await any_api.person()
    cursor = (await me.get("/tasks?limit=1")).json()["next_cursor"]
    assert (await other.get(f"/tasks?cursor={cursor}")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("host", ["[", "a/b", "a b", "x:99999999", ""])
async def test_a_broken_host_breaks_no_link(me: Person, host: str) -> None:
    for _ in range(2):
        await me.task()
    answer = await me.get("/tasks?limit=1", headers={"Host": host})
    assert answer.links["next"]["url"].startswith("/tasks?limit=1&cursor=")


REFUSED = {
    "limit": ["0", "101", "-1", "+1", "01", "1.0", "1e1", "٣", "%201", "1_0", "", "x", "9" * 5000],
    "completed": ["True", "TRUE", "1", "yes", "on", ""],
    "priority": ["Low", "", "critical", "0"],
    "sort": ["", "id", "--title", "Title", "+title", "title,id", "title%20"],
    "due_before": ["", "2030-01-01", "2030-01-01T00:00:00", "1893456000", "2030-01-01T00:00:00+01:00", "now"],
    "due_after": ["2030-13-01T00:00:00Z", "2030-02-30T00:00:00Z", "10000-01-01T00:00:00Z", "1969-12-31T23:59:59Z"],
    "q": ["x" * 201, "%00"],
}


@pytest.mark.parametrize("name", REFUSED)
async def test_parameters_that_are_refused(me: Person, name: str) -> None:
    for value in REFUSED[name]:
        assert_problem(await me.get(f"/tasks?{name}={value}"), 422, "invalid-request", f"/query/{name}")
    too_many = await me.get("/tasks?" + "&".join(f"tag={number}" for number in range(21)))
    assert_problem(too_many, 422, "invalid-request", "/query/tag")


ODD = [
    "'",
    '"',
    "\\",
    "%",
    "_",
    "{}",
    "$.x",
    "[1]",
    "null",
    "💩",
    "\u202e",
    "\ufffe",
    "\x01",
    "\x7f",
    "a\tb",
    "é",
    "e\u0301",
]


async def test_odd_texts_are_texts(any_api: Api) -> None:
    """Nothing of them means anything to a database."""
    me = await any_api.person()
    for text in ODD:
        task = await me.task(title=text, description=text, tags=[text])
        assert (task["title"], task["description"], task["tags"]) == (text, text, [text])
        for query in ({"tag": text}, {"any_tag": text}, {"q": f"{text} x{text}"}):
            answer = await me.get("/tasks", params=query)
            assert answer.status_code == 200
            if "q" not in query:
                assert [found["id"] for found in answer.json()["items"]] == [task["id"]]
