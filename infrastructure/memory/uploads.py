"""Uploads under way in a dict."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from domain.file import QuotaExceeded
from domain.upload import Upload
from domain.user import NotAuthenticated, UserId
from infrastructure.memory.database import MemoryState


class MemoryUploadRepository:
    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def begin(self, upload: Upload, *, quota: int, least: int | None = None) -> Upload:
        left = self._left(upload.owner_id, quota, upload.seen_at)
        if left < (upload.reserved if least is None else least):
            raise QuotaExceeded
        begun = replace(upload, reserved=min(upload.reserved, left))
        self._state.uploads[begun.stored_name] = begun
        return begun

    async def left(self, owner: UserId, *, quota: int, now: datetime) -> int:
        return max(0, self._left(owner, quota, now))

    async def see(self, stored_name: str, *, at: datetime) -> None:
        if upload := self._state.uploads.get(stored_name):
            self._state.uploads[stored_name] = replace(upload, seen_at=at)

    async def end(self, stored_name: str) -> None:
        self._state.uploads.pop(stored_name, None)

    async def abandon(self, *, unseen_since: datetime) -> int:
        abandoned = self._unseen(unseen_since)
        for name in abandoned:
            del self._state.uploads[name]
        return len(abandoned)

    async def unseen(self, *, since: datetime) -> int:
        return len(self._unseen(since))

    async def known(self, stored_names: Sequence[str]) -> set[str]:
        return set(stored_names) & {*self._state.uploads, *(file.stored_name for file in self._state.files.values())}

    def _unseen(self, since: datetime) -> list[str]:
        return [name for name, upload in self._state.uploads.items() if upload.seen_at < since]

    def _left(self, owner: UserId, quota: int, now: datetime) -> int:
        if owner not in self._state.users:
            raise NotAuthenticated
        return quota - self._state.held(owner, now)
