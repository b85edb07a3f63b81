"""Every adapter of the unit of work, under one fixture name; databases are migrated as in production."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from application.ports import UnitOfWork
from infrastructure.enqueued import Add
from infrastructure.memory.database import MemoryDatabase
from infrastructure.memory.unit_of_work import MemoryUnitOfWork
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.sql.engine import Engines, open_engines
from infrastructure.sql.jobs import SqlJobQueue
from infrastructure.sql.migrate import upgrade
from infrastructure.sql.unit_of_work import SqlUnitOfWork
from tests.conftest import NewDatabase
from tests.contract import job_services

Make = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[UnitOfWork]]


@asynccontextmanager
async def memory(_: pytest.FixtureRequest) -> AsyncIterator[UnitOfWork]:
    yield MemoryUnitOfWork(MemoryDatabase(), on_jobs=lambda: None)


@asynccontextmanager
async def sqlite(request: pytest.FixtureRequest) -> AsyncIterator[UnitOfWork]:
    path = request.getfixturevalue("tmp_path") / "taskwell.db"
    shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
    async with _sql(f"sqlite+aiosqlite:///{path}", SqlJobQueue) as work:
        yield work


@asynccontextmanager
async def postgres(request: pytest.FixtureRequest) -> AsyncIterator[UnitOfWork]:
    async with _sql(request.getfixturevalue("migrated_postgres"), PgqueuerJobQueue) as work:
        yield work


@asynccontextmanager
async def _sql(url: str, jobs: Callable[[AsyncConnection], Add]) -> AsyncIterator[UnitOfWork]:
    engines = open_engines(url, pool_size=10)
    yield SqlUnitOfWork(engines, jobs, on_jobs=lambda: None)
    await engines.aclose()


@pytest.fixture(params=[memory, sqlite, postgres], ids=lambda make: make.__name__)
async def work(request: pytest.FixtureRequest) -> AsyncIterator[UnitOfWork]:
    async with request.param(request) as work:
        yield work


@pytest.fixture(params=["sqlite", "postgresql"])
async def engines(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engines]:
    @asynccontextmanager
    async def file() -> AsyncIterator[str]:
        yield f"sqlite+aiosqlite:///{tmp_path / 'taskwell.db'}"

    empty: NewDatabase = file if request.param == "sqlite" else request.getfixturevalue("new_postgres_database")
    async with empty() as url:
        engines = open_engines(url, pool_size=3)
        await upgrade(engines.write)
        yield engines
        await engines.aclose()


@pytest.fixture
async def work_alone(engines: Engines) -> UnitOfWork:
    """On a database that no other test has written to."""
    jobs = SqlJobQueue if engines.write.dialect.name == "sqlite" else PgqueuerJobQueue
    return SqlUnitOfWork(engines, jobs, on_jobs=lambda: None)


@pytest.fixture(
    params=[job_services.memory, job_services.sqlite, job_services.postgres], ids=lambda make: make.__name__
)
async def service(request: pytest.FixtureRequest) -> AsyncIterator[job_services.Service]:
    async with request.param(request) as service:
        yield service
