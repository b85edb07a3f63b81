"""How a runner of jobs ends: what runs ends by itself, or goes back to the queue."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

from infrastructure.jobs import Deliveries

LAST_WORD_SECONDS = 1.0  # for the database to learn what became of jobs that were cancelled


async def work_until(
    stop: asyncio.Event, work: Callable[[asyncio.Event], Coroutine[object, object, None]], deliver: Deliveries
) -> None:
    """`work` ends once its event is set and what then runs has ended. It is not cancelled itself, in the middle of
    what it asks of the database: cancelling this cancels the jobs, which come back to it to be put back."""
    stopping = asyncio.Event()
    with forward(stop, stopping):
        working = asyncio.create_task(work(stopping))
        try:
            await asyncio.shield(working)
        finally:
            if not working.done():
                stopping.set()
                deliver.stop()
                await asyncio.wait({working}, timeout=LAST_WORD_SECONDS)
                working.cancel()
                await asyncio.wait({working})


@contextmanager
def forward(source: asyncio.Event, target: asyncio.Event) -> Iterator[None]:
    """Set `target` once `source` is set."""
    waiting = asyncio.create_task(source.wait())
    waiting.add_done_callback(lambda done: None if done.cancelled() else target.set())
    try:
        yield
    finally:
        waiting.cancel()
