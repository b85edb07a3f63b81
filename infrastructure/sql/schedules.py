"""The last tick of each schedule, in SQL."""

from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert  # SQLite's ON CONFLICT is the same

from infrastructure.sql.session import Session
from infrastructure.sql.tables import schedules

_INSERT = insert(schedules).values(name=bindparam("name"), tick=bindparam("tick"))
TAKE = _INSERT.on_conflict_do_update(
    index_elements=[schedules.c.name],
    set_={"tick": _INSERT.excluded.tick},
    where=schedules.c.tick.not_in([_INSERT.excluded.tick, _INSERT.excluded.tick + 1]),
).returning(schedules.c.tick)


class SqlSchedules:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def take(self, name: str, tick: int) -> bool:
        return (await self._session.change(TAKE, {"name": name, "tick": tick})).first() is not None
