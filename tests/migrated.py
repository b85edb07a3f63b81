"""Databases at the schema of this version: each is migrated once and then used by many tests."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infrastructure.sql.engine import open_engines
from infrastructure.sql.migrate import upgrade


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> str:
    _migrate(postgres_url)
    return postgres_url


def _migrate(url: str) -> None:
    async def migrate() -> None:
        engines = open_engines(url, pool_size=1)
        await upgrade(engines.write)
        await engines.aclose()

    with ThreadPoolExecutor(1) as thread:  # an event loop of its own, out of the way of pytest-asyncio's
        thread.submit(asyncio.run, migrate()).result()
