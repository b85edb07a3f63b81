"""What the runner of an embedded service asks of its table, however much waits in it."""

import shutil
from pathlib import Path

from sqlalchemy import text

from application.files import RemoveFileContents
from application.notices import MailWelcome
from domain.user import UserId
from infrastructure.clock import utc_now
from infrastructure.jobs import SLOTS
from infrastructure.sql.engine import open_engines
from infrastructure.sql.jobs import FITTING, SqlJobQueue, SqlJobStore
from infrastructure.sql.unit_of_work import SqlUnitOfWork


async def test_a_look_reads_only_the_front_of_each_queue(tmp_path: Path, migrated_sqlite: Path) -> None:
    path = tmp_path / "taskwell.db"
    shutil.copy(migrated_sqlite, path)
    engines = open_engines(f"sqlite+aiosqlite:///{path}", pool_size=1)
    work, store = SqlUnitOfWork(engines, SqlJobQueue, on_jobs=lambda: None), SqlJobStore(engines)
    async with work.write() as tx:
        for _ in range(2 * SLOTS):
            await tx.jobs.enqueue(MailWelcome, UserId(1))
        await tx.jobs.enqueue(RemoveFileContents, [])
    first = [delivery.name for delivery in await store.claim(now=utc_now())]
    assert first == [MailWelcome.job_name] * SLOTS + [RemoveFileContents.job_name]
    assert await store.claim(now=utc_now()) == []
    async with engines.read.connect() as conn:
        plan = text(f"EXPLAIN QUERY PLAN {FITTING.text.replace(':claimed', '(1)')}")
        steps = [row.detail for row in await conn.execute(plan, {"now": "", "slots": SLOTS})]
    assert [step for step in steps if step.startswith("SCAN") and step != "SCAN kind"] == []
    assert len(steps) > 5
    await engines.aclose()
