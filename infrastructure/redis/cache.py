"""The cache in Redis, shared by all processes. While Redis is away, each computes for itself."""

import asyncio
import json
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from zlib import crc32

import structlog
from redis.asyncio import Redis

from application.ports import CacheAway, Cached
from infrastructure.metrics import count_cache_request
from infrastructure.redis.link import RedisAway, RedisLink
from infrastructure.single_flight import SingleFlight

T = TypeVar("T")

LARGEST_VALUE = 1024 * 1024  # a larger one is computed each time
LEASE_SECONDS = 1.5  # how long the lock of a killed process holds up the others
RENEWAL_SECONDS = 0.5
PATIENCE_SECONDS = 10.0  # for a computation in another process
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.01, 0.1  # between two looks at it
JITTER = 0.1  # so that what was kept together doesn't expire together

# KEYS: value, lock. ARGV: token, lease in ms, head of a good envelope. Answers the envelope that came in the meantime,
# or 1: the lock is ours, or 0: wait. A lock that never expires is not from us.
TAKE_TURN = """
local envelope = redis.pcall('GET', KEYS[1])
if type(envelope) == 'string' and string.sub(envelope, 1, #ARGV[3]) == ARGV[3] then
    return envelope
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
    return 1
end
if redis.call('PTTL', KEYS[2]) == -1 then
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return 0
"""
# KEYS: lock. ARGV: token, lease in ms. Takes the lock again if it was lost, unless another process has it now.
RENEW = """
local owner = redis.call('GET', KEYS[1])
if not owner or owner == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
"""
# KEYS: value, lock. ARGV: token, and to keep something: envelope, lifetime in ms.
END_TURN = """
if ARGV[2] then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
if redis.call('GET', KEYS[2]) == ARGV[1] then
    redis.call('DEL', KEYS[2])
end
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What lies under a key names the key and the stamp it belongs to, and shows damage: all else is a miss."""

    key: str
    stamp: str

    @property
    def head(self) -> bytes:
        return json.dumps([self.key, self.stamp]).encode() + b"\n"

    def seal(self, value: bytes) -> bytes:
        return self.head + _checksum(value) + value

    def open(self, content: object) -> bytes | None:
        head = self.head
        if not isinstance(content, bytes) or not content.startswith(head):
            return None
        value = content[len(head) + len(_checksum(b"")) :]
        return value if content == head + _checksum(value) + value else None


def _checksum(value: bytes) -> bytes:
    return b"%08x\n" % crc32(value)


class RedisCache:
    """Keys are as given; beside a value that is being computed, `<key>:lock:<stamp>` holds the token of who does it."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._looking_up: SingleFlight[Cached] = SingleFlight()

    async def get_or_compute(
        self, key: str, compute: Callable[[], Awaitable[bytes]], *, ttl: timedelta, stamp: str = ""
    ) -> Cached:
        async def look_up() -> Cached:
            envelope = Envelope(key, stamp)
            value = envelope.open(await self._ask(lambda redis: redis.get(key)))
            if value is not None:
                return Cached(value, hit=True)
            return Cached(await _Turn(self._ask, envelope, ttl).take(compute), hit=False)

        cached = await self._looking_up.join((key, stamp), look_up)
        count_cache_request(key, hit=cached.hit)
        return cached

    async def delete(self, key: str) -> None:
        await self._ask(lambda redis: redis.delete(key))
        log.debug("cache_delete", key=key)

    async def ping(self) -> None:
        try:
            await self._link.call(lambda redis: redis.ping())
        except RedisAway as away:
            raise CacheAway from away

    async def _ask(self, command: Callable[[Redis], Awaitable[T]]) -> T | None:
        try:
            return await self._link.call(command)
        except RedisAway:
            return None


class _Turn:
    """One value that is missing: wait for the process that computes it, or be that process."""

    def __init__(self, ask: Callable[..., Awaitable[Any]], envelope: Envelope, ttl: timedelta) -> None:
        self._ask = ask
        self._envelope = envelope
        self._ttl = ttl
        self._lock = f"{envelope.key}:lock:{envelope.stamp}"
        self._token = secrets.token_hex(8)

    async def take(self, compute: Callable[[], Awaitable[bytes]]) -> bytes:
        value = await self._wait()
        if value is not None:
            return value
        try:
            value = await self._renewing(asyncio.ensure_future(compute()))
        except Exception:
            await self._end()
            raise
        await self._keep(value)
        return value

    async def _wait(self) -> bytes | None:
        """The value, if another process brings it in time; None if the turn is ours, or Redis is away."""
        now = asyncio.get_running_loop().time
        give_up_at, pause = now() + PATIENCE_SECONDS, FIRST_PAUSE_SECONDS
        keys = [self._envelope.key, self._lock]
        arguments = [self._token, _milliseconds(LEASE_SECONDS), self._envelope.head]
        while now() < give_up_at:
            answer = await self._run(TAKE_TURN, keys, arguments)
            if answer != 0:
                return self._envelope.open(answer)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return None

    async def _renewing(self, computing: asyncio.Future[bytes]) -> bytes:
        try:
            while not (await asyncio.wait({computing}, timeout=RENEWAL_SECONDS))[0]:
                await self._run(RENEW, [self._lock], [self._token, _milliseconds(LEASE_SECONDS)])
            return computing.result()
        finally:
            computing.cancel()

    async def _keep(self, value: bytes) -> None:
        jitter = 1 - JITTER * random.random()  # noqa: S311, no secret
        lifetime = _milliseconds(self._ttl.total_seconds() * jitter)
        if len(value) > LARGEST_VALUE or lifetime < 1:
            await self._end()
        else:
            await self._end(self._envelope.seal(value), lifetime)
            log.debug("cache_set", key=self._envelope.key, size=len(value))

    async def _end(self, *keep: bytes | int) -> None:
        await self._run(END_TURN, [self._envelope.key, self._lock], [self._token, *keep])

    async def _run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        return await self._ask(lambda redis: redis.register_script(script)(keys, arguments))


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
