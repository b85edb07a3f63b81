"""The three features of the tutorials, each as short as it gets with this code base."""

import asyncio
import time
from pathlib import Path

import aiofiles
from fastapi import APIRouter, BackgroundTasks, Request

from interfaces.http.caching import cache
from interfaces.http.limiter import limiter, per_address
from interfaces.http.routing import Route

router = APIRouter(tags=["examples"], route_class=Route)

LOG = Path("var/log.txt")


@router.get("/cached-data")
@cache(expire=30)
async def get_cached_data() -> dict[str, str | float]:
    await asyncio.sleep(2)  # something slow
    return {"detail": "This is some cached data", "timestamp": time.time()}


@router.get("/rate-limited")
@limiter.limit("5/minute", key_func=per_address)
async def get_rate_limited(request: Request) -> dict[str, str]:
    return {"detail": "This endpoint is rate-limited."}


@router.post("/background-task", status_code=202)
async def trigger_background_task(background_tasks: BackgroundTasks) -> dict[str, str]:
    background_tasks.add_task(write_log, "Task started: Processing data in the background.\n")
    return {"message": "Background task has been initiated."}


async def write_log(line: str) -> None:
    """Work that may be lost; what must happen is a job."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    async with aiofiles.open(LOG, "a") as log:
        await log.write(line)
