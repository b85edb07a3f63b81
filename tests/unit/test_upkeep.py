"""What is forgotten, and when."""

from datetime import datetime, timedelta

from typing_extensions import override

from application.upkeep import PurgeExpired
from infrastructure.memory.database import MemoryDatabase
from infrastructure.memory.jobs import MemoryJobRecords
from tests.examples import NOON


class Records(MemoryJobRecords):
    """In memory nothing is kept of a job that is done: this one says what would be forgotten."""

    pruned: datetime | None = None

    @override
    async def prune(self, *, before: datetime) -> None:
        self.pruned = before


async def test_a_week_of_jobs_that_are_done_is_kept() -> None:
    records = Records(MemoryDatabase())
    await PurgeExpired(records, lambda: NOON)()
    assert records.pruned == NOON - timedelta(days=7)
