"""Users, their tasks and files."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
TAGS = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
COUNTERS = ("file_count", "completed", "low", "medium", "high", "urgent")
BY_CODE_POINT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", ID, nullable=False),
        sa.Column("username", sa.String(32), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("username_folded", sa.String(32), nullable=False),
        sa.Column("email_folded", sa.String(640), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("username_folded", name="uq_users_username_folded"),
        sa.UniqueConstraint("email_folded", name="uq_users_email_folded"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "usage",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in COUNTERS),
        sa.PrimaryKeyConstraint("user_id", name="pk_usage"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_usage_user_id", ondelete="CASCADE"),
    )
    op.create_table(
        "tasks",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("tags", TAGS, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("completed_at", MOMENT),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("title_folded", BY_CODE_POINT, nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_tasks_owner_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    for column in ("created_at", "updated_at", "due_at", "priority"):
        op.create_index(f"ix_tasks_owner_id_{column}_id", "tasks", ["owner_id", column, "id"])
    op.create_index("ix_tasks_owner_id_completed_at_due_at", "tasks", ["owner_id", "completed_at", "due_at"])
    if op.get_context().dialect.name == "postgresql":
        op.create_index("ix_tasks_tags", "tasks", ["tags"], postgresql_using="gin")
    op.create_table(
        "files",
        sa.Column("id", ID, nullable=False),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("original_filename", sa.String(255), nullable=False),
        sa.Column("stored_name", sa.String(255), nullable=False),
        sa.Column("content_type", sa.String(100), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("uploaded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_files_task_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_files_owner_id", ondelete="CASCADE"),
        sa.UniqueConstraint("stored_name", name="uq_files_stored_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_files_task_id_id", "files", ["task_id", "id"])
    op.create_index("ix_files_owner_id", "files", ["owner_id"])


def downgrade() -> None:
    for table in ("files", "tasks", "usage", "users"):
        op.drop_table(table)
