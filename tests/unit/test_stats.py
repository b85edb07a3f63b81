"""The statistics: counted once, and never older than the user's last write."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from typing_extensions import override

from application.ports import Cached
from application.stats import GetStats
from domain.task import Priority
from domain.user import NotAuthenticated, User, UserId
from infrastructure.memory.cache import MemoryCache
from tests.examples import NOON, stored_file, stored_task, stored_user
from tests.unit.memory import Work

UTC, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")


@pytest.fixture
def get_stats(work: Work) -> GetStats:
    return GetStats(work, MemoryCache(), lambda: NOON, timedelta(minutes=5))


async def test_what_comes_from_the_cache_is_what_was_counted(work: Work, owner: User, get_stats: GetStats) -> None:
    task = await stored_task(work, owner, {"due_at": NOON - timedelta(hours=1), "priority": Priority.URGENT})
    await stored_file(work, task, size=7)
    await stored_task(work, await stored_user(work))
    counted, again = await get_stats(owner.id, UTC), await get_stats(owner.id, UTC)
    assert (counted.cached, again.cached) == (False, True)
    assert again.stats == counted.stats
    assert list(again.stats.by_priority.items()) == [
        (Priority.LOW, 0),
        (Priority.MEDIUM, 0),
        (Priority.HIGH, 0),
        (Priority.URGENT, 1),
    ]
    stats = again.stats
    assert (stats.total, stats.overdue, stats.due_today, stats.file_count, stats.file_bytes) == (1, 1, 1, 1, 7)
    assert stats.generated_at == NOON


async def test_each_write_is_seen_at_once_and_those_of_others_change_nothing(
    work: Work, owner: User, get_stats: GetStats
) -> None:
    await get_stats(owner.id, UTC)
    await stored_task(work, await stored_user(work))
    assert (await get_stats(owner.id, UTC)).cached
    for total in (1, 2):
        await stored_task(work, owner)
        after = await get_stats(owner.id, UTC)
        assert (after.cached, after.stats.total) == (False, total)


async def test_each_zone_has_a_day_of_its_own(work: Work, owner: User, get_stats: GetStats) -> None:
    await stored_task(work, owner, {"due_at": NOON.replace(hour=23, minute=30)})  # tomorrow in Berlin
    counted = [await get_stats(owner.id, zone) for zone in (UTC, BERLIN, UTC, BERLIN)]
    assert [one.stats.due_today for one in counted] == [1, 0, 1, 0]
    assert [one.cached for one in counted] == [False, False, True, True]


class SlowCache(MemoryCache):
    """Something happens between the first count and its being kept."""

    def __init__(self, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._meanwhile = [meanwhile]

    @override
    async def get_or_compute(
        self, key: str, compute: Callable[[], Awaitable[bytes]], *, ttl: timedelta, stamp: str = ""
    ) -> Cached:
        async def slowly() -> bytes:
            value = await compute()
            while self._meanwhile:
                await self._meanwhile.pop()()
            return value

        return await super().get_or_compute(key, slowly, ttl=ttl, stamp=stamp)


async def test_what_a_write_overtook_is_never_shown_again(work: Work, owner: User) -> None:
    cache = SlowCache(lambda: stored_task(work, owner))
    get_stats = GetStats(work, cache, lambda: NOON, timedelta(minutes=5))
    counted = [await get_stats(owner.id, UTC) for _ in range(3)]
    assert [(one.stats.total, one.cached) for one in counted] == [(0, False), (1, False), (1, True)]


async def test_there_are_none_of_somebody_who_is_gone(get_stats: GetStats) -> None:
    with pytest.raises(NotAuthenticated):
        await get_stats(UserId(7), UTC)
