"""How pgqueuer's tables are called, and that they are durable. The migrations make them."""

from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

# All of it, because what is left out pgqueuer takes from the environment, from a stray `CHANNEL` or `TRIGGER` too.
SETTINGS = DBSettings(
    prefix="",
    db_schema=None,
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
    durability=Durability.durable,
    widen_id=True,
)

# Its trigger tells workers of what is inserted or deleted, even if that is nothing, and not of what is updated.
NOTIFY = "DELETE FROM pgqueuer WHERE false"
