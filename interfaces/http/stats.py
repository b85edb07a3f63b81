"""/tasks/stats"""

from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator

from application.stats import GetStats
from domain.errors import Invalid
from domain.stats import TaskStats
from domain.task import Priority
from interfaces.http.deps import Actor, Use
from interfaces.http.fields import MomentOut, Out
from interfaces.http.routing import Route

router = APIRouter(prefix="/tasks", tags=["tasks"], route_class=Route)

ZONES = frozenset(available_timezones())


class FilesOut(Out):
    count: int
    bytes: int


class StatsOut(Out):
    total: int
    completed: int
    pending: int
    overdue: int
    due_today: int
    completion_rate: float
    by_priority: dict[Priority, int]
    files: FilesOut
    generated_at: MomentOut

    @classmethod
    def of(cls, stats: TaskStats) -> "StatsOut":
        return cls(
            total=stats.total,
            completed=stats.completed,
            pending=stats.pending,
            overdue=stats.overdue,
            due_today=stats.due_today,
            completion_rate=stats.completion_rate,
            by_priority=dict(stats.by_priority),
            files=FilesOut(count=stats.file_count, bytes=stats.file_bytes),
            generated_at=stats.generated_at,
        )


def _known_zone(name: str) -> str:
    if name not in ZONES:  # asked before ZoneInfo, which would look for a file of that name
        raise Invalid("A time zone of the IANA database, such as Europe/Berlin.", reason="zone")
    return name


@router.get("/stats")
async def get_stats(
    actor: Actor,
    get_stats: Use[GetStats],
    response: Response,
    tz: Annotated[str, Query(), AfterValidator(_known_zone)] = "UTC",
) -> StatsOut:
    counted = await get_stats(actor, ZoneInfo(tz))
    response.headers["X-Cache"] = "HIT" if counted.cached else "MISS"
    return StatsOut.of(counted.stats)
