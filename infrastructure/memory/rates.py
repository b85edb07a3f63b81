"""Rate limits in the memory of one process."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass

from application.ports import Rate, Window

Key = tuple[str, int, int]


@dataclass(slots=True)
class Counter:
    ends_at: float
    used: int = 0


class MemoryRateStore:
    """`clock` is in seconds from any start and never goes back.

    There is no `await` inside a hit, so that one event loop can't interleave two. Each hit forgets more ended windows
    than it can start: memory holds the windows that run, and a remainder that shrinks with every hit.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counters: dict[Key, Counter] = {}
        self._ends: list[tuple[float, Key]] = []

    async def hit(self, rates: list[Rate]) -> list[Window]:
        now = self._clock()
        self._forget_ended(now, at_most=2 * len(rates))
        counters = {key: self._running(key, now) or Counter(now + key[2]) for key in map(_key, rates)}
        charged = {key: counter.used for key, counter in counters.items()}
        fits = []
        for rate in rates:
            charged[_key(rate)] += rate.cost
            fits.append(charged[_key(rate)] <= rate.amount)
        if all(fits):
            for key, counter in counters.items():
                counter.used = charged[key]
                self._keep(key, counter)
        return [
            Window(fit, max(0, rate.amount - counter.used), min(rate.seconds, counter.ends_at - now))  # floats round
            for rate, fit in zip(rates, fits, strict=True)
            for counter in [counters[_key(rate)]]
        ]

    def _running(self, key: Key, now: float) -> Counter | None:
        counter = self._counters.get(key)
        return counter if counter and now < counter.ends_at else None

    def _keep(self, key: Key, counter: Counter) -> None:
        if self._counters.get(key) is not counter:
            self._counters[key] = counter
            heapq.heappush(self._ends, (counter.ends_at, key))

    def _forget_ended(self, now: float, *, at_most: int) -> None:
        for _ in range(at_most):
            if not self._ends or now < self._ends[0][0]:
                return
            ended_at, key = heapq.heappop(self._ends)
            if self._counters[key].ends_at == ended_at:  # else the next window of this key runs already
                del self._counters[key]


def _key(rate: Rate) -> Key:
    return rate.bucket, rate.amount, rate.seconds
