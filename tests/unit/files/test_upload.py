"""Uploads that are accepted, and what is refused."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256

import pytest
from typing_extensions import override

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
    assert (await files_of(work, task), work.reserved()) == ([file], [])
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
    assert (storage.names(), await files_of(work, task), work.jobs(), work.reserved()) == ([], [], [], [])


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
    ("size", "held", "reserved"),
    [
        (5, QUOTA - 5, 5),
        (None, 0, LARGEST),
        (None, QUOTA - LARGEST, LARGEST),
        (None, QUOTA - 20, 20),
        (LARGEST + 20, 0, LARGEST),  # most of it may be what comes after the file
    ],
)
async def test_room_is_reserved_before_the_first_byte(
    upload: UploadFile, work: Work, storage: Storage, task: Task, size: int | None, held: int, reserved: int
) -> None:
    found = []

    class Looking(Sent):
        @override
        async def chunks(self) -> AsyncIterator[bytes]:
            found.append(work.reserved())
            async for chunk in super().chunks():
                yield chunk

    await stored_file(work, task, size=held)
    await upload(task.owner_id, task.id, Looking(size=size))
    assert (found, work.reserved()) == ([[reserved]], [])


@pytest.mark.parametrize(("size", "error"), [(21, QuotaExceeded), (LARGEST + 1, FileTooLarge)])
async def test_what_has_no_room_is_refused_before_its_content_is_read(
    upload: UploadFile, work: Work, task: Task, size: int, error: type[DomainError]
) -> None:
    await stored_file(work, task, size=QUOTA - 20)
    sent = Sent(b"x" * size, size=size)
    with pytest.raises(error):
        await upload(task.owner_id, task.id, sent)
    assert (sent.opened, sent.read, work.reserved()) == (True, 0, [])


@pytest.mark.parametrize(("left", "error"), [(52, None), (51, QuotaExceeded)])
async def test_a_file_larger_than_its_size_was_thought_is_judged_in_the_end(
    upload: UploadFile, work: Work, storage: Storage, task: Task, left: int, error: type[DomainError] | None
) -> None:
    await stored_file(work, task, size=QUOTA - left)
    with pytest.raises(error) if error else nullcontext():
        await upload(task.owner_id, task.id, Sent(b"x" * 52, size=50))
    assert (len(storage.names()), work.reserved()) == (0 if error else 1, [])


@pytest.mark.parametrize(
    ("announced", "held", "error"),
    [
        (LARGEST + 1, 0, FileTooLarge),
        (LARGEST + 1, QUOTA, FileTooLarge),
        (51, 100, QuotaExceeded),
        (0, QUOTA, QuotaExceeded),
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
