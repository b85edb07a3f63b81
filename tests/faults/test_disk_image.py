"""A disk as a power cut would leave it: what was acknowledged is on it, with its sha256."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from infrastructure.sql.engine import open_engines
from tests.e2e.service import Service
from tests.e2e.started import PLENTY, embedded
from tests.faults.audit import audit, facts_in
from tests.faults.ledger import Fact, Ledger, Writer, new_writer, until_acknowledged

IMAGE_BYTES = 256 * 2**20
CUTS, WRITERS, WRITES_BEFORE_A_CUT = 3, 4, 15


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    # Nothing is written for its age alone: what is not synced is not there.
    run("mount", "-o", "loop,commit=300", image, folder)
    try:
        yield folder
    finally:
        run("umount", "--lazy", folder)  # also while a failed test holds it open


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    try:
        run("mkfs.ext4", "-q", path)
        with mounted(path, tmp_path / "trial"):
            pass
    except (OSError, subprocess.SubprocessError):
        pytest.skip("this machine lets us mount no image of a disk")
    return path


async def test_what_was_acknowledged_before_a_power_cut_is_on_the_disk(image: Path, tmp_path: Path) -> None:
    copies: list[tuple[Path, dict[Fact, set[bool]]]] = []
    with mounted(image, tmp_path / "disk-in-use") as disk:
        async with Service(cwd=tmp_path, env=embedded(disk) | PLENTY) as service:
            writers = [await new_writer(service, f"writer{number}") for number in range(WRITERS)]
            writing = [asyncio.create_task(writer.write(service.url)) for writer in writers]
            for number in range(CUTS):
                await until_acknowledged(writers, WRITES_BEFORE_A_CUT * WRITERS * (number + 1))
                with standing_still(service.pid):
                    copies.append((tmp_path / f"copy{number}", known(writers)))
                    shutil.copy(image, copies[-1][0])
            assert not any(task.done() for task in writing), service.log()
            for task in writing:
                task.cancel()
            await asyncio.wait(writing)
    for copy, facts in copies:
        with mounted(copy, copy.with_suffix(".mounted")) as disk:
            engines = open_engines(embedded(disk)["TASKWELL_DATABASE_URL"], pool_size=1)
            found, wrong = await facts_in(engines), await audit(engines, disk / "files")
            await engines.aclose()
        assert Ledger(facts).wrong(found) == []
        assert (wrong.missing, wrong.miscounted) == ([], [])
        assert len([fact for fact in found if fact[0] == "file"]) > WRITERS


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """No thread of it is in a system call or begins one."""
    os.kill(pid, signal.SIGSTOP)
    try:
        while any("\nState:\tT" not in status.read_text() for status in Path(f"/proc/{pid}/task").glob("*/status")):
            time.sleep(0.001)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def known(writers: Sequence[Writer]) -> dict[Fact, set[bool]]:
    return {fact: set(values) for writer in writers for fact, values in writer.ledger.facts.items()}
