"""Finds the points at which an operation can be killed, and kills there: by strace, or else from inside."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

from tests.e2e.service import ROOT, clean_environment
from tests.faults.mortal import Order

# Files, and what goes to and comes from a database. A question mark: not every processor has it.
CALLS = """
    ?open openat ?write pwrite64 ftruncate fsync fdatasync ?rename renameat renameat2 ?unlink unlinkat close
    pread64 fcntl sendto recvfrom sendmsg recvmsg
""".split()
WAKES_THE_LOOP = re.compile(r'(sendto\(\d+, "\\0", 1,|recvfrom\(\d+, "(\\0)+"|.* = -1 EAGAIN)')
Attach = Callable[[Sequence[int]], "subprocess.Popen[str] | None"]


@dataclass(frozen=True)
class Point:
    """The n-th time that a thread makes a call, the threads numbered as they were started."""

    thread: int
    call: str
    number: int


@dataclass(frozen=True)
class Life:
    killed: bool
    acknowledged: bool
    seen: Sequence[str]


class Mortals:
    """The process that `tests/faults/mortal.py` is; its log is in `folder`."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.log = folder / "mortals.log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.mortal"],
                cwd=ROOT,
                env=clean_environment() | env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def live(self, order: Order, attach: Attach = lambda _: None) -> Life:
        """A child's, to its end; `attach` is called with its threads before it begins with what it is told."""
        self._say(json.dumps(asdict(order)))
        tracer = attach(self._hear())
        self._say("go")
        heard: list[Any] = [self._hear()]
        while "ended" not in heard[-1]:
            heard.append(self._hear())
        if tracer:
            tracer.communicate()
        ended = heard[-1]["ended"]
        assert ended in {0, -9}, self.log.read_text()
        seen = heard[-2]["seen"] if ended == 0 else None
        return Life(ended != 0, "done" in heard, seen or [])

    def _say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, self.log.read_text()
        return json.loads(line)


class Way(Protocol):
    """How to kill. `name` is for whoever reads the results."""

    name: str

    def points(self, mortals: Mortals, order: Order) -> list[Point]:
        """Do it once, and return where it could have been killed."""
        ...

    def kill(self, mortals: Mortals, order: Order, point: Point) -> Life:
        """Not killed if it does not come to this point this time."""
        ...


class Strace:
    name = "before system calls (strace)"

    def __init__(self, folder: Path) -> None:
        self._trace = folder / "trace"

    def points(self, mortals: Mortals, order: Order) -> list[Point]:
        threads: list[int] = []

        def attach(found: Sequence[int]) -> "subprocess.Popen[str]":
            threads.extend(found)
            return strace("-f", f"-p{found[0]}", f"-etrace={','.join(CALLS)}", f"-o{self._trace}")

        assert not mortals.live(order, attach).killed
        made, points = Counter[tuple[int, str]](), []
        for line in self._trace.read_text().splitlines():
            if (entry := re.match(r"(\d+) +((\w+)\(.*)", line)) and int(entry[1]) in threads:
                thread, call = threads.index(int(entry[1])), entry[3]
                made[thread, call] += 1
                if not WAKES_THE_LOOP.match(entry[2]):
                    points.append(Point(thread, call, made[thread, call]))
        return points

    def kill(self, mortals: Mortals, order: Order, point: Point) -> Life:
        inject = f"-einject={point.call}:signal=SIGKILL:when={point.number}"
        return mortals.live(
            order, lambda threads: strace(f"-p{threads[point.thread]}", f"-etrace={point.call}", inject, "-o/dev/null")
        )


class Inside:
    name = "before Python's calls into the system and the database driver (strace can't run here)"

    def points(self, mortals: Mortals, order: Order) -> list[Point]:
        seen = mortals.live(replace(order, dies_at=0)).seen
        return [Point(0, call, number) for number, call in enumerate(seen, start=1)]

    def kill(self, mortals: Mortals, order: Order, point: Point) -> Life:
        return mortals.live(replace(order, dies_at=point.number))


def strace(*options: str) -> "subprocess.Popen[str]":
    """Started and attached."""
    tracer = subprocess.Popen(["strace", *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr
    said = tracer.stderr.readline()
    assert "attached" in said, said
    return tracer


def can_trace() -> bool:
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0
