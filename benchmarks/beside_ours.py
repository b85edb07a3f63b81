"""The application, and the route of `beside.py` once limited and once cached."""

from fastapi import APIRouter, FastAPI

from infrastructure.logs import configure
from interfaces.http import app
from interfaces.http.caching import cache
from interfaces.http.limiter import limiter
from interfaces.http.routing import Route

router = APIRouter(route_class=Route)


@router.get("/limited")
@limiter.limit("100000000/hour")
async def limited() -> dict[str, str | list[int]]:
    return {"name": "thing", "numbers": list(range(20))}


@router.get("/cached")
@limiter.exempt
@cache(expire=30)
async def cached() -> dict[str, str | list[int]]:
    return {"name": "thing", "numbers": list(range(20))}


def create_app() -> FastAPI:
    configure(level="warning", form="json")
    created = app.create_app()
    created.include_router(router)
    return created
