"""Health and metrics, for operators and their machines."""

import os
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

from application.health import CheckHealth
from domain.errors import Unavailable
from interfaces.http.deps import Use
from interfaces.http.document import can_refuse
from interfaces.http.fields import Out
from interfaces.http.limiter import limiter
from interfaces.http.links import link
from interfaces.http.routing import Route

router = APIRouter(tags=["operations"], route_class=Route)
start = APIRouter(route_class=Route)


class NotReady(Unavailable):
    code = "not-ready"
    title = "A part that the service needs does not answer."


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
async def ready(check: Use[CheckHealth]) -> ReadyOut:
    health = await check()
    if health.missing:
        raise NotReady(f"Away: {', '.join(health.missing)}.", checks=health.checks)
    return ReadyOut(checks=health.checks)


@router.get("/metrics", response_class=Response)
@limiter.exempt
async def metrics() -> Response:
    return Response(generate_latest(_registry()), media_type=CONTENT_TYPE_LATEST)


@start.get("/", include_in_schema=False)
async def start_page(request: Request) -> RedirectResponse:
    return RedirectResponse(link(request, "/docs"))


def _registry() -> CollectorRegistry:
    """Of all workers, where there are several; the process that started them set up a folder for it."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus-client has no types here
    return registry
