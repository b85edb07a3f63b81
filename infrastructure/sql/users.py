"""Users in SQL."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from domain.user import EmailTaken, NotAuthenticated, User, UserId, UsernameTaken
from infrastructure.sql.session import Session
from infrastructure.sql.tables import usage, users

COLUMNS = (users.c.username, users.c.email, users.c.password_hash, users.c.created_at, users.c.id)
BY_ID = select(*COLUMNS).where(users.c.id == bindparam("user_id"))
BY_NAME = select(*COLUMNS).where(users.c.username_folded == bindparam("username"))
# Not failing on a conflict leaves the transaction usable, on both databases, to ask which of the two it was.
INSERT = {
    "postgresql": postgresql.insert(users).on_conflict_do_nothing().returning(users.c.id),
    "sqlite": sqlite.insert(users).on_conflict_do_nothing().returning(users.c.id),
}


class SqlUserRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, user: User) -> User:
        row = {column.name: getattr(user, column.name) for column in COLUMNS if column.name != "id"}
        row |= {"username_folded": user.username.casefold(), "email_folded": user.email.casefold()}
        inserted = await self._session.change(INSERT[self._session.conn.dialect.name], row)
        user_id = inserted.scalar_one_or_none()
        if user_id is None:
            raise EmailTaken if await self.find(user.username) is None else UsernameTaken
        await self._session.change(insert(usage), {"user_id": user_id, "version": 0, "file_bytes": 0})
        return replace(user, id=UserId(user_id))

    async def get(self, user_id: UserId) -> User:
        row = (await self._session.query(BY_ID, {"user_id": user_id})).one_or_none()
        if row is None:
            raise NotAuthenticated
        return _user(row)

    async def find(self, username: str) -> User | None:
        row = (await self._session.query(BY_NAME, {"username": username.casefold()})).one_or_none()
        return None if row is None else _user(row)


def _user(row: Sequence[Any]) -> User:
    return User(*row)
