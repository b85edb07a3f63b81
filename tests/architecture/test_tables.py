"""The tables are what the entities say, and the migrations make them, up and down, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from sqlalchemy import Table, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.file import TaskFile
from domain.task import Task
from domain.user import User
from infrastructure.pgqueuer.schema import SETTINGS
from infrastructure.sql.engine import open_engines
from infrastructure.sql.migrate import MIGRATIONS, downgrade, upgrade
from infrastructure.sql.tables import files, jobs, metadata, tasks, users
from tests.conftest import NewDatabase

# What no entity has: forms of other columns, for the database to compare and search.
DERIVED = {users: {"username_folded", "email_folded"}, tasks: {"title_folded", "search_text"}, files: set()}

# Everything of a schema that can be right or wrong, as the database itself tells it, a line each.
SCHEMA = {
    "sqlite": ["SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"],
    "postgresql": [
        """SELECT concat_ws(' ', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
               collname, pg_get_expr(adbin, adrelid))
           FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
           LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
           LEFT JOIN pg_collation ON pg_collation.oid = attcollation
           WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped""",
        """SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
           FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT concat_ws(' ', typname, enumlabel) FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid",
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    ],
}


@pytest.mark.parametrize(
    ("entity", "table"), [(User, users), (Task, tasks), (TaskFile, files)], ids=["User", "Task", "TaskFile"]
)
def test_columns_are_fields(entity: type[User | Task | TaskFile], table: Table) -> None:
    assert {column.name for column in table.c} - DERIVED[table] == {field.name for field in fields(entity)}
    assert DERIVED[table] <= set(table.c.keys())


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> NewDatabase:
    """`async with empty() as url:` gives the URL of an empty database."""

    @asynccontextmanager
    async def file() -> AsyncIterator[str]:
        yield f"sqlite+aiosqlite:///{tmp_path / uuid4().hex}.db"

    return file if request.param == "sqlite" else request.getfixturevalue("new_postgres_database")


@asynccontextmanager
async def engine_of(url: str) -> AsyncIterator[AsyncEngine]:
    engines = open_engines(url, pool_size=1)
    try:
        yield engines.write
    finally:
        await engines.aclose()


@pytest.fixture
async def url(empty: NewDatabase) -> AsyncIterator[str]:
    async with empty() as url:
        yield url


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    async with engine_of(url) as engine:
        yield engine


async def schema_of(engine: AsyncEngine) -> list[str]:
    """Without Alembic's own table. Columns and constraints may come in any order; who was renamed, is quoted."""
    async with engine.connect() as conn:
        parts = [part for query in SCHEMA[conn.dialect.name] for part in await conn.scalars(text(query))]
    lines = [
        f"{part.split('(')[0]}: {line.strip().rstrip(',')}"
        for part in parts
        for line in (part or "").splitlines()
        if "alembic_version" not in part
    ]
    return sorted(line.replace('"', "") for line in lines)


async def create_as_declared(engine: AsyncEngine) -> None:
    """Without migrations: our metadata, and on PostgreSQL, in the place of the table `jobs`, what pgqueuer declares."""
    ours = metadata.sorted_tables
    async with engine.begin() as conn:
        if conn.dialect.name == "postgresql":
            ours = [table for table in ours if table is not jobs]
            connection = (await conn.get_raw_connection()).driver_connection
            assert connection is not None
            await connection.execute(QueryBuilderEnvironment(SETTINGS).build_install_query())
        await conn.run_sync(metadata.create_all, tables=ours)


async def test_the_migrations_make_what_is_declared_by_us_and_by_the_pgqueuer_that_is_locked(
    engine: AsyncEngine, empty: NewDatabase
) -> None:
    await upgrade(engine)
    async with empty() as other, engine_of(other) as declared:
        await create_as_declared(declared)
        assert await schema_of(engine) == await schema_of(declared)


async def test_each_migration_can_be_undone_and_done_again(engine: AsyncEngine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    steps = list(ScriptDirectory.from_config(config).walk_revisions())[::-1]
    assert len(steps) >= 2
    for step in steps:
        before = await schema_of(engine)
        await upgrade(engine, to=step.revision)
        after = await schema_of(engine)
        assert after != before
        await downgrade(engine, to=str(step.down_revision or "base"))
        assert await schema_of(engine) == before
        await upgrade(engine, to=step.revision)
        assert await schema_of(engine) == after


async def test_the_way_back_to_nothing_and_up_again(engine: AsyncEngine) -> None:
    await upgrade(engine)
    full = await schema_of(engine)
    await downgrade(engine, to="base")
    assert await schema_of(engine) == []
    await upgrade(engine)
    assert await schema_of(engine) == full


async def test_a_second_upgrade_changes_nothing(engine: AsyncEngine) -> None:
    await upgrade(engine)
    verbs: set[str] = set()

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def note(*call: Any) -> None:
        verbs.add(call[2].split()[0].upper())

    await upgrade(engine)
    assert verbs
    assert verbs <= {"SELECT", "PRAGMA", "BEGIN"}


async def test_two_upgrades_at_once_both_succeed(url: str) -> None:
    async with engine_of(url) as one, engine_of(url) as other:
        await asyncio.gather(upgrade(one), upgrade(other))
        assert await schema_of(one) == await schema_of(other) != []
