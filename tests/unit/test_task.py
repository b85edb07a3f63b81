"""The rules of a task."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product

import pytest

from domain.errors import Invalid
from domain.task import Priority, Task, TaskChanges, TaskId, checked_moment, checked_tags
from domain.task_list import Position, SortBy, TaskFilter, TaskSort, search_text, words
from domain.user import UserId
from tests.examples import NOON

LATER = NOON + timedelta(hours=1)
BERLIN = timezone(timedelta(hours=1))


def new(changes: TaskChanges | None = None) -> Task:
    return Task.new(UserId(1), {"title": "Write the report", **(changes or {})}, at=NOON)


def test_a_new_task() -> None:
    task = new()
    assert (task.created_at, task.updated_at, task.version, task.id) == (NOON, NOON, 1, 0)
    assert (task.completed, task.completed_at, task.priority, task.tags) == (False, None, Priority.MEDIUM, ())
    assert new({"completed": True}).completed_at == NOON


def test_an_edit_changes_what_it_names_and_the_time_of_the_change() -> None:
    task = new({"description": "All of it", "due_at": LATER})
    edited = task.edit({"title": "Read", "due_at": None}, at=LATER)
    assert (edited.title, edited.due_at, edited.description) == ("Read", None, "All of it")
    assert (edited.created_at, edited.updated_at) == (NOON, LATER)
    assert edited.version == task.version  # the repository gives the next one


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"title": "Write the report", "description": None, "completed": False, "priority": Priority.MEDIUM},
        {"tags": ["home", " work ", "home"]},
        {"due_at": NOON.astimezone(BERLIN)},
    ],
)
def test_an_edit_that_changes_nothing_is_the_very_same_task(changes: TaskChanges) -> None:
    task = new({"tags": ["home", "work"], "due_at": NOON})
    assert task.edit(changes, at=LATER) is task


def test_completing_and_reopening_twice_changes_once() -> None:
    task = new()
    done = task.complete(at=LATER)
    assert (done.completed, done.completed_at, done.updated_at) == (True, LATER, LATER)
    assert done.complete(at=LATER + timedelta(days=1)) is done
    opened = done.reopen(at=LATER)
    assert (opened.completed, opened.completed_at) == (False, None)
    assert opened.reopen(at=LATER + timedelta(days=1)) is opened


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"title": ""}, "title"),
        ({"title": "\u3000\t "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"description": "x" * 10_001}, "description"),
        ({"tags": [" "]}, "tags"),
        ({"tags": ["x" * 51]}, "tags"),
        ({"tags": [str(n) for n in range(21)]}, "tags"),
        ({"due_at": datetime(2030, 1, 1)}, "moment"),  # noqa: DTZ001 # that is the point
        ({"due_at": datetime(1969, 12, 31, 23, 59, tzinfo=UTC)}, "moment"),
        ({"due_at": datetime(1970, 1, 1, tzinfo=BERLIN)}, "moment"),
        ({"due_at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))}, "moment"),
        ({"due_at": datetime.min.replace(tzinfo=BERLIN)}, "moment"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(changes: TaskChanges, reason: str) -> None:
    field = "due_at" if reason == "moment" else reason
    with pytest.raises(Invalid) as edited:
        new().edit(changes, at=LATER)
    with pytest.raises(Invalid) as created:
        new(changes)
    for refused in (edited.value, created.value):
        assert (refused.reason, refused.pointer) == (reason, f"/{field}")


def test_the_limits_themselves_are_allowed() -> None:
    tags = ["🎈" * 50, *(str(n) for n in range(19))]
    task = new({"title": "🎈" * 200, "description": "x" * 10_000, "tags": tags})
    assert (len(task.title), len(task.tags)) == (200, 20)


def test_tags_are_trimmed_and_keep_their_order_and_case() -> None:
    assert checked_tags([" work", "Work", "home ", "work", "HOME"]) == ("work", "Work", "home", "HOME")
    assert len(checked_tags(["a", " a "] * 20)) == 1


@pytest.mark.parametrize(
    ("moment", "utc"),
    [
        (datetime(2030, 1, 1, 0, 30, tzinfo=BERLIN), datetime(2029, 12, 31, 23, 30, tzinfo=UTC)),
        (datetime(1970, 1, 1, 1, tzinfo=BERLIN), datetime(1970, 1, 1, tzinfo=UTC)),
        (
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ),
    ],
)
def test_moments_are_kept_in_utc(moment: datetime, utc: datetime) -> None:
    assert checked_moment(moment) == utc
    assert checked_moment(moment).tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Fix the roof!", ["fix", "the", "roof"]),
        ("C3PO & R2-D2", ["c3po", "r2", "d2"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("50%_off", ["50", "off"]),
        ("買い物 ЁЛКА", ["買い物", "ёлка"]),
        (" \n—…🎈", []),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_a_search_finds_all_words_by_their_beginnings_in_title_and_description() -> None:
    task = new({"title": "Fix the Roof", "description": "before winter"})
    assert search_text(task) == " fix the roof before winter"
    for query in ("roof", "ROO winter", "w fix", ""):
        assert TaskFilter(words=tuple(words(query))).matches(task), query
    for query in ("oof", "roofs", "fix door"):
        assert not TaskFilter(words=tuple(words(query))).matches(task), query


def test_every_condition_of_a_filter_must_hold() -> None:
    task = new({"tags": ["a", "b"], "due_at": NOON, "priority": Priority.HIGH})
    for passing in (
        TaskFilter(tags=("a", "b"), any_tags=("b", "c"), completed=False, priority=Priority.HIGH),
        TaskFilter(due_after=NOON, due_before=LATER),
    ):
        assert passing.matches(task)
    for failing in (
        TaskFilter(tags=("a", "c")),
        TaskFilter(tags=("a", "A")),
        TaskFilter(any_tags=("c", "A")),
        TaskFilter(due_before=NOON),
        TaskFilter(due_after=LATER),
        TaskFilter(completed=True),
        TaskFilter(priority=Priority.LOW),
    ):
        assert not failing.matches(task)
    assert not TaskFilter(due_before=LATER).matches(new())
    assert not TaskFilter(due_after=NOON).matches(new())


def some_tasks() -> list[Task]:
    """In the order of their ids."""
    values: list[TaskChanges] = [
        {"title": "b", "due_at": LATER, "priority": Priority.URGENT},
        {"title": "A", "due_at": None, "priority": Priority.LOW},
        {"title": "B", "due_at": NOON, "priority": Priority.HIGH},
        {"title": "ä", "due_at": LATER, "priority": Priority.LOW},
        {"title": "a", "due_at": None, "priority": Priority.MEDIUM},
    ]
    return [replace(new(value), id=TaskId(number)) for number, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("by", "ascending", "descending"),
    [
        (SortBy.CREATED_AT, [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]),
        (SortBy.UPDATED_AT, [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]),
        (SortBy.TITLE, [2, 5, 1, 3, 4], [4, 3, 1, 5, 2]),
        (SortBy.PRIORITY, [2, 4, 5, 3, 1], [1, 3, 5, 4, 2]),
        (SortBy.DUE_AT, [3, 1, 4, 2, 5], [4, 1, 3, 5, 2]),  # without a date last, both ways
    ],
)
def test_orders(by: SortBy, ascending: list[int], descending: list[int]) -> None:
    assert [task.id for task in TaskSort(by, descending=False).sorted(some_tasks())] == ascending
    assert [task.id for task in TaskSort(by, descending=True).sorted(some_tasks())] == descending


@pytest.mark.parametrize(("by", "descending"), list(product(SortBy, [False, True])))
def test_behind_a_position_is_what_follows_it_in_the_order(by: SortBy, descending: bool) -> None:
    sort = TaskSort(by, descending)
    ordered = sort.sorted(some_tasks())
    for place, task in enumerate(ordered):
        behind = [other for other in ordered if sort.behind(other, sort.position(task))]
        assert behind == ordered[place + 1 :]


def test_a_position_holds_what_the_order_compares() -> None:
    task = replace(new({"title": "STRASSE", "priority": Priority.URGENT}), id=TaskId(7))
    assert TaskSort(SortBy.TITLE).position(task) == Position("strasse", TaskId(7))
    assert TaskSort(SortBy.PRIORITY).position(task) == Position(3, TaskId(7))
    assert TaskSort(SortBy.DUE_AT).position(task) == Position(None, TaskId(7))
