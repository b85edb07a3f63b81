"""The schema. Columns are named after fields of entities; those that no entity has say what they are derived from."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from domain.task import Priority


class UtcDateTime(TypeDecorator[datetime]):
    """SQLite forgets the zone, so what is stored is UTC, and what comes back says so."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class PriorityRank(TypeDecorator[Priority]):
    """Stored as its rank, so that the database sorts it as we do."""

    impl = SmallInteger
    cache_ok = True
    _by_rank = tuple(Priority)

    @override
    def process_bind_param(self, value: Priority | int | None, dialect: Dialect) -> int | None:
        return value.rank if isinstance(value, Priority) else value

    @override
    def process_result_value(self, value: int | None, dialect: Dialect) -> Priority | None:
        return None if value is None else self._by_rank[value]


class Tags(TypeDecorator[tuple[str, ...]]):
    """A JSON array; JSONB on PostgreSQL, where an index serves `@>` and `?|`."""

    impl = JSON().with_variant(JSONB, "postgresql")
    cache_ok = True

    @override
    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> list[str] | None:
        return None if value is None else list(value)

    @override
    def process_result_value(self, value: list[str] | None, dialect: Dialect) -> tuple[str, ...]:
        return tuple(value or ())


# SQLite gives rowids to INTEGER keys only; AUTOINCREMENT keeps it from giving out an id twice.
Id = BigInteger().with_variant(Integer, "sqlite")
# Both compare these by code point, like Python: PostgreSQL's default collation would depend on the host.
ByCodePoint = Text().with_variant(Text(collation="C"), "postgresql")
StoredName = String(255).with_variant(String(255, collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *columns: Column[Any] | Index) -> Table:
    return Table(name, metadata, *columns, sqlite_autoincrement=True)


users = _table(
    "users",
    Column("id", Id, primary_key=True),
    Column("username", String(32), nullable=False),
    Column("email", String(320), nullable=False),
    Column("password_hash", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("username_folded", String(32), nullable=False, unique=True),  # username, case-folded
    Column("email_folded", String(640), nullable=False, unique=True),  # email, case-folded
)

# What is counted beside a user's tasks and files, in a row of its own: it changes with each write, the account rarely.
usage = Table(
    "usage",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("file_bytes", BigInteger, nullable=False),
    Column("file_count", BigInteger, nullable=False, server_default="0"),
    Column("completed", BigInteger, nullable=False, server_default="0"),  # of the tasks; all of them have a priority
    *(Column(priority.value, BigInteger, nullable=False, server_default="0") for priority in Priority),
)

tasks = _table(
    "tasks",
    Column("id", Id, primary_key=True),
    Column("owner_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("title", String(200), nullable=False),
    Column("description", Text),
    Column("priority", PriorityRank, nullable=False),
    Column("due_at", UtcDateTime),
    Column("tags", Tags, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    Column("version", Integer, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("title_folded", ByCodePoint, nullable=False),  # title, case-folded: what a list is sorted by
    Column("search_text", Text, nullable=False),  # all words of title and description: domain.task_list.search_text
    Index(None, "owner_id", "created_at", "id"),
    Index(None, "owner_id", "updated_at", "id"),
    Index(None, "owner_id", "due_at", "id"),
    Index(None, "owner_id", "priority", "id"),
    Index(None, "owner_id", "completed_at", "due_at"),  # counts what is pending and due without a look at the rows
    Index(  # finds what is due soon, of all users
        "ix_tasks_due_at",
        "due_at",
        postgresql_where=text("completed_at IS NULL"),
        sqlite_where=text("completed_at IS NULL"),
    ),
    Index("ix_tasks_tags", "tags", postgresql_using="gin").ddl_if(dialect="postgresql"),
)

files = _table(
    "files",
    Column("id", Id, primary_key=True),
    Column("task_id", ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("owner_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("original_filename", String(255), nullable=False),
    Column("stored_name", StoredName, nullable=False, unique=True),
    Column("content_type", String(100), nullable=False),
    Column("file_size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("uploaded_at", UtcDateTime, nullable=False),
    Index(None, "task_id", "id"),
    Index(None, "owner_id"),
)

# Uploads under way. `reserved` counts towards the quota of the owner for as long as `seen_at` is fresh.
uploads = Table(
    "uploads",
    metadata,
    Column("stored_name", StoredName, primary_key=True),
    Column("owner_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Index(None, "owner_id"),
)

# The last reminder of each kind that was given for a task, and the moment that it was about.
reminders = Table(
    "reminders",
    metadata,
    Column("task_id", ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("hours_ahead", Integer, primary_key=True, autoincrement=False),
    Column("due_at", UtcDateTime, nullable=False),
)

# The last tick of each schedule.
schedules = Table(
    "schedules",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("tick", BigInteger, nullable=False),
)

# Of the embedded service only; on PostgreSQL the jobs are pgqueuer's.
jobs = _table(
    "jobs",
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("arguments", Text, nullable=False),  # JSON: a list, a dict, and the key of the job
    Column("attempts", Integer, nullable=False, default=0),
    Column("priority", Integer, nullable=False, default=0, server_default="0"),
    Column("unique_key", String(255)),  # none once it is buried
    Column("due_at", UtcDateTime),  # none: at once
    Column("failed_at", UtcDateTime),  # set once it is buried
    Column("error", String(200)),
    Column("enqueued_at", UtcDateTime, nullable=False, default=lambda: datetime.now(UTC)),
    Index("uq_jobs_unique_key", "unique_key", unique=True),
    Index("ix_jobs_name_priority_id", "name", text("priority DESC"), "id"),
)
