"""Records of files in a dict."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from heapq import nsmallest

from domain.file import FileId, FileNotFound, QuotaExceeded, TaskFile
from domain.task import TaskId, TaskNotFound
from domain.upload import UploadAbandoned
from domain.user import UserId
from infrastructure.memory.database import MemoryState


class MemoryFileRepository:
    def __init__(self, state: MemoryState, ids: Iterator[int]) -> None:
        self._state = state
        self._ids = ids

    async def add(self, file: TaskFile, *, quota: int) -> TaskFile:
        self._count(file, +1)
        if self._state.uploads.pop(file.stored_name, None) is None:
            raise UploadAbandoned
        added = replace(file, id=FileId(next(self._ids)))
        self._state.files[added.id] = added
        if self._state.held(file.owner_id, file.uploaded_at) > quota:
            raise QuotaExceeded
        return added

    async def get(self, file_id: FileId, *, owner: UserId) -> TaskFile:
        file = self._state.files.get(file_id)
        if file is None or file.owner_id != owner:
            raise FileNotFound
        return file

    async def of_task(self, task_id: TaskId, *, owner: UserId) -> Sequence[TaskFile]:
        task = self._state.tasks.get(task_id)
        if task is None or task.owner_id != owner:
            raise TaskNotFound
        return [file for file in self._state.files.values() if file.task_id == task_id]

    async def page(self, *, after: str, upto: str, limit: int = 1000) -> Sequence[TaskFile]:
        between = (file for file in self._state.files.values() if after < file.stored_name <= upto)
        return nsmallest(limit, between, key=lambda file: file.stored_name)

    async def count(self) -> int:
        return len(self._state.files)

    async def delete(self, file: TaskFile) -> None:
        self._count(file, -1)
        del self._state.files[file.id]

    def _count(self, file: TaskFile, more: int) -> None:
        task = self._state.tasks.get(file.task_id)
        if task is None or task.owner_id != file.owner_id:
            raise TaskNotFound
        self._state.tasks[task.id] = replace(task, file_count=task.file_count + more, version=task.version + 1)
        self._state.touch(file.owner_id)
