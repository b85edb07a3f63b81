"""A computation for the tests of caches."""

import asyncio


class Computation:
    """Counts its calls and answers what it is told, or raises it; while `held`, it waits for `go`."""

    def __init__(self, outcome: bytes | Exception = b"value", *, held: bool = False) -> None:
        self.outcome = outcome
        self.calls = 0
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def __call__(self) -> bytes:
        self.calls += 1
        self.begun.set()
        await self.go.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome
