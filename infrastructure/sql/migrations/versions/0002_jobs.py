"""Where jobs wait: a table of ours on SQLite, the tables of pgqueuer 1.6 on PostgreSQL."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
CREATE, DROP = (Path(__file__).with_name(f"0002_{name}.sql") for name in ("create", "drop"))
BETWEEN = "\n--\n"


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        _run(CREATE)
        return
    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("failed_at", MOMENT),
        sa.Column("error", sa.String(200)),
        sa.Column("enqueued_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        _run(DROP)
    else:
        op.drop_table("jobs")


def _run(statements: Path) -> None:
    """The texts are frozen, as a migration must be: what a later pgqueuer needs is a later migration."""
    for statement in statements.read_text().split(BETWEEN):
        op.get_bind().exec_driver_sql(statement)
