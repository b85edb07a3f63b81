"""Health and metrics, for operators and their machines."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST

from application.health import CheckHealth, CountJobs
from domain.errors import Unavailable
from interfaces.http.deps import Use
from interfaces.http.document import can_refuse
from interfaces.http.exposition import exposition
from interfaces.http.fields import Out
from interfaces.http.limiter import limiter
from interfaces.http.links import link
from interfaces.http.routing import Route

router = APIRouter(tags=["operations"], route_class=Route)
start = APIRouter(route_class=Route)


class NotReady(Unavailable):
    code = "not-ready"
    title = "The service is stopping, or a part that it needs does not answer."


class LiveOut(Out):
    status: Literal["ok"] = "ok"


class ReadyOut(Out):
    status: Literal["ok"] = "ok"
    checks: dict[str, Literal["ok", "away"]]


@router.get("/health/live")
@limiter.exempt
async def live() -> LiveOut:
    return LiveOut()


@router.get("/health/ready", responses=can_refuse(503))
@limiter.exempt
async def ready(request: Request, check: Use[CheckHealth]) -> ReadyOut:
    if request.app.state.stopping.is_set():
        raise NotReady("Stopping.")
    health = await check()
    if health.missing:
        raise NotReady(f"Away: {', '.join(health.missing)}.", checks=health.checks)
    return ReadyOut(checks=health.checks)


@router.get("/metrics", response_class=Response)
@limiter.exempt
async def metrics(count_jobs: Use[CountJobs]) -> Response:
    return Response(exposition(*await count_jobs()), media_type=CONTENT_TYPE_LATEST)


@start.get("/", include_in_schema=False)
async def start_page(request: Request) -> RedirectResponse:
    return RedirectResponse(link(request, "/docs"))
