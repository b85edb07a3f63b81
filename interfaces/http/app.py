"""The ASGI applications around a container: that of the service, and that of a worker, for operators only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from infrastructure import logs
from infrastructure.container import Container, use_cases
from infrastructure.lifecycle import running
from infrastructure.settings import Settings
from interfaces.http import accounts, document, examples, files, operations, problems, stats, tasks
from interfaces.http.cursors import Cursors
from interfaces.http.edge import Edge
from interfaces.http.identity import check_identities
from interfaces.http.rates import Rates
from interfaces.http.unread_bodies import UnreadBodies

ROUTERS: tuple[APIRouter, ...] = (accounts.router, stats.router, tasks.router, files.router, operations.router)


def create_app(container: Container | None = None) -> FastAPI:
    if container is None:  # a server has started us: in a process of its own, which has no other beginning
        settings = Settings()
        logs.configure(level=settings.log_level, form=settings.log_format)
        container = Container(settings=settings)
    settings = container.settings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with running(container):
            yield

    app = FastAPI(
        title="Taskwell",
        summary="Tasks with file attachments.",
        version="0.1.0",
        lifespan=lifespan,
        redirect_slashes=False,
        root_path=settings.root_path,
        docs_url="/docs" if settings.docs_enabled else None,
        openapi_url="/openapi.json" if settings.docs_enabled else None,
        redoc_url=None,
    )
    _prepare(app, container, stopping=asyncio.Event())  # never set: a server that stops takes no more requests
    document.install(app)
    for router in ROUTERS:
        app.include_router(router)
    if settings.docs_enabled:
        app.include_router(operations.start)
    if settings.has_examples:
        app.include_router(examples.router)
    check_identities(app)
    return app


def create_worker_app(container: Container, *, stopping: asyncio.Event) -> FastAPI:
    """Health and metrics of a process that runs jobs; it is not ready any more once it is `stopping`."""
    app = FastAPI(title="Taskwell worker", redirect_slashes=False, docs_url=None, openapi_url=None, redoc_url=None)
    _prepare(app, container, stopping=stopping)
    app.include_router(operations.router)
    return app


def _prepare(app: FastAPI, container: Container, *, stopping: asyncio.Event) -> None:
    """Give it what every route relies on."""
    settings = container.settings()
    app.state.container = container
    app.state.use_cases = use_cases(container)
    app.state.authenticator = container.authenticator()
    app.state.cursors = Cursors(settings.secret)
    app.state.rates = Rates(
        container.rate_store(),
        settings.limits,
        enabled=settings.rate_limits_enabled,
        trusted_proxies=settings.trusted_proxies,
    )
    app.state.stopping = stopping
    problems.install(app)
    app.add_middleware(Edge)
    app.add_middleware(UnreadBodies)  # outermost: it sees to the connection of every answer
