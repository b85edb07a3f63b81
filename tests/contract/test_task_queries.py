"""Lists and statistics: whatever a database answers is what the domain's own functions say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.ports import UnitOfWork
from domain.stats import Day, tally
from domain.task import Priority, Task, TaskChanges
from domain.task_list import SortBy, TaskFilter, TaskQuery, TaskSort, words
from domain.user import User
from tests.examples import MINUTE, NOON, stored_file, stored_task, stored_user

TITLES = [
    "Straße",
    "STRASSE 2",
    "apple",
    "Äpfel",
    "apple pie",
    "zebra",
    "éclair 100%",
    "a_b",
    "日本 語",
    "🎈 up",
    "Zebra",
]
TAGS = ["home", "Home", "work", 'quo"te', "50%", "ü"]
MOMENTS = [NOON + n * MINUTE for n in range(-2, 3)]

texts = st.sampled_from([*TITLES, "", "app", "PIE", "ste", "_", "%", "日"])
moments = st.sampled_from(MOMENTS)
filters = st.builds(
    TaskFilter,
    completed=st.none() | st.booleans(),
    priority=st.none() | st.sampled_from(Priority),
    tags=st.just(()) | st.lists(st.sampled_from(TAGS), max_size=2).map(tuple),
    any_tags=st.just(()) | st.lists(st.sampled_from(TAGS), max_size=3).map(tuple),
    due_before=st.none() | moments,
    due_after=st.none() | moments,
    words=texts.map(lambda text: tuple(words(text))),
)
sorts = st.builds(TaskSort, st.sampled_from(SortBy), descending=st.booleans())


async def many_tasks(work: UnitOfWork, owner: User) -> list[Task]:
    """Forty that differ in everything, some of them alike in one value or the other."""
    tasks = []
    for n in range(40):
        changes: TaskChanges = {
            "title": TITLES[n % len(TITLES)],
            "description": None if n % 3 else f"{TITLES[(n * 7) % len(TITLES)]} and more",
            "completed": n % 4 == 0,
            "priority": list(Priority)[n % 4],
            "due_at": None if n % 5 == 0 else MOMENTS[n % len(MOMENTS)],
            "tags": [tag for i, tag in enumerate(TAGS) if n >> i & 1],
        }
        tasks.append(await stored_task(work, owner, changes, at=NOON + (n % 7) * MINUTE))
    return tasks


@pytest.fixture
async def owner(work: UnitOfWork) -> User:
    return await stored_user(work)


async def pages(work: UnitOfWork, query: TaskQuery, owner: User) -> Sequence[Task]:
    """All pages of a query, one after the other, as a client would read them."""
    found: list[Task] = []
    async with work.read() as tx:
        while True:
            page = await tx.tasks.page(query, owner=owner.id)
            found += page[: query.limit]
            if len(page) <= query.limit:
                return found
            query = replace(query, after=query.sort.position(found[-1]))


async def test_every_page_of_every_query_is_what_the_domain_says(work: UnitOfWork, owner: User) -> None:
    tasks = await many_tasks(work, owner)
    await stored_task(work, await stored_user(work), {"title": "somebody else's apple"})
    asked: list[tuple[TaskQuery, list[Task]]] = []

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(filters, sorts, st.integers(1, 50))
    def collect(wanted: TaskFilter, sort: TaskSort, limit: int) -> None:
        expected = sort.sorted([task for task in tasks if wanted.matches(task)])
        asked.append((TaskQuery(wanted, sort, None, limit), expected))

    collect()
    assert len(asked) >= 100
    for query, expected in asked:
        assert await pages(work, query, owner) == expected, query


async def test_a_page_goes_on_behind_a_task_that_was_deleted(work: UnitOfWork, owner: User) -> None:
    tasks = [await stored_task(work, owner, at=NOON + n * MINUTE) for n in range(4)]
    query = TaskQuery(sort=TaskSort(SortBy.CREATED_AT, descending=False), limit=2)
    async with work.write() as tx:
        await tx.tasks.delete([tasks[1]])
    async with work.read() as tx:
        found = await tx.tasks.page(replace(query, after=query.sort.position(tasks[1])), owner=owner.id)
    assert found == tasks[2:]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/Los_Angeles"])
async def test_the_statistics_are_what_the_domain_counts(work: UnitOfWork, owner: User, zone: str) -> None:
    tasks = await many_tasks(work, owner)
    tasks += [await stored_task(work, owner, {"due_at": NOON + timedelta(hours=h)}) for h in range(-30, 31, 3)]
    files = [await stored_file(work, tasks[n], size=n) for n in (1, 2, 3)]
    stranger = await stored_user(work)
    await stored_file(work, await stored_task(work, stranger, {"due_at": NOON}))
    today = Day.around(NOON, ZoneInfo(zone))
    async with work.read() as tx:
        counted = await tx.stats.tally(owner.id, today=today, now=NOON)
    assert counted == tally(tasks, files, today=today, now=NOON)
    assert (counted.total, counted.completed, counted.file_count, counted.file_bytes) == (61, 10, 3, 6)
    assert counted.due_today > 0
    assert counted.overdue > 0


async def test_the_statistics_of_nothing_are_zeros(work: UnitOfWork, owner: User) -> None:
    now = datetime(2030, 3, 31, 0, 30, tzinfo=UTC)
    async with work.read() as tx:
        counted = await tx.stats.tally(owner.id, today=Day.around(now, ZoneInfo("Europe/Berlin")), now=now)
    assert (counted.total, counted.pending, counted.completion_rate, counted.file_bytes) == (0, 0, 0.0, 0)
    assert dict(counted.by_priority) == dict.fromkeys(Priority, 0)
