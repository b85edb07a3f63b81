"""The audit of GUARANTEES: what is recorded, what is stored and what is counted, all read afresh, and compared."""

from collections import Counter
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from domain.task import Priority
from infrastructure.sql.engine import Engines
from infrastructure.sql.tables import files, tasks, uploads, usage
from tests.faults.ledger import Fact


@dataclass(frozen=True)
class Findings:
    """What is wrong, each under its name; nothing is wrong if all of these are empty."""

    missing: list[str]  # recorded, but the bytes are gone or are others
    stray: list[str]  # stored, but nobody knows of them
    miscounted: list[str]  # what is counted is not what is there
    reserved: list[str]  # room in a quota for an upload that is over
    jobs: list[str]  # to be done, or given up

    def wrong(self) -> dict[str, list[str]]:
        return {field.name: found for field in fields(self) if (found := getattr(self, field.name))}


async def audit(engines: Engines, folder: Path) -> Findings:
    """Nobody may be writing meanwhile."""
    async with engines.read.connect() as conn:
        recorded = (await conn.execute(select(files))).all()
        owned = (await conn.execute(select(tasks))).all()
        counted = (await conn.execute(select(usage))).all()
        reserved = (await conn.execute(select(uploads.c.stored_name))).scalars().all()
    stored = {path.name: path.read_bytes() for path in folder.iterdir()}
    return Findings(
        missing=[row.stored_name for row in recorded if not _is_whole(row, stored.get(row.stored_name))],
        stray=sorted(stored.keys() - {row.stored_name for row in recorded}),
        miscounted=_miscounted(recorded, owned, counted),
        reserved=list(reserved),
        jobs=await jobs_in(engines),
    )


async def jobs_in(engines: Engines) -> list[str]:
    query = "SELECT * FROM pgqueuer" if engines.read.dialect.name == "postgresql" else "SELECT * FROM jobs"
    async with engines.read.connect() as conn:
        return [str(job) for job in await conn.execute(text(query))]


async def facts_in(engines: Engines) -> set[Fact]:
    """What a `Ledger` would say."""
    columns = tasks.c.title, tasks.c.completed_at, files.c.sha256
    async with engines.read.connect() as conn:
        rows = (await conn.execute(select(*columns).select_from(tasks.outerjoin(files)))).all()
    facts = {("task", row.title) for row in rows} | {("done", row.title) for row in rows if row.completed_at}
    return facts | {("file", row.title, row.sha256) for row in rows if row.sha256}


def _is_whole(file: Any, content: bytes | None) -> bool:
    return content is not None and (len(content), sha256(content).hexdigest()) == (file.file_size, file.sha256)


def _miscounted(recorded: Any, owned: Any, counted: Any) -> list[str]:
    of_task = Counter(file.task_id for file in recorded)
    wrong = [f"task {task.id}: {task.file_count}" for task in owned if task.file_count != of_task[task.id]]
    for row in counted:
        theirs = [task for task in owned if task.owner_id == row.user_id]
        sizes = [file.file_size for file in recorded if file.owner_id == row.user_id]
        there = {priority.value: sum(task.priority == priority for task in theirs) for priority in Priority}
        there |= {"completed": sum(task.completed_at is not None for task in theirs)}
        there |= {"file_count": len(sizes), "file_bytes": sum(sizes)}
        told = {name: getattr(row, name) for name in there}
        wrong += [f"user {row.user_id}: {told} instead of {there}"] * (told != there)
    return wrong
