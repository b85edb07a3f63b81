"""The database: its schema, whether it can be written, whether it has room for us; and the jobs in it."""

from collections.abc import AsyncIterator
from datetime import timedelta

from sqlalchemy import text

from infrastructure.clock import utc_now
from infrastructure.container import Container
from infrastructure.doctor.finding import Finding, reason
from infrastructure.lifecycle import schema

LATE = timedelta(minutes=10)  # a job that nobody begins for so long

_WRITE_NOTHING = text("UPDATE users SET username = username WHERE id < 0")
_CONNECTIONS = text("""
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int
""")


async def database(container: Container) -> AsyncIterator[Finding]:
    settings = container.settings()
    if settings.database == "memory":
        yield Finding("database", "ok", "memory: forgets everything at its end")
        return
    at = await schema(container)
    if at != "current":
        yield _schema(at, embedded=settings.embedded)
        return
    yield Finding("database", "ok", f"{settings.database} answers, at the schema of this version")
    yield await _writable(container)
    if settings.database == "postgresql":
        yield await _connections(container)
    async for finding in _jobs(container):
        yield finding


def _schema(at: str, *, embedded: bool) -> Finding:
    if at == "unknown":
        what, mend = "is at a schema that this version does not know", "run the version that brought it there"
        return Finding("database", "wrong", what, mend)
    what = "has no tables yet" if at == "none" else "is at the schema of an earlier version"
    mend = "taskwell serve will see to it" if embedded else "taskwell migrate"
    return Finding("database", "warning" if embedded else "wrong", what, mend)


async def _writable(container: Container) -> Finding:
    try:
        async with container.engines().write.begin() as conn:
            await conn.execute(_WRITE_NOTHING)
    except Exception as error:  # noqa: BLE001  whatever it is, it can't be written
        mend = "see that it is not read-only or full, and that the user of TASKWELL_DATABASE_URL may write"
        return Finding("database", "wrong", f"can't be written: {reason(error)}", mend)
    return Finding("database", "ok", "can be written")


async def _connections(container: Container) -> Finding:
    settings = container.settings()
    async with container.engines().read.connect() as conn:
        room = (await conn.execute(_CONNECTIONS)).scalar_one()
    needed = settings.workers * settings.database_pool_size
    what = f"has room for {room} connections; one `taskwell serve` holds up to {needed}, each worker a few"
    if needed <= room:
        return Finding("database", "ok", what)
    mend = "raise max_connections of PostgreSQL, or lower TASKWELL_DATABASE_POOL_SIZE or TASKWELL_WORKERS"
    return Finding("database", "warning", what, mend)


async def _jobs(container: Container) -> AsyncIterator[Finding]:
    depths = await container.job_records().depths()
    counts = {state: sum(depth.count for depth in depths if depth.state == state) for state in ("waiting", "dead")}
    late = [depth for depth in depths if depth.state == "waiting" and depth.oldest < utc_now() - LATE]
    if counts["dead"]:
        mend = "taskwell jobs list --state dead, then retry or purge"
        yield Finding("jobs", "warning", f"{counts['dead']} dead", mend)
    if late:
        what = f"{counts['waiting']} waiting, some for more than {LATE.seconds // 60} minutes"
        yield Finding("jobs", "warning", what, "start taskwell worker, or more of them")
    if not (counts["dead"] or late):
        yield Finding("jobs", "ok", f"{counts['waiting']} waiting, none dead")
