"""While PostgreSQL is away, a statement waits for it, and the log says so once."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from infrastructure.pgqueuer import driver as patient
from infrastructure.pgqueuer.driver import PatientDriver


class Pool:
    """Cannot connect a number of times."""

    def __init__(self, *, refusals: int) -> None:
        self.refusals = refusals

    async def fetch(self, query: str) -> list[dict[str, object]]:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError
        return [{"query": query}]


async def test_an_outage_is_told_once_for_each_statement_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient, "PAUSE_SECONDS", 0)
    pool: Any = Pool(refusals=3)
    driver = PatientDriver(pool, {}, asyncio.Event())
    with capture_logs() as lines:
        assert await driver.fetch("SELECT 1") == [{"query": "SELECT 1"}]
        pool.refusals = 1
        assert await driver.fetch("SELECT 2") == [{"query": "SELECT 2"}]
    assert [(line["event"], line["error"]) for line in lines] == [
        ("jobs wait for the database", "ConnectionRefusedError")
    ] * 2
