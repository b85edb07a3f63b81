"""Statistics of a user's tasks: cached, and never older than the user's last write."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from application.ports import Cache, Clock, UnitOfWork
from domain.stats import Day, TaskStats
from domain.task import Priority
from domain.user import UserId


@dataclass(frozen=True, slots=True)
class CountedStats:
    stats: TaskStats
    cached: bool


@dataclass(frozen=True, slots=True)
class GetStats:
    """What stamps an entry lives beside the tasks and moves with each write, so that no older entry can match."""

    work: UnitOfWork
    cache: Cache
    clock: Clock
    ttl: timedelta

    async def __call__(self, actor: UserId, zone: ZoneInfo) -> CountedStats:
        async with self.work.read() as tx:
            version = await tx.stats.version(actor)

        async def count() -> bytes:
            now = self.clock()
            async with self.work.read() as tx:
                stats = await tx.stats.tally(actor, today=Day.around(now, zone), now=now)
            return json.dumps(asdict(stats) | {"generated_at": now.isoformat()}).encode()

        entry = await self.cache.get_or_compute(
            f"stats:user_{actor}:{zone.key}", count, ttl=self.ttl, stamp=str(version)
        )
        return CountedStats(_read(entry.value), entry.hit)


def _read(value: bytes) -> TaskStats:
    fields = json.loads(value)
    fields["generated_at"] = datetime.fromisoformat(fields["generated_at"])
    fields["by_priority"] = {priority: fields["by_priority"][priority] for priority in Priority}
    return TaskStats(**fields)
