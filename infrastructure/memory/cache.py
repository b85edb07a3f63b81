"""A cache in this process, bounded in entries and in bytes: what was used longest ago goes first."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from application.ports import Cached
from infrastructure.metrics import count_cache_request
from infrastructure.single_flight import SingleFlight

LARGEST_VALUE = 1024 * 1024  # a larger one is computed each time

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    value: bytes
    stamp: str
    expires_at: float  # on the monotonic clock

    @property
    def size(self) -> int:
        return len(self.value) + len(self.stamp)


class MemoryCache:
    def __init__(self, *, max_entries: int = 10_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._computing: SingleFlight[bytes] = SingleFlight()

    async def get_or_compute(
        self, key: str, compute: Callable[[], Awaitable[bytes]], *, ttl: timedelta, stamp: str = ""
    ) -> Cached:
        entry = self._entries.get(key)
        hit = entry is not None and entry.stamp == stamp and time.monotonic() < entry.expires_at
        count_cache_request(key, hit=hit)
        if entry is not None and hit:
            self._entries.move_to_end(key)
            return Cached(entry.value, hit=True)

        async def compute_and_keep() -> bytes:
            value = await compute()
            self._keep(key, Entry(value, stamp, time.monotonic() + ttl.total_seconds()))
            return value

        return Cached(await self._computing.join((key, stamp), compute_and_keep), hit=False)

    async def delete(self, key: str) -> None:
        self._forget(key)
        log.debug("cache_delete", key=key)

    async def ping(self) -> None:
        """It is always here."""

    def _keep(self, key: str, entry: Entry) -> None:
        self._forget(key)
        if len(entry.value) > LARGEST_VALUE:
            return
        self._entries[key] = entry
        self._bytes += len(key) + entry.size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))
        log.debug("cache_set", key=key, size=len(entry.value))

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(key) + entry.size
