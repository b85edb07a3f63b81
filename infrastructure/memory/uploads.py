"""Uploads under way in a dict."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from domain.file import QuotaExceeded
from domain.task import TaskId, TaskNotFound
from domain.upload import Upload
from domain.user import NotAuthenticated, UserId
from infrastructure.memory.database import MemoryState


class MemoryUploadRepository:
    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def begin(self, upload: Upload, *, quota: int, least: int | None = None) -> Upload:
        if upload.owner_id not in self._state.users:
            raise NotAuthenticated
        left = quota - self._state.held(upload.owner_id, upload.seen_at)
        if left < (upload.reserved if least is None else least):
            raise QuotaExceeded
        begun = replace(upload, reserved=min(upload.reserved, left))
        self._state.uploads[begun.stored_name] = begun
        return begun

    async def left(self, task_id: TaskId, *, owner: UserId, quota: int, now: datetime) -> int:
        task = self._state.tasks.get(task_id)
        if task is None or task.owner_id != owner:
            raise TaskNotFound
        return max(0, quota - self._state.held(owner, now))

    async def renew(self, stored_name: str, *, at: datetime) -> None:
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
