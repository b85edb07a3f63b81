"""Kill -9 at random moments of a stream of writes, start again, and audit: all that was promised is there, no more."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from application.reconcile import Wrong
from infrastructure.sql.engine import Engines, open_engines
from tests.e2e.service import Service
from tests.e2e.started import mended, started
from tests.faults.audit import audit, jobs_in
from tests.faults.ledger import Fact, Ledger, Writer, new_writer, until_acknowledged

KILLS = 3
WRITERS = 4
AT_ONCE = 8  # jobs that one process may have under way when it is killed
TAKEN_OVER_SECONDS = 30  # GUARANTEES 4
WRITES_BEFORE_A_KILL = 20
MIN_AGE_SECONDS = 1  # of what `mended` mends


@pytest.mark.parametrize("kind", ["embedded", "scale"])
async def test_what_was_acknowledged_survives_kills_and_nothing_else_does(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with started(kind, request, TASKWELL_LOG_FORMAT="json") as service, _engines(service) as engines:
        writers = [await new_writer(service, f"writer{number}") for number in range(WRITERS)]
        for _ in range(KILLS):
            await _write_until_killed(service, writers)
            await service.start()
        async with asyncio.timeout(2 * TAKEN_OVER_SECONDS):
            while await jobs_in(engines):  # noqa: ASYNC110  a database sets no event
                await asyncio.sleep(0.1)
        found = await audit(engines, tmp_path / "files")
        assert replace(found, stray=[], reserved=[]).wrong() == {}  # the rest is for the reconciler
        await asyncio.sleep(MIN_AGE_SECONDS)
        expected = {Wrong.STRAY: len(found.stray), Wrong.ABANDONED: len(found.reserved)}
        assert mended(service) == {kind: number for kind, number in expected.items() if number}
        assert (await audit(engines, tmp_path / "files")).wrong() == {}
        for writer in writers:
            facts = await writer.found(service.url)
            assert writer.ledger.wrong(facts) == []
            await _check_statistics(service, writer, facts)
        _check_mails(service.log(), [writer.ledger for writer in writers])
        assert "unexpected error" not in service.log()
        assert await _open_transactions(engines) == 0


async def _write_until_killed(service: Service, writers: Sequence[Writer]) -> None:
    """Kill it in the middle of writing, at no moment in particular."""
    enough = sum(writer.acknowledged for writer in writers) + WRITES_BEFORE_A_KILL * len(writers)
    writing = [asyncio.create_task(writer.write(service.url)) for writer in writers]
    await until_acknowledged(writers, enough)
    await asyncio.sleep(random.uniform(0, 0.3))
    assert not any(task.done() for task in writing), service.log()
    service.kill()
    await asyncio.gather(*writing)


async def _check_statistics(service: Service, writer: Writer, facts: set[Fact]) -> None:
    """They come from counters that every write moves: they equal what a reader counts."""
    counted = Counter(kind for kind, *_ in facts)
    stats = await writer.stats(service.url)
    told = {"task": stats["total"], "done": stats["completed"], "file": stats["files"]["count"]}
    assert told == {kind: counted[kind] for kind in told}


def _check_mails(log: str, ledgers: Sequence[Ledger]) -> None:
    """Each was sent, and none twice but by a job that a kill interrupted."""
    sent = Counter(line["subject"] for line in _lines(log) if line["event"] == "mail")
    assert {subject for ledger in ledgers for subject in ledger.mails} <= sent.keys()
    assert sum(sent.values()) - len(sent) <= KILLS * AT_ONCE


def _lines(log: str) -> list[dict[str, str]]:
    """A kill may cut a line short."""
    return [json.loads(line) for line in log.splitlines() if line.startswith("{") and line.endswith("}")]


async def _open_transactions(engines: Engines) -> int:
    if engines.read.dialect.name == "sqlite":
        return 0
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
    async with engines.read.connect() as conn:
        return int((await conn.execute(text(query))).scalar_one())


@asynccontextmanager
async def _engines(service: Service) -> AsyncIterator[Engines]:
    engines = open_engines(service.environment["TASKWELL_DATABASE_URL"], pool_size=1)
    yield engines
    await engines.aclose()
