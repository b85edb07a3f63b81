"""An embedded service is one process: a second one on the same database is refused."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotAlone(Exception):
    """Another process serves this database."""


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold the lock file until the end, however the process ends. Raise `NotAlone` if another one holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotAlone(f"another Taskwell process serves this database ({lock.name} is held)") from None
        yield
