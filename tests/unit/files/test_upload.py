"""Uploads that are accepted, and what is refused."""

from dataclasses import replace
from hashlib import sha256

import pytest

from application.files import GetFile
from application.uploads import UploadFile
from domain.errors import DomainError, Invalid
from domain.file import (
    DigestMismatch,
    EmptyFile,
    FileTooLarge,
    QuotaExceeded,
    TaskFile,
)
from domain.file_content import FileTypeMismatch
from domain.file_type import FileTypeNotAllowed
from domain.task import Task, TaskId, TaskNotFound
from tests.examples import NOON, stored_file, stored_user
from tests.unit.files.parts import LARGEST, PNG, QUOTA, Sent, Storage, Work, content, files_of


async def test_an_upload_is_stored_and_recorded(upload: UploadFile, work: Work, storage: Storage, task: Task) -> None:
    file = await upload(task.owner_id, task.id, Sent(PNG, "Grüße.PNG", "image/png", sha256(PNG).hexdigest()))
    assert file == TaskFile(
        task_id=task.id,
        owner_id=task.owner_id,
        original_filename="Grüße.PNG",
        stored_name=file.stored_name,
        content_type="image/png",
        file_size=len(PNG),
        sha256=sha256(PNG).hexdigest(),
        uploaded_at=NOON,
        id=file.id,
    )
    assert storage.names() == [file.stored_name]
    assert await content(storage, file.stored_name) == PNG
    assert await files_of(work, task) == [file]
    assert await GetFile(work)(task.owner_id, task.id, file.id) == file


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (Sent(b""), EmptyFile),
        (Sent(b"x" * (LARGEST + 1)), FileTooLarge),
        (Sent(filename="notes.exe"), FileTypeNotAllowed),
        (Sent(filename="notes"), FileTypeNotAllowed),
        (Sent(filename="notes.md"), FileTypeNotAllowed),
        (Sent(filename="../notes.txt"), Invalid),
        (Sent(declared_type="text/html"), FileTypeMismatch),
        (Sent(b"a\0b"), FileTypeMismatch),
        (Sent(b"Gr\xfc"), FileTypeMismatch),
        (Sent(b"Gr\xc3"), FileTypeMismatch),
        (Sent(b"PK\x03\x04", "a.docx"), FileTypeMismatch),
        (Sent(sha256="0" * 64), DigestMismatch),
        (Sent(breaks_off=True), ConnectionResetError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
async def test_what_is_refused_leaves_nothing(
    upload: UploadFile, work: Work, storage: Storage, task: Task, sent: Sent, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await upload(task.owner_id, task.id, replace(sent))
    assert (storage.names(), await files_of(work, task), work.jobs()) == ([], [], [])


async def test_a_file_of_exactly_the_limit_passes(upload: UploadFile, task: Task) -> None:
    file = await upload(task.owner_id, task.id, Sent(b"x" * LARGEST, announced=LARGEST))
    assert file.file_size == LARGEST


async def test_a_file_of_exactly_what_is_left_passes_and_one_byte_more_does_not(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    await stored_file(work, task, size=QUOTA - 20)
    with pytest.raises(QuotaExceeded):
        await upload(task.owner_id, task.id, Sent(b"x" * 21))
    assert storage.names() == []
    await upload(task.owner_id, task.id, Sent(b"x" * 20))
    with pytest.raises(QuotaExceeded):
        await upload(task.owner_id, task.id, Sent(b"x"))
    assert len(storage.names()) == 1


@pytest.mark.parametrize(
    ("announced", "held", "error"),
    [
        (LARGEST + 1, 0, FileTooLarge),
        (LARGEST + 1, QUOTA, FileTooLarge),
        (51, 100, QuotaExceeded),
        (1, QUOTA, QuotaExceeded),
    ],
)
async def test_what_cannot_fit_is_refused_before_it_is_read(
    upload: UploadFile, work: Work, task: Task, announced: int, held: int, error: type[DomainError]
) -> None:
    if held:
        await stored_file(work, task, size=held)
    sent = Sent(announced=announced)
    with pytest.raises(error):
        await upload(task.owner_id, task.id, sent)
    assert not sent.opened


async def test_of_what_is_too_large_little_more_than_the_limit_is_read(upload: UploadFile, task: Task) -> None:
    sent = Sent(b"x" * 100_000)
    with pytest.raises(FileTooLarge):
        await upload(task.owner_id, task.id, sent)
    assert sent.read == 11


async def test_of_what_is_not_what_it_says_only_the_start_is_read(upload: UploadFile, task: Task) -> None:
    sent = Sent(b"GIF89a" + b"x" * 90, "a.png")
    with pytest.raises(FileTypeMismatch):
        await upload(task.owner_id, task.id, sent)
    assert sent.read == 2


async def test_a_strangers_task_is_judged_before_anything_else(upload: UploadFile, work: Work, task: Task) -> None:
    stranger = await stored_user(work)
    for owner, task_id in ((stranger.id, task.id), (task.owner_id, TaskId(10**6))):
        sent = Sent(filename="notes.exe", announced=10**9)
        with pytest.raises(TaskNotFound):
            await upload(owner, task_id, sent)
        assert not sent.opened
