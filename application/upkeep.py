"""Forgetting what nobody needs any more."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from application.jobs import JobRecords
from application.ports import Clock

JOB_LOG_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class PurgeExpired:
    """What is kept about jobs that are done. Those that died stay, for an operator to see."""

    job_name: ClassVar[str] = "purge-expired"
    job_records: JobRecords
    clock: Clock

    async def __call__(self) -> None:
        await self.job_records.prune(before=self.clock() - JOB_LOG_KEPT)
