"""What every test can use: the option --full, and a PostgreSQL and a Redis database and a place on S3 of one's own."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from tests.migrated import migrated_postgres, migrated_sqlite  # noqa: F401 # fixtures are found here
from tests.s3 import make_bucket, remove_all
from tests.services import Keeper, ServerDidNotStart, ask

NewDatabase = Callable[[], AbstractAsyncContextManager[str]]
KEEPER = pytest.StashKey[Keeper]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the unabridged fault suites")


def pytest_configure(config: pytest.Config) -> None:
    """Tests, and what they start, give way to the servers: on a busy machine these would be late, and seem dead."""
    if not hasattr(config, "workerinput"):  # xdist's workers inherit it
        keeper(config)
        os.nice(5)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each xdist worker where the keeper of the controlling process is."""
    node.workerinput["keeper"] = keeper(node.config).address


def pytest_unconfigure(config: pytest.Config) -> None:
    if running := config.stash.get(KEEPER, None):
        running.end()


def keeper(config: pytest.Config) -> Keeper:
    """The keeper of this run; it starts no server before a test wants one."""
    if KEEPER not in config.stash:
        config.stash[KEEPER] = Keeper()
    return config.stash[KEEPER]


def server_url(config: pytest.Config, name: str) -> str:
    """The URL in TEST_POSTGRES_URL, TEST_REDIS_URL or TEST_S3_URL, else that of the run's own server."""
    if given := os.environ.get(f"TEST_{name.upper()}_URL"):
        return given
    workerinput: dict[str, str] | None = getattr(config, "workerinput", None)
    try:
        return ask(workerinput["keeper"] if workerinput else keeper(config).address, name)
    except ServerDidNotStart as failure:
        pytest.fail(str(failure), pytrace=False)


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """The `postgresql+asyncpg://` URL of a database that only this test worker uses, empty at its first test."""
    server = server_url(pytestconfig, "postgres")
    name = new_name()
    in_a_thread(execute(server, f"CREATE DATABASE {name}"))
    yield database_url(server, name)
    in_a_thread(execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def new_postgres_database(pytestconfig: pytest.Config) -> NewDatabase:
    """`async with new_postgres_database() as url:` gives one more empty database, dropped at the end of the block."""

    @asynccontextmanager
    async def new_database() -> AsyncIterator[str]:
        server = server_url(pytestconfig, "postgres")
        name = new_name()
        await execute(server, f"CREATE DATABASE {name}")
        try:
            yield database_url(server, name)
        finally:
            await execute(server, f"DROP DATABASE {name} WITH (FORCE)")

    return new_database


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config) -> str:
    """The `redis://` URL of a database number that only this test worker uses, empty at its first test."""
    server = urlsplit(server_url(pytestconfig, "redis"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    url = server._replace(path=f"/{int(server.path.strip('/') or 0) + worker}").geturl()
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="session")
def s3_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """`http://key:secret@host/bucket/prefix`, the prefix being this test worker's own; see `tests/s3.py`."""
    url = f"{server_url(pytestconfig, 's3').rstrip('/')}/{new_name()}"
    make_bucket(url)
    yield url
    remove_all(url)


def new_name() -> str:
    """Unique over all workers and runs: servers may be shared."""
    return f"taskwell_test_{secrets.token_hex(8)}"


def database_url(server: str, name: str) -> str:
    return urlsplit(server)._replace(scheme="postgresql+asyncpg", path=f"/{name}").geturl()


async def execute(server: str, statement: str) -> None:
    connection = await asyncpg.connect(urlsplit(server)._replace(scheme="postgresql").geturl())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def in_a_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run it on an event loop of its own, out of the way of pytest-asyncio's."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
