"""A service without its HTTP interface that does one thing and may die of it, forked from a process that imported all.

Run as a program, this module is that process: each line of JSON on its standard input is an `Order` for a child. The
child tells its threads, waits for a line, does what it was told, and tells that; then follows how it ended.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import structlog

import infrastructure.filesystem
from application.files import RemoveFileContents
from application.uploads import IncomingFile
from infrastructure.container import Container, use_cases
from infrastructure.lifecycle import closing, owning
from infrastructure.settings import Settings

LET_TRACE, ANYBODY = 0x59616D61, ctypes.c_ulong(-1)  # prctl(2): strace is not our parent, which Yama would ask for
PIECE = 64 * 1024
INTO_C = frozenset("open write fsync rename unlink close execute commit send recv recv_into".split())


@dataclass(frozen=True)
class Order:
    """`provider` names a use case of the container; the bytes that it leaves to a job are `gone` when that is done.

    An upload has the `word` that its content is made of. `dies_at` is for a `Countdown`, which 0 lets run.
    """

    provider: str
    arguments: list[Any]
    word: str = ""
    gone: tuple[str, ...] = ()
    dies_at: int | None = None


@dataclass(frozen=True)
class Sent:
    """An `Incoming` of more than one write."""

    word: str

    def least_size(self) -> int:
        return 0

    async def open(self) -> IncomingFile:
        return IncomingFile("notes.txt", "", None, None, self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        content = content_of(self.word)
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]


def content_of(word: str) -> bytes:
    return word.encode() * 20_000


class Countdown:
    """Where system calls can't be traced: notes the calls of Python into what opens, writes, syncs, renames and sends,
    in all threads, and kills before the n-th."""

    def __init__(self, dies_at: int) -> None:
        self._dies_at = dies_at
        self.seen: list[str] | None = None  # nothing is noted before it is a list
        threading.setprofile(self._see)
        sys.setprofile(self._see)

    def _see(self, _: FrameType, event: str, function: Any) -> None:
        if self.seen is not None and event == "c_call" and function.__name__ in INTO_C:
            self.seen.append(function.__name__)
            if len(self.seen) == self._dies_at:
                os.kill(os.getpid(), signal.SIGKILL)


async def live(order: Order, countdown: Countdown | None) -> None:
    """As a serving process does, but without migrating: open all, run the jobs beside, close all."""
    infrastructure.filesystem.THREADS = 1  # so that one thread makes all its calls, and the n-th is the n-th
    container, stop = Container(settings=Settings()), asyncio.Event()
    async with closing(container):
        with owning(container.settings()):
            # Without schedules: each life has to make the same calls.
            jobs = asyncio.create_task(container.job_runner().run(stop))
            await obey(order, container, countdown)
            stop.set()
            await jobs


async def obey(order: Order, container: Container, countdown: Countdown | None) -> None:
    await container.storage().ping()
    mark = f"{uuid4()}.none"
    async with container.work().write() as tx:  # what is opened once is open now
        await tx.stats.version(order.arguments[0])
        await tx.jobs.enqueue(RemoveFileContents, [mark])
    while any(mark in job.arguments for job in await container.job_records().page()):  # noqa: ASYNC110  a database sets no event
        await asyncio.sleep(0.002)
    tell(sorted(int(thread.name) for thread in Path("/proc/self/task").glob("*")))
    sys.stdin.readline()
    if countdown:
        countdown.seen = []
    await getattr(container, order.provider)()(*order.arguments, *([Sent(order.word)] if order.word else []))
    tell("done")
    while any(Path(path).exists() for path in order.gone):  # noqa: ASYNC110  a folder sets no event
        await asyncio.sleep(0.002)


def die_or_end(line: str) -> None:
    """In the child."""
    ctypes.CDLL(None).prctl(LET_TRACE, ANYBODY, 0, 0, 0)
    try:
        order = Order(**json.loads(line))
        countdown = None if order.dies_at is None else Countdown(order.dies_at)
        asyncio.run(live(order, countdown))
        sys.setprofile(None)
        tell({"seen": countdown and countdown.seen})
    except BaseException:  # noqa: BLE001  a child must never go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def tell(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    container = Container(settings=Settings())
    use_cases(container)  # imports what is chosen, so that no child has to, and opens nothing
    container.job_runner()
    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            die_or_end(line)
        _, status = os.waitpid(child, 0)
        tell({"ended": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
