"""Hearing of the stop signal at once: a server tells its application only after its last request is done."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_stop_signal(stop: asyncio.Event) -> Iterator[None]:
    """Set the event when the process is told to stop; whoever handled the signal before still does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no signals there: a test runs the application beside others
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def heard(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    handled = [number for number, handler in before.items() if callable(handler)]
    for number in handled:
        signal.signal(number, heard)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
