"""Counters of a user's tasks and files, and an index for what depends on the time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS = ("file_count", "completed", "low", "medium", "high", "urgent")
INDEX, COLUMNS = "ix_tasks_owner_id_completed_at_due_at", ["owner_id", "completed_at", "due_at"]
COUNT = """
INSERT INTO usage (user_id, version, file_bytes, file_count, completed, low, medium, high, urgent)
SELECT user_id, version, file_bytes, coalesce(file_count, 0), coalesce(completed, 0), coalesce(low, 0),
    coalesce(medium, 0), coalesce(high, 0), coalesce(urgent, 0)
FROM usage_before
LEFT JOIN (SELECT owner_id, count(*) AS file_count FROM files GROUP BY owner_id) AS f ON f.owner_id = user_id
LEFT JOIN (
    SELECT owner_id, count(completed_at) AS completed, count(*) FILTER (WHERE priority = 0) AS low,
        count(*) FILTER (WHERE priority = 1) AS medium, count(*) FILTER (WHERE priority = 2) AS high,
        count(*) FILTER (WHERE priority = 3) AS urgent
    FROM tasks GROUP BY owner_id
) AS t ON t.owner_id = user_id
"""


def upgrade() -> None:
    counters = [sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in COUNTERS]
    _replace_usage(counters, COUNT)
    op.create_index(INDEX, "tasks", COLUMNS)


def downgrade() -> None:
    op.drop_index(INDEX, "tasks")
    _replace_usage([], "INSERT INTO usage SELECT user_id, version, file_bytes FROM usage_before")


def _replace_usage(counters: list[sa.Column[int]], fill: str) -> None:
    """Not altered in place, because what SQLite makes of that is spelled another way than a table that is new."""
    op.execute("CREATE TABLE usage_before AS SELECT * FROM usage")
    op.drop_table("usage")
    op.create_table(
        "usage",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        *counters,
        sa.PrimaryKeyConstraint("user_id", name="pk_usage"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_usage_user_id", ondelete="CASCADE"),
    )
    op.execute(fill)
    op.drop_table("usage_before")
