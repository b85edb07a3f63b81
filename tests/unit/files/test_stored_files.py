"""What can be done with a file that is stored."""

import pytest

from application.files import (
    DeleteFile,
    GetFile,
    ListFiles,
    OpenFile,
    RemoveFileContents,
)
from application.uploads import UploadFile
from domain.file import FileContentMissing, FileNotFound
from domain.task import Task, TaskNotFound
from domain.user import UserId
from tests.examples import stored_task, stored_user
from tests.unit.files.parts import Sent, Storage, Work, files_of


async def test_a_deleted_file_is_gone_at_once_and_its_bytes_by_the_job(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    file = await upload(task.owner_id, task.id, Sent())
    other = await upload(task.owner_id, task.id, Sent())
    await DeleteFile(work)(task.owner_id, file.id)
    assert await files_of(work, task) == [other]
    assert work.jobs() == [("remove-file-contents", [[file.stored_name]])]
    for _ in range(2):
        await RemoveFileContents(storage)([file.stored_name])
        assert storage.names() == [other.stored_name]
    with pytest.raises(FileNotFound):
        await DeleteFile(work)(task.owner_id, file.id)
    assert len(work.jobs()) == 1


async def test_somebody_elses_file_does_not_exist(upload: UploadFile, work: Work, storage: Storage, task: Task) -> None:
    file = await upload(task.owner_id, task.id, Sent())
    stranger = (await stored_user(work)).id
    with pytest.raises(TaskNotFound):
        await ListFiles(work)(stranger, task.id)
    for use in (GetFile(work)(stranger, task.id, file.id), DeleteFile(work)(stranger, file.id)):
        with pytest.raises(FileNotFound):
            await use
    with pytest.raises(FileNotFound):
        await OpenFile(work, storage)(stranger, file.id)
    assert await files_of(work, task) == [file]


async def test_a_file_is_found_under_its_own_task_only(upload: UploadFile, work: Work, task: Task) -> None:
    file = await upload(task.owner_id, task.id, Sent())
    async with work.read() as tx:
        owner = await tx.users.get(UserId(task.owner_id))
    with pytest.raises(FileNotFound):
        await GetFile(work)(task.owner_id, (await stored_task(work, owner)).id, file.id)


async def test_an_opened_file_is_read_in_parts(upload: UploadFile, work: Work, storage: Storage, task: Task) -> None:
    file = await upload(task.owner_id, task.id, Sent(b"Hello, world"))
    opened = await OpenFile(work, storage)(task.owner_id, file.id)
    assert opened.file == file
    async with opened.read(7, 12) as chunks:
        assert [chunk async for chunk in chunks] == [b"world"]


@pytest.mark.parametrize("left", [None, b"Hell"])
async def test_bytes_that_are_gone_or_cut_short_are_missing(
    upload: UploadFile, work: Work, storage: Storage, task: Task, left: bytes | None
) -> None:
    file = await upload(task.owner_id, task.id, Sent())
    await storage.delete(file.stored_name)
    if left:
        await storage.put(file.stored_name, Sent(left).chunks())
    with pytest.raises(FileContentMissing):
        await OpenFile(work, storage)(task.owner_id, file.id)


async def test_a_file_deleted_while_it_is_being_opened_is_not_found(
    upload: UploadFile, work: Work, storage: Storage, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await upload(task.owner_id, task.id, Sent())
    real = storage.size

    async def size(name: str) -> int:
        await DeleteFile(work)(task.owner_id, file.id)
        await storage.delete(name)
        return await real(name)

    monkeypatch.setattr(storage, "size", size)
    with pytest.raises(FileNotFound):
        await OpenFile(work, storage)(task.owner_id, file.id)
