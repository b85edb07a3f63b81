"""Uploads under way, reminders that were given, ticks of schedules; jobs with a priority and a unique key."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
PENDING = sa.text("completed_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("stored_name", NAME, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("stored_name", name="pk_uploads"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_uploads_owner_id", ondelete="CASCADE"),
    )
    op.create_index("ix_uploads_owner_id", "uploads", ["owner_id"])
    op.create_table(
        "reminders",
        sa.Column("task_id", ID, nullable=False),
        sa.Column("hours_ahead", sa.Integer(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("task_id", "hours_ahead", name="pk_reminders"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_reminders_task_id", ondelete="CASCADE"),
    )
    op.create_table(
        "schedules",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("tick", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedules"),
    )
    op.create_index("ix_tasks_due_at", "tasks", ["due_at"], postgresql_where=PENDING, sqlite_where=PENDING)
    if op.get_context().dialect.name == "postgresql":
        op.execute('ALTER TABLE files ALTER COLUMN stored_name TYPE VARCHAR(255) COLLATE "C"')
        return
    with op.batch_alter_table("jobs", recreate="always", table_kwargs={"sqlite_autoincrement": True}) as jobs:
        jobs.add_column(
            sa.Column("priority", sa.Integer(), nullable=False, server_default="0"), insert_after="attempts"
        )
        jobs.add_column(sa.Column("unique_key", sa.String(255)), insert_after="priority")
    op.create_index("uq_jobs_unique_key", "jobs", ["unique_key"], unique=True)
    op.create_index("ix_jobs_name_priority_id", "jobs", ["name", sa.text("priority DESC"), "id"])


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE files ALTER COLUMN stored_name TYPE VARCHAR(255)")
    else:
        op.drop_index("ix_jobs_name_priority_id", "jobs")
        op.drop_index("uq_jobs_unique_key", "jobs")
        with op.batch_alter_table("jobs", recreate="always", table_kwargs={"sqlite_autoincrement": True}) as jobs:
            jobs.drop_column("unique_key")
            jobs.drop_column("priority")
    op.drop_index("ix_tasks_due_at", "tasks")
    op.drop_table("schedules")
    op.drop_table("reminders")
    op.drop_table("uploads")
