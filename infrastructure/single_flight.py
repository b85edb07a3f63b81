"""One computation for all who want the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Who comes while a computation of that name runs gets its outcome; the next one starts another.

    It belongs to nobody: whoever is cancelled, also the one who started it, only stops waiting. What it raises is
    raised to all who wait.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Task[T]] = {}

    async def join(self, name: Hashable, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        flight = self._flights.get(name)
        if flight is None:
            flight = self._flights[name] = asyncio.create_task(start())
            flight.add_done_callback(lambda flight: self._land(name, flight))
        return await asyncio.shield(flight)

    def _land(self, name: Hashable, flight: asyncio.Task[T]) -> None:
        del self._flights[name]
        if not flight.cancelled():
            flight.exception()  # looked at, also if all who waited are gone
