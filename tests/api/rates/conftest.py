"""An app with no routes yet, its store and its client."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import APIRouter, FastAPI

from tests.api.rates.limited_app import CountingStore, Route, client_of, make_app


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def router() -> APIRouter:
    return APIRouter(route_class=Route)


@pytest.fixture
def app(router: APIRouter, store: CountingStore) -> FastAPI:
    """Routes that a test adds to the router later are served as well."""
    return make_app(router, store)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(app) as client:
        yield client
