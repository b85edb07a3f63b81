"""Reminders that were given, in SQL: the rule of the domain, translated."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case, exists, literal_column, select
from sqlalchemy.dialects.postgresql import insert  # SQLite's ON CONFLICT is the same

from domain.reminder import HOURS_AHEAD, Reminder
from infrastructure.sql.session import Session
from infrastructure.sql.tables import UtcDateTime, reminders, tasks

_spans = {f"in_{hours}": hours for hours in sorted(HOURS_AHEAD)}
_now, *_ends = (bindparam(name, type_=UtcDateTime) for name in ("now", *_spans))
_hours = case(*((tasks.c.due_at <= end, hours) for end, hours in zip(_ends, _spans.values(), strict=True)))
_given = exists().where(
    reminders.c.task_id == tasks.c.id, reminders.c.hours_ahead == _hours, reminders.c.due_at == tasks.c.due_at
)
# Whoever changes a task, and whoever takes its reminder, has it locked: nobody waits here, or takes what is outdated.
# The snapshot may be older than the lock; what was given since then meets the conflict, and is not returned.
_due = (
    select(tasks.c.id, _hours, tasks.c.due_at)
    .where(tasks.c.completed_at.is_(None), tasks.c.due_at > _now, tasks.c.due_at <= _ends[-1], ~_given)
    .order_by(tasks.c.due_at, tasks.c.id)
    .limit(bindparam("limit"))
    .with_for_update(of=tasks, key_share=True, skip_locked=True)
)
_insert = insert(reminders).from_select(list(reminders.c), _due)
# By its name: SQLAlchemy would take a column of the outer statement for one more table of the inner one.
_owner = select(tasks.c.owner_id).where(tasks.c.id == literal_column("reminders.task_id")).scalar_subquery()
TAKE = _insert.on_conflict_do_update(
    index_elements=[reminders.c.task_id, reminders.c.hours_ahead],
    set_={"due_at": _insert.excluded.due_at},
    where=reminders.c.due_at != _insert.excluded.due_at,
).returning(reminders.c.task_id, _owner, reminders.c.hours_ahead, reminders.c.due_at)


class SqlReminderRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def take(self, *, now: datetime, limit: int) -> Sequence[Reminder]:
        moments = {name: now + timedelta(hours=hours) for name, hours in _spans.items()}
        rows = await self._session.change(TAKE, {"now": now, "limit": limit, **moments})
        return sorted((_reminder(row) for row in rows), key=lambda reminder: (reminder.due_at, reminder.task_id))


def _reminder(row: Sequence[Any]) -> Reminder:
    return Reminder(*row)
