"""Bringing a database to the schema of this version, with Alembic."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from infrastructure.sql.away import away

MIGRATIONS = Path(__file__).parent / "migrations"
ONE_AT_A_TIME = 7_248_371_906  # an advisory lock of ours: two hosts that migrate at once take turns


async def upgrade(engine: AsyncEngine, to: str = "head") -> None:
    """Do nothing if the schema is there already. All steps are one transaction: all or none.

    Raise `DatabaseAway` if the database does not answer.
    """
    with away():
        async with engine.begin() as conn:
            await conn.run_sync(_run, command.upgrade, to)


async def schema(engine: AsyncEngine) -> Literal["none", "old", "current", "unknown"]:
    """Which one the database has, seen from that of this version. Raise `DatabaseAway` if it does not answer."""
    with away():
        async with engine.connect() as conn:
            found = await conn.run_sync(lambda conn: MigrationContext.configure(conn).get_current_revision())
    ours = ScriptDirectory(str(MIGRATIONS))
    if found is None or found == ours.get_current_head():
        return "current" if found else "none"
    return "old" if found in {script.revision for script in ours.walk_revisions()} else "unknown"


async def downgrade(engine: AsyncEngine, to: str) -> None:
    async with engine.begin() as conn:
        await conn.run_sync(_run, command.downgrade, to)


def _run(connection: Connection, change: Callable[[Config, str], None], to: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    change(config, to)
