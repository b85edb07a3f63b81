"""Bringing a database to the schema of this version, with Alembic."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
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
