"""Users in a dict."""

from collections.abc import Iterator
from dataclasses import replace

from domain.user import EmailTaken, NotAuthenticated, User, UserId, UsernameTaken
from infrastructure.memory.database import MemoryState


class MemoryUserRepository:
    def __init__(self, state: MemoryState, ids: Iterator[int]) -> None:
        self._state = state
        self._ids = ids

    async def add(self, user: User) -> User:
        if await self.find(user.username) is not None:
            raise UsernameTaken
        if any(other.email.casefold() == user.email.casefold() for other in self._state.users.values()):
            raise EmailTaken
        added = replace(user, id=UserId(next(self._ids)))
        self._state.users[added.id] = added
        self._state.versions[added.id] = 0
        return added

    async def get(self, user_id: UserId) -> User:
        if user_id not in self._state.users:
            raise NotAuthenticated
        return self._state.users[user_id]

    async def find(self, username: str) -> User | None:
        folded = username.casefold()
        return next((user for user in self._state.users.values() if user.username.casefold() == folded), None)
