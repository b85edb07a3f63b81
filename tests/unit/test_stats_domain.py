"""What a day is in any zone, and what is counted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.file import TaskFile
from domain.stats import Day, TaskStats, tally
from domain.task import Priority, Task, TaskChanges, TaskId
from domain.user import UserId
from tests.examples import NOON

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "moment", "start", "end"),
    [
        ("UTC", "2030-01-01T12:00", "2030-01-01T00:00", "2030-01-02T00:00"),
        ("Europe/Berlin", "2030-01-01T23:30", "2030-01-01T23:00", "2030-01-02T23:00"),
        # 23 and 25 hours
        ("Europe/Berlin", "2030-03-31T12:00", "2030-03-30T23:00", "2030-03-31T22:00"),
        ("Europe/Berlin", "2030-10-27T00:30", "2030-10-26T22:00", "2030-10-27T23:00"),
        ("Europe/Berlin", "2030-10-27T01:30", "2030-10-26T22:00", "2030-10-27T23:00"),  # its second 02:30
        # days without a midnight: they begin at 01:00
        ("America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T03:00", "2018-11-05T02:00"),
        ("America/Sao_Paulo", "2018-11-04T02:59", "2018-11-03T03:00", "2018-11-04T03:00"),
        # a day with two midnights, an hour apart, begins at the first
        ("America/Havana", "2030-11-03T05:30", "2030-11-03T04:00", "2030-11-04T05:00"),
        # half an hour
        ("Australia/Lord_Howe", "2030-04-06T20:00", "2030-04-06T13:00", "2030-04-07T13:30"),
        # a zone that left out 30 December
        ("Pacific/Apia", "2011-12-30T09:00", "2011-12-29T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00"),
        # as far as zones go
        ("Pacific/Kiritimati", "2030-01-01T10:00", "2030-01-01T10:00", "2030-01-02T10:00"),
        ("Pacific/Kiritimati", "2030-01-01T09:59", "2029-12-31T10:00", "2030-01-01T10:00"),
        ("Etc/GMT+12", "2030-01-01T11:59", "2029-12-31T12:00", "2030-01-01T12:00"),
        ("Asia/Kathmandu", "2030-01-01T18:15", "2030-01-01T18:15", "2030-01-02T18:15"),
    ],
)
def test_the_day_around_a_moment(zone: str, moment: str, start: str, end: str) -> None:
    day = Day.around(utc(moment), ZoneInfo(zone))
    assert (day.start.astimezone(UTC), day.end.astimezone(UTC)) == (utc(start), utc(end))
    assert day.start <= utc(moment) < day.end


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Pacific/Apia", "Africa/Cairo"]
)
def test_each_day_ends_where_the_next_begins(zone: str) -> None:
    day = Day.around(utc("2011-01-01T12:00"), ZoneInfo(zone))
    for _ in range(800):
        following = Day.around(day.end, ZoneInfo(zone))
        assert following.start.astimezone(UTC) == day.end.astimezone(UTC)
        day = following
    assert day.end.year == 2013


def a_task(number: int, changes: TaskChanges) -> Task:
    return replace(Task.new(UserId(1), {"title": "Read", **changes}, at=NOON), id=TaskId(number))


def test_what_is_counted() -> None:
    day = Day.around(NOON, ZoneInfo("UTC"))
    changes: list[TaskChanges] = [
        {"due_at": day.start, "priority": Priority.URGENT},  # today, and overdue by now
        {"due_at": NOON - timedelta(microseconds=1)},
        {"due_at": NOON},  # not overdue yet
        {"due_at": day.end - timedelta(microseconds=1)},
        {"due_at": day.end},  # tomorrow
        {"due_at": day.start - DAY},
        {"due_at": NOON - HOUR, "completed": True},  # done: neither due nor overdue
        {"priority": Priority.LOW},
    ]
    file = TaskFile(TaskId(1), UserId(1), "a.txt", "task_1.txt", "text/plain", 5, "0" * 64, NOON)
    stats = tally(
        [a_task(*pair) for pair in enumerate(changes)], [file, replace(file, file_size=7)], today=day, now=NOON
    )
    assert stats == TaskStats(
        total=8,
        completed=1,
        overdue=3,
        due_today=4,
        by_priority={Priority.LOW: 1, Priority.MEDIUM: 6, Priority.HIGH: 0, Priority.URGENT: 1},
        file_count=2,
        file_bytes=12,
        generated_at=NOON,
    )
    assert (stats.pending, stats.completion_rate) == (7, 0.125)


@pytest.mark.parametrize(
    ("completed", "total", "rate"), [(0, 0, 0.0), (0, 3, 0.0), (1, 3, 0.3333), (2, 3, 0.6667), (3, 3, 1.0)]
)
def test_the_rate_has_four_decimals(completed: int, total: int, rate: float) -> None:
    nothing = tally([], [], today=Day.around(NOON, ZoneInfo("UTC")), now=NOON)
    assert replace(nothing, completed=completed, total=total).completion_rate == rate
