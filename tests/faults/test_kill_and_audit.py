"""Kill -9 at random moments of a stream of writes, start again, and audit: all that was promised is there, no more."""

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url

from tests.e2e.service import Service
from tests.e2e.started import started
from tests.faults.ledger import Ledger, Writer, new_writer, until_acknowledged

KILLS = 3
WRITERS = 4
AT_ONCE = 8  # jobs that one process may have under way when it is killed
TAKEN_OVER_SECONDS = 30  # GUARANTEES 4
WRITES_BEFORE_A_KILL = 20
DRAFT = ".draft-"


@pytest.mark.parametrize("kind", ["embedded", "scale"])
async def test_what_was_acknowledged_survives_kills_and_nothing_else_does(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with started(kind, request, TASKWELL_LOG_FORMAT="json") as service:
        writers = [await new_writer(service, f"writer{number}") for number in range(WRITERS)]
        for _ in range(KILLS):
            await _write_until_killed(service, writers)
            await service.start()
        await _until_no_job_is_left(service)
        for writer in writers:
            found = await writer.found(service.url)
            assert writer.ledger.wrong(found) == []
            await _check_statistics(service, writer, len(found))
        ledgers = [writer.ledger for writer in writers]
        _check_disk(tmp_path / "files", ledgers)
        _check_mails(service.log(), ledgers)
        assert "unexpected error" not in service.log()
        assert await _open_transactions(service) == 0


async def _write_until_killed(service: Service, writers: Sequence[Writer]) -> None:
    """Kill it in the middle of writing, at no moment in particular."""
    enough = sum(writer.acknowledged for writer in writers) + WRITES_BEFORE_A_KILL * len(writers)
    writing = [asyncio.create_task(writer.write(service.url)) for writer in writers]
    await until_acknowledged(writers, enough)
    await asyncio.sleep(random.uniform(0, 0.3))
    assert not any(task.done() for task in writing), service.log()
    service.kill()
    await asyncio.gather(*writing)


async def _until_no_job_is_left(service: Service) -> None:
    async with asyncio.timeout(2 * TAKEN_OVER_SECONDS):
        while await _ask(service, "SELECT count(*) FROM jobs", "SELECT count(*) FROM pgqueuer"):  # noqa: ASYNC110  a database sets no event
            await asyncio.sleep(0.1)


async def _check_statistics(service: Service, writer: Writer, facts: int) -> None:
    """They come from counters that every write moves: they equal what a reader counts."""
    found = await writer.found(service.url)
    counted = Counter(kind for kind, *_ in found)
    stats = await writer.stats(service.url)
    told = {"task": stats["total"], "done": stats["completed"], "file": stats["files"]["count"]}
    assert told == {kind: counted[kind] for kind in told}
    assert len(found) == facts


def _check_disk(folder: Path, ledgers: Sequence[Ledger]) -> None:
    """Nothing is missing, and beside unfinished drafts nothing is left over but an upload that nobody answered for."""
    stored = Counter(sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.name[:7] != DRAFT)
    facts = [(fact[2], may_be) for ledger in ledgers for fact, may_be in ledger.facts.items() if fact[0] == "file"]
    due = {digest for digest, may_be in facts if may_be == {True}}
    in_doubt = {digest for digest, may_be in facts if len(may_be) > 1}
    # Also of a task that was deleted since: without a record, nothing but the reconciler to come knows of them.
    left_over = {digest for ledger in ledgers for digest in ledger.unanswered}
    assert due <= stored.keys() <= due | in_doubt | left_over
    assert max(stored.values(), default=0) <= 1


def _check_mails(log: str, ledgers: Sequence[Ledger]) -> None:
    """Each was sent, and none twice but by a job that a kill interrupted."""
    sent = Counter(line["subject"] for line in _lines(log) if line["event"] == "mail")
    assert {subject for ledger in ledgers for subject in ledger.mails} <= sent.keys()
    assert sum(sent.values()) - len(sent) <= KILLS * AT_ONCE


def _lines(log: str) -> list[dict[str, str]]:
    """A kill may cut a line short."""
    return [json.loads(line) for line in log.splitlines() if line.startswith("{") and line.endswith("}")]


async def _open_transactions(service: Service) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
    return await _ask(service, "SELECT 0", query)


async def _ask(service: Service, sqlite: str, postgresql: str) -> int:
    url = make_url(service.environment["TASKWELL_DATABASE_URL"])
    if url.get_backend_name() == "sqlite":
        return await asyncio.to_thread(_ask_sqlite, url.database or "", sqlite)
    connection = await asyncpg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    try:
        count: int = await connection.fetchval(postgresql)
    finally:
        await connection.close()
    return count


def _ask_sqlite(path: str, query: str) -> int:
    connection = sqlite3.connect(path)
    try:
        count: int = connection.execute(query).fetchone()[0]
    finally:
        connection.close()
    return count
