"""The program, started on a database with tasks that are due soon: it says so, once for each, at its first tick."""

import asyncio
import re
import shutil
from datetime import timedelta
from pathlib import Path

from infrastructure.clock import utc_now
from infrastructure.sql.engine import open_engines
from infrastructure.sql.jobs import SqlJobQueue
from infrastructure.sql.unit_of_work import SqlUnitOfWork
from tests.e2e.service import Service
from tests.e2e.started import embedded
from tests.examples import MINUTE, stored_task, stored_user

SOON = 30  # a tick takes a second, and the next one is up to a minute away


async def test_a_reminder_is_in_the_log_when_the_service_has_started(tmp_path: Path, migrated_sqlite: Path) -> None:
    env = embedded(tmp_path)
    shutil.copy(migrated_sqlite, tmp_path / "taskwell.db")
    await store_tasks(env["TASKWELL_DATABASE_URL"], {"in an hour": 59 * MINUTE, "tomorrow": timedelta(hours=23)})
    async with Service(cwd=tmp_path, env=env) as service:
        async with asyncio.timeout(SOON):
            while len(reminders(service)) < 2:  # noqa: ASYNC110  another process sets no event
                await asyncio.sleep(0.05)
        await service.stop()
    assert sorted(reminders(service)) == ["Due within 1 hour: in an hour", "Due within 24 hours: tomorrow"]


async def store_tasks(url: str, due: dict[str, timedelta]) -> None:
    engines, now = open_engines(url, pool_size=1), utc_now()
    work = SqlUnitOfWork(engines, SqlJobQueue, on_jobs=lambda: None)
    owner = await stored_user(work)
    for title, left in due.items():
        await stored_task(work, owner, {"title": title, "due_at": now + left}, at=now)
    await engines.aclose()


def reminders(service: Service) -> list[str]:
    return re.findall(r"subject='(Due [^']*)'", service.log())
