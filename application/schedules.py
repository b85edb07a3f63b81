"""What is done regularly, a line each."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from application.jobs import Job
from application.reconcile import ReconcileFiles
from application.reminders import RemindOfDueTasks
from application.upkeep import PurgeExpired

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Once in each tick, which is a span of `every`, counted from 1970, the job is called without arguments."""

    job: type[Job[[]]]
    every: timedelta

    def tick(self, at: datetime) -> int:
        return (at - EPOCH) // self.every

    def left(self, at: datetime) -> timedelta:
        """The time until the next tick."""
        return self.every - (at - EPOCH) % self.every


SCHEDULES = (
    Schedule(RemindOfDueTasks, every=timedelta(minutes=1)),
    Schedule(ReconcileFiles, every=timedelta(minutes=10)),
    Schedule(PurgeExpired, every=timedelta(days=1)),
)
