"""The last tick of each schedule, in a dict."""

from infrastructure.memory.database import MemoryState


class MemorySchedules:
    def __init__(self, state: MemoryState) -> None:
        self._ticks = state.schedules

    async def take(self, name: str, tick: int) -> bool:
        last = self._ticks.get(name)
        if last in {tick, tick + 1}:
            return False
        self._ticks[name] = tick
        return True
