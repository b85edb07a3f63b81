"""Rate limits in Redis, exact over all processes that share it."""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from application.ports import Rate, RateStore, Window
from infrastructure.redis.link import RedisAway, RedisLink

REQUESTS_AT_ONCE = 100  # a millisecond of the server's time

# The server runs a script as a whole and its clock stands still meanwhile: nothing comes in between.
# KEYS: a counter for each rate. ARGV: amount, milliseconds and cost of each; then how many rates each request has.
# Answers {fits, remaining, milliseconds left} for each rate.
SCRIPT = """
local answer = {}

local function hit(first, last)
    local charged, all_fit = {}, true
    for i = first, last do
        local key, amount, cost = KEYS[i], tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i])
        charged[key] = (charged[key] or tonumber(redis.call('GET', key) or 0)) + cost
        answer[i] = {charged[key] <= amount and 1 or 0}
        all_fit = all_fit and charged[key] <= amount
    end
    for i = first, last do
        local key, length = KEYS[i], tonumber(ARGV[3 * i - 1])
        if all_fit then
            redis.call('INCRBY', key, ARGV[3 * i])
        end
        local left = redis.call('PTTL', key)
        if left == -1 then  -- just begun, or set by hand: no window is without an end
            redis.call('PEXPIRE', key, length)
        end
        answer[i][3] = left < 0 and length or left
    end
    for i = first, last do
        answer[i][2] = math.max(0, tonumber(ARGV[3 * i - 2]) - tonumber(redis.call('GET', KEYS[i]) or 0))
    end
end

local first = 1
for n = 3 * #KEYS + 1, #ARGV do
    hit(first, first + ARGV[n] - 1)
    first = first + ARGV[n]
end
return answer
"""
SCRIPT_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class RedisRateStore:
    """Windows end by the clock of the server; no clock of a client takes part.

    Requests that come while a call is under way share the next one: a thousand at once are ten round trips, and no
    queue that could be taken for a Redis that is away.

    While Redis is away, each of `processes` counts for itself in `fallback` and lets through its share of each rate,
    rounded up. Those counters outlive the outage, so that a Redis that comes and goes doesn't grant a share each time.
    """

    def __init__(self, link: RedisLink, fallback: RateStore, *, processes: int) -> None:
        self._link = link
        self._fallback = fallback
        self._processes = processes
        self._waiting: list[tuple[list[Rate], asyncio.Future[list[Window]]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def hit(self, rates: list[Rate]) -> list[Window]:
        answer: asyncio.Future[list[Window]] = asyncio.get_running_loop().create_future()
        self._waiting.append((rates, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:REQUESTS_AT_ONCE], self._waiting[REQUESTS_AT_ONCE:]
            try:
                windows = await self._hit_all([rates for rates, _ in batch])
            except Exception as error:  # noqa: BLE001 - it is for those who wait, whatever it is
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), of_request in zip(batch, windows, strict=True):
                    if not answer.done():  # else its caller was cancelled
                        answer.set_result(of_request)

    async def _hit_all(self, requests: Sequence[list[Rate]]) -> list[list[Window]]:
        try:
            counted = iter(await self._link.call(lambda redis: _count(redis, requests)))
        except RedisAway:
            return [await self._fallback.hit([self._share(rate) for rate in rates]) for rates in requests]
        return [
            [Window(fits == 1, remaining, left / 1000) for fits, remaining, left in islice(counted, len(rates))]
            for rates in requests
        ]

    def _share(self, rate: Rate) -> Rate:
        return replace(rate, amount=math.ceil(rate.amount / self._processes))


async def _count(redis: Redis, requests: Sequence[list[Rate]]) -> Any:
    rates = [rate for of_request in requests for rate in of_request]
    arguments = [f"LIMITER/{rate.bucket}/{rate.amount}/{rate.seconds}" for rate in rates]
    arguments += [str(number) for rate in rates for number in (rate.amount, 1000 * rate.seconds, rate.cost)]
    arguments += [str(len(of_request)) for of_request in requests]
    try:
        return await redis.evalsha(SCRIPT_SHA, len(rates), *arguments)
    except NoScriptError:  # the server is new or was restarted: from now on it keeps the script
        return await redis.eval(SCRIPT, len(rates), *arguments)
