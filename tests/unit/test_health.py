"""Whether the service can do its work, as far as its parts say."""

import asyncio
from typing import Literal

import pytest
from typing_extensions import override

from application import health
from application.health import CheckHealth, Health
from application.ports import CacheAway, DatabaseAway, StorageAway
from domain.errors import Unavailable
from infrastructure.memory.cache import MemoryCache
from infrastructure.memory.storage import MemoryStorage
from tests.unit.memory import Work

State = Literal["well", "away", "hangs", "broken"]


async def ping(state: State, away: Unavailable) -> None:
    match state:
        case "away":
            raise away
        case "hangs":
            await asyncio.Event().wait()
        case "broken":
            raise ZeroDivisionError


class Database(Work):
    state: State = "well"

    @override
    async def ping(self) -> None:
        await ping(self.state, DatabaseAway())


class Storage(MemoryStorage):
    state: State = "well"

    @override
    async def ping(self) -> None:
        await ping(self.state, StorageAway())


class Redis(MemoryCache):
    state: State = "well"

    @override
    async def ping(self) -> None:
        await ping(self.state, CacheAway())


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def redis() -> Redis:
    return Redis()


@pytest.fixture
def check(database: Database, storage: Storage, redis: Redis) -> CheckHealth:
    return CheckHealth(database, storage, redis)


async def test_all_is_well(check: CheckHealth, database: Database, storage: Storage) -> None:
    assert await check() == Health({"database": "ok", "storage": "ok", "redis": "ok"}, ())
    assert await CheckHealth(database, storage, None)() == Health({"database": "ok", "storage": "ok"}, ())


async def test_each_part_that_is_away_is_named(check: CheckHealth, database: Database, storage: Storage) -> None:
    database.state = "away"
    assert await check() == Health({"database": "away", "storage": "ok", "redis": "ok"}, ("database",))
    storage.state = "away"
    assert await check() == Health({"database": "away", "storage": "away", "redis": "ok"}, ("database", "storage"))


async def test_the_service_can_do_without_redis(check: CheckHealth, redis: Redis) -> None:
    redis.state = "away"
    assert await check() == Health({"database": "ok", "storage": "ok", "redis": "away"}, ())


async def test_parts_that_hang_are_away_and_are_waited_for_together(
    check: CheckHealth, database: Database, storage: Storage, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.05)
    database.state = storage.state = redis.state = "hangs"
    assert await check() == Health({"database": "away", "storage": "away", "redis": "away"}, ("database", "storage"))


def test_the_patience_leaves_time_to_answer_within_a_second() -> None:
    assert health.PATIENCE_SECONDS < 1


async def test_a_mistake_of_ours_is_no_outage(check: CheckHealth, database: Database) -> None:
    database.state = "broken"
    with pytest.raises(ZeroDivisionError):
        await check()
