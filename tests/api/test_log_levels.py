"""What happens all the time while all is well is not for operators to read; once it is not well, it is."""

from datetime import timedelta
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from application.ports import DatabaseAway
from application.reminders import RemindOfDueTasks
from infrastructure.jobs import Deliveries, Delivery, pack
from infrastructure.memory.unit_of_work import MemoryUnitOfWork
from tests.api.conftest import Api


class Regular:
    job_name: ClassVar[str] = RemindOfDueTasks.job_name

    async def __call__(self) -> None: ...


async def test_a_scheduled_job_is_told_of_only_when_it_had_failed() -> None:
    deliver = Deliveries({Regular.job_name: Regular(), "other": Regular()}, backoff=lambda _: timedelta())
    with capture_logs() as lines:
        for name, attempt in ((Regular.job_name, 1), (Regular.job_name, 2), ("other", 1)):
            assert await deliver(Delivery(1, name, pack((), {}), attempt)) is None
    done = [(line["job"], line["attempt"], line["log_level"]) for line in lines if line["event"] == "job done"]
    assert done == [(Regular.job_name, 1, "debug"), (Regular.job_name, 2, "info"), ("other", 1, "info")]


async def test_probes_are_told_of_only_when_they_fail(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: MemoryUnitOfWork) -> None:
        raise DatabaseAway

    with capture_logs() as lines:
        for path in ("/health/live", "/health/ready", "/metrics", "/tasks"):
            await api.client.get(path)
        monkeypatch.setattr(MemoryUnitOfWork, "ping", away)
        await api.client.get("/health/ready")
    assert [(line["path"], line["status"], line["log_level"]) for line in lines if line["event"] == "answered"] == [
        ("/health/live", 200, "debug"),
        ("/health/ready", 200, "debug"),
        ("/metrics", 200, "debug"),
        ("/tasks", 401, "info"),
        ("/health/ready", 503, "info"),
    ]
