"""An app with no routes yet, whose cache and clock are its own, and a client of it."""

from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from typing_extensions import override

from infrastructure.memory.cache import MemoryCache


class Route(APIRoute):
    """Says who the actor is, as the application's own does, but believes a header."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            user = request.headers.get("x-user")
            request.state.actor = int(user) if user else None
            return await handle(request)

        return handler


class Time:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def router() -> APIRouter:
    return APIRouter(prefix="/v1", route_class=Route)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def app(router: APIRouter, time: Time) -> FastAPI:
    kept, app = MemoryCache(), FastAPI()
    app.state.container = SimpleNamespace(cache=lambda: kept, clock=lambda: time)
    app.include_router(router)
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test/v1") as client:
        yield client
