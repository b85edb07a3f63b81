"""A small app around the limits, and a client that asks until it is refused."""

from collections.abc import Callable, Coroutine, Mapping
from itertools import count
from typing import Any

import httpx2
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from slowapi.errors import RateLimitExceeded
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from application.ports import Rate, Window
from infrastructure.memory.rates import MemoryRateStore
from interfaces.http.rate_headers import rate_headers
from interfaces.http.rates import Rates

BUDGETS = {"login": "3/minute;5/hour", "task-create": "3/hour", "default": "4/hour"}


class CountingStore(MemoryRateStore):
    """Remembers what it was asked, and has a clock that a test can turn."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[list[Rate]] = []
        super().__init__(clock=lambda: self.now)

    @override
    async def hit(self, rates: list[Rate]) -> list[Window]:
        self.asked.append(rates)
        return await super().hit(rates)


class Route(APIRoute):
    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, endpoint = super().get_route_handler(), self.endpoint

        async def handler(request: Request) -> Response:
            request.state.actor = int(user) if (user := request.headers.get("x-user")) else None
            await request.app.state.rates.check(request, endpoint)
            return await handle(request)

        return handler


class AddHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *rate_headers(scope["state"])]
            await send(message)

        scope.setdefault("state", {})
        await self.app(scope, receive, add)


async def refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, RateLimitExceeded)
    return Response(f"Rate limit exceeded: {error.detail}", status_code=429)


def make_app(router: APIRouter, store: MemoryRateStore, **options: Any) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.state.rates = Rates(store, BUDGETS, **options)
    app.add_middleware(AddHeaders)
    app.add_exception_handler(RateLimitExceeded, refuse)
    app.include_router(router)
    return app


def client_of(app: FastAPI, *, address: str = "192.0.2.1") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app, client=(address, 1234)), base_url="http://test")


async def passed(
    client: httpx2.AsyncClient, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> int:
    """How many of at most 20 requests pass before the first 429."""
    for number in count():
        response = await client.request(method, path, headers=headers)
        if response.status_code == 429 or number == 20:
            return number
    raise AssertionError
