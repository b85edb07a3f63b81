"""`python3 run.py crash`: kill the service twenty times while it is written to, and count what became of each promise.

It starts embedded in a folder of its own, with a mail server beside it. Eight writers create, complete and delete tasks
and files and keep a ledger of what was acknowledged. After the last start, an audit compares it with what is there.
"""

import asyncio
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx2

from tests.e2e.service import Service, clean_environment
from tests.e2e.started import PLENTY, TASKWELL, embedded, logged_in
from tests.faults.ledger import Fact, Writer
from tests.smtp_server import MailServer, mail_server

KILLS = 20
WRITERS = 8
SECONDS_BETWEEN_KILLS = (0.5, 2.0)
SECONDS_FOR_MAILS = 120
MIN_AGE_SECONDS = 1  # of stray bytes; production waits for 15 minutes


@dataclass(frozen=True)
class Tally:
    """`acknowledged` are things that must be there, or must be gone; `found` are those that are as they must be."""

    kills: int
    acknowledged: int
    found: int
    unexplained: int
    mails_due: int
    mails_sent: int
    mails_sent_twice: int
    mails_under_two_ids: int
    wrong_numbers: int
    stray_bytes: int

    @property
    def kept(self) -> bool:
        missing = self.acknowledged - self.found + self.mails_due - self.mails_sent
        return not (missing or self.unexplained or self.mails_under_two_ids or self.wrong_numbers or self.stray_bytes)

    def __str__(self) -> str:
        told = [
            f"{self.kills} kills",
            f"{self.acknowledged:,} acknowledged",
            f"{self.found:,} found",
            f"{self.mails_due:,} mails due",
            f"{self.mails_sent:,} sent",
            f"{self.mails_sent_twice:,} sent twice",
            f"{self.stray_bytes:,} stray bytes",
        ]
        worse = {
            "there but never written": self.unexplained,
            "mails under two ids": self.mails_under_two_ids,
            "users with wrong numbers": self.wrong_numbers,
        }
        return ", ".join(told + [f"{count:,} {what}" for what, count in worse.items() if count])


async def crash(folder: Path, *, kills: int = KILLS, between: tuple[float, float] = SECONDS_BETWEEN_KILLS) -> Tally:
    async with mail_server() as mails:
        environment = embedded(folder) | PLENTY
        environment |= {"TASKWELL_SMTP_URL": mails.url, "TASKWELL_MAIL_FROM": "tasks@example.org"}
        environment |= {"TASKWELL_RECONCILE_MIN_AGE_SECONDS": str(MIN_AGE_SECONDS)}
        async with Service(cwd=folder, env=environment) as service:
            writers = [await _new_writer(service, f"writer{number}") for number in range(WRITERS)]
            for number in range(kills):
                _progress(f"kill {number + 1} of {kills}, {sum(writer.acknowledged for writer in writers):,} writes")
                await _kill_while_writing(service, writers, after=random.uniform(*between))
                await service.start()
            _progress("audit")
            await _until_no_job_waits(folder / "taskwell.db")
            await asyncio.sleep(MIN_AGE_SECONDS)
            await asyncio.to_thread(_reconcile, folder, service.environment)
            return await _audit(service, folder / "files", writers, mails, kills)


async def _new_writer(service: Service, name: str) -> Writer:
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as client:
        await logged_in(client, name)
        return Writer({"authorization": client.headers["authorization"]})


async def _kill_while_writing(service: Service, writers: Sequence[Writer], *, after: float) -> None:
    writing = [asyncio.create_task(writer.write(service.url)) for writer in writers]
    await asyncio.wait(writing, timeout=after, return_when=asyncio.FIRST_COMPLETED)
    if ended := [task for task in writing if task.done()]:
        for task in ended:
            task.result()
        raise SystemExit(f"the service went away before it was killed:\n{service.log()}")
    service.kill()
    await asyncio.gather(*writing)


async def _until_no_job_waits(database: Path) -> None:
    """Those that failed for good don't come any more: their mails will be missing in the audit."""
    deadline = time.monotonic() + SECONDS_FOR_MAILS
    while await asyncio.to_thread(_waiting_jobs, database) and time.monotonic() < deadline:  # noqa: ASYNC110  a database sets no event
        await asyncio.sleep(0.1)


def _waiting_jobs(database: Path) -> int:
    connection = sqlite3.connect(database)
    try:
        count: int = connection.execute("SELECT count(*) FROM jobs WHERE failed_at IS NULL").fetchone()[0]
    finally:
        connection.close()
    return count


def _reconcile(folder: Path, environment: dict[str, str]) -> None:
    command = [*TASKWELL, "files", "reconcile", "--fix"]
    done = subprocess.run(
        command, cwd=folder, env=clean_environment() | environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"reconciling failed:\n{done.stdout}{done.stderr}")


async def _audit(service: Service, files: Path, writers: Sequence[Writer], mails: MailServer, kills: int) -> Tally:
    acknowledged = wrong = unexplained = wrong_numbers = 0
    stored: set[str] = set()
    for writer in writers:
        found = await writer.found(service.url)
        facts = writer.ledger.facts
        acknowledged += sum(len(may_be) == 1 for may_be in facts.values())
        wrong += sum(may_be == {fact not in found} for fact, may_be in facts.items())
        unexplained += len(found - facts.keys())
        wrong_numbers += await _numbers(service, writer) != _counted(found)
        stored |= {fact[2] for fact in found if fact[0] == "file"}
    due = {subject for writer in writers for subject in writer.ledger.mails}
    sent = Counter((str(mail["Message-ID"]), str(mail["Subject"])) for mail in (one.message for one in mails.received))
    subjects = Counter(subject for _, subject in sent)
    return Tally(
        kills=kills,
        acknowledged=acknowledged,
        found=acknowledged - wrong,
        unexplained=unexplained,
        mails_due=len(due),
        mails_sent=len(due & subjects.keys()),
        mails_sent_twice=sum(count > 1 for count in sent.values()),
        mails_under_two_ids=sum(subjects[subject] > 1 for subject in due),
        wrong_numbers=wrong_numbers,
        stray_bytes=await asyncio.to_thread(_stray_bytes, files, stored),
    )


async def _numbers(service: Service, writer: Writer) -> dict[str, int]:
    stats = await writer.stats(service.url)
    return {"task": stats["total"], "done": stats["completed"], "file": stats["files"]["count"]}


def _counted(found: set[Fact]) -> dict[str, int]:
    return {kind: sum(fact[0] == kind for fact in found) for kind in ("task", "done", "file")}


def _stray_bytes(files: Path, stored: set[str]) -> int:
    """The size of everything in the folder that no reader was given; a second copy is one too many."""
    strays, left = 0, set(stored)
    for path in files.iterdir():
        digest = sha256(path.read_bytes()).hexdigest()
        strays += 0 if digest in left else path.stat().st_size
        left.discard(digest)
    return strays


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="taskwell-crash-") as folder:
        tally = asyncio.run(crash(Path(folder)))
    _progress("")
    sys.stdout.write(f"{tally}\n")
    sys.exit(0 if tally.kept else 1)


if __name__ == "__main__":
    main()
