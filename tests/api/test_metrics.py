"""What Prometheus is shown of the jobs: those that are stored, counted anew each time, and how the attempts went."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from application import health
from application.health import CountJobs
from application.jobs import JobDepth
from application.ports import DatabaseAway
from infrastructure.jobs import Again, Deliveries, Delivery, pack
from infrastructure.memory.database import MemoryDatabase
from infrastructure.memory.jobs import MemoryJobRecords
from interfaces.http.exposition import exposition
from tests.api.conftest import Api

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def lines(text: str, pattern: str) -> list[str]:
    return re.findall(rf"^({pattern} .+)$", text, re.MULTILINE)


def test_stored_jobs_are_shown_by_kind_and_state() -> None:
    depths = [
        JobDepth("mail", "dead", 2, NOW - timedelta(hours=1)),
        JobDepth("mail", "waiting", 3, NOW + timedelta(hours=1)),
    ]
    shown = exposition(depths, NOW).decode()
    assert lines(shown, r"jobs\{.*\}") == [
        'jobs{kind="mail",state="dead"} 2.0',
        'jobs{kind="mail",state="waiting"} 3.0',
    ]
    assert lines(shown, r"jobs_oldest_age_seconds\{.*\}") == [
        'jobs_oldest_age_seconds{kind="mail",state="dead"} 3600.0',
        'jobs_oldest_age_seconds{kind="mail",state="waiting"} 0.0',
    ]


async def test_each_scrape_shows_what_is_stored_then(any_api: Api) -> None:
    async def stored() -> float:
        shown = (await any_api.client.get("/metrics")).text
        return sum(float(line.split()[-1]) for line in lines(shown, r'jobs\{kind="unheard-of",.*\}'))

    container = any_api.app.state.container
    assert await stored() == 0
    for expected in (1, 2):
        async with container.work().write() as tx:
            await tx.jobs.enqueue(UnheardOf)
        assert await stored() == expected  # waiting or dead: nobody can run it


@dataclass
class UnheardOf:
    job_name: ClassVar[str] = "unheard-of"

    async def __call__(self) -> None: ...


@dataclass
class Records(MemoryJobRecords):
    """A database that is away, or hangs."""

    away: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__(MemoryDatabase())

    async def depths(self) -> Sequence[JobDepth]:
        self.asked.set()
        if self.away:
            raise DatabaseAway
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("away", [True, False], ids=["away", "hangs"])
async def test_a_database_that_does_not_answer_leaves_the_rest_to_be_shown(
    monkeypatch: pytest.MonkeyPatch, *, away: bool
) -> None:
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.05)
    records = Records(away=away)
    depths, now = await CountJobs(records, lambda: NOW)()
    assert records.asked.is_set()
    assert (depths, now) == ((), NOW)
    shown = exposition(depths, now).decode()
    assert lines(shown, r"jobs\{.*\}") == []
    assert "# TYPE http_requests_total counter" in shown


@dataclass
class Moody:
    """Fails a number of times."""

    job_name: ClassVar[str] = "moody"
    failures: int

    async def __call__(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError


async def test_attempts_failures_and_durations_are_counted_by_kind() -> None:
    deliver = Deliveries({"moody": Moody(failures=2)}, backoff=lambda _: timedelta(0))
    outcomes = [await deliver(Delivery(1, "moody", pack((), {}), attempt)) for attempt in (1, 2, 3)]
    assert outcomes == [Again("OSError", timedelta(0)), Again("OSError", timedelta(0)), None]
    shown = exposition((), NOW).decode()
    assert lines(shown, r'job_(?:attempts|failures)_total\{kind="moody"\}') == [
        'job_attempts_total{kind="moody"} 3.0',
        'job_failures_total{kind="moody"} 2.0',
    ]
    assert 'job_duration_seconds_count{kind="moody"} 3.0' in shown.splitlines()
