"""What is on the disk, and in which order, before an upload is acknowledged."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from tests.e2e.started import logged_in, started
from tests.faults.killing import can_trace, strace
from tests.faults.mortal import content_of

WRITING = "openat,write,writev,pwrite64,fsync,fdatasync,?rename,renameat,renameat2,sendto,sendmsg"
NAME = uuid4().hex
FILES = "/files"


@dataclass(frozen=True)
class Call:
    """`begun` and `ended` are lines of the trace."""

    text: str
    begun: int
    ended: int


def calls(trace: str) -> list[Call]:
    """In the order that they ended in. One that others came between is told in two lines."""
    made, begun = [], {}
    for number, line in enumerate(trace.splitlines()):
        thread, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[thread] = number, text
        elif text.startswith("<... "):
            start, first = begun.pop(thread, (number, ""))
            made.append(Call(first, start, number))
        else:
            made.append(Call(text, number, number))
    return made


STEPS = {
    "write": rf"write\(\d+<[^>]*{FILES}/\.draft-",
    "fsync": rf"fsync\(\d+<[^>]*{FILES}/\.draft-",
    "rename": rf"rename(at2?)?\(.*{FILES}/\.draft-.*{FILES}/task_",
    "fsync of the folder": rf"fsync\(\d+<[^>]*{FILES}>",
    "commit": r"fdatasync\(\d+<[^>]*-wal>|(write|send(to|msg))\(.*COMMIT",
    "answer": r".*HTTP/1\.1 201 ",
}


def steps(made: Sequence[Call]) -> list[Call]:
    """What a power cut could come between; a step of several calls has begun with the first and ended with the last."""
    named = [Call(name, call.begun, call.ended) for call in made for name in STEPS if re.match(STEPS[name], call.text)]
    groups = [list(group) for _, group in groupby(named, lambda step: step.text)]
    return [Call(group[0].text, group[0].begun, group[-1].ended) for group in groups]


@pytest.mark.skipif(not can_trace(), reason="strace can't run; contract/test_filesystem.py has the disk's part")
@pytest.mark.parametrize("kind", ["embedded", "scale"])
async def test_an_upload_is_durable_step_by_step_before_it_is_acknowledged(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with started(kind, request) as service, httpx2.AsyncClient(base_url=service.url, trust_env=False) as client:
        await logged_in(client)
        task = (await client.post("/tasks", json={"title": "Write"})).raise_for_status().json()
        for _ in range(2):  # the first time, folders are made
            tracer = strace("-f", "-y", "-s200", f"-p{service.pid}", f"-etrace={WRITING}", f"-o{tmp_path / 'trace'}")
            answer = await client.post(f"/tasks/{task['id']}/files", files={"file": ("a.txt", content_of(NAME))})
            tracer.terminate()
            tracer.communicate()
            assert answer.status_code == 201
    seen = steps(calls((tmp_path / "trace").read_text()))
    names = [step.text for step in seen]
    assert names[names.index("write") :][: len(STEPS)] == list(STEPS), names
    assert all(before.ended < after.begun for before, after in pairwise(seen))
