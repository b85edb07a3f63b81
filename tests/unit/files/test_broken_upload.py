"""All or nothing, whatever breaks during an upload."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from application.ports import DatabaseAway, StorageAway, StorageFull, Transaction
from application.uploads import UploadFile
from domain.file import TaskFile
from domain.task import Task, TaskNotFound
from domain.upload import UploadAbandoned
from tests.examples import MINUTE, NOON
from tests.unit.files.parts import LARGEST, Sent, Storage, Work, files_of


async def test_a_task_deleted_during_the_upload_takes_the_bytes_along(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    class Slow(Sent):
        @override
        async def chunks(self) -> AsyncIterator[bytes]:
            async with work.write() as tx:
                await tx.tasks.delete([await tx.tasks.get(task.id, owner=task.owner_id)])
            yield b"too late"

    with pytest.raises(TaskNotFound):
        await upload(task.owner_id, task.id, Slow())
    assert (storage.names(), work.reserved()) == ([], [])


@pytest.mark.parametrize("error", [StorageAway, StorageFull])
async def test_a_storage_that_fails_gives_the_room_back(
    upload: UploadFile,
    work: Work,
    storage: Storage,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    async def put(name: str, chunks: AsyncIterable[bytes]) -> None:
        assert work.reserved() == [LARGEST]
        raise error

    monkeypatch.setattr(storage, "put", put)
    with pytest.raises(error):
        await upload(task.owner_id, task.id, Sent())
    assert work.reserved() == []


async def test_a_database_lost_at_the_end_does_not_hide_what_went_wrong(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    with pytest.raises(ConnectionResetError):
        await upload(task.owner_id, task.id, Sent(breaks_off=True, at_the_end=work.lose("lost_before_commit")))
    assert (storage.names(), work.reserved()) == ([], [LARGEST])


async def test_an_upload_that_goes_on_is_seen_three_times_before_it_is_given_up(
    upload: UploadFile, work: Work, task: Task
) -> None:
    now, lost = NOON, timedelta(seconds=80)
    seen: list[timedelta] = []

    class Slow(Sent):
        @override
        async def chunks(self) -> AsyncIterator[bytes]:
            nonlocal now
            for _ in range(10):
                yield b"x"
                seen.extend(upload.seen_at - NOON for upload in work.database.snapshot().uploads.values())
                now += timedelta(seconds=10)
                work.lost_before_commit = now - NOON == lost

    slow = replace(upload, clock=lambda: now)
    file = await slow(task.owner_id, task.id, Slow())
    # While the database is lost nothing fails; it is told at the next time.
    assert [at.seconds for at in seen] == [0, 0, 20, 20, 40, 40, 60, 60, 60, 60]
    assert file.uploaded_at == NOON + timedelta(seconds=100)
    now = NOON
    seen.clear()
    await replace(slow, abandoned_after=timedelta(seconds=30))(task.owner_id, task.id, Slow())
    assert [at.seconds for at in seen] == [0, 10, 20, 30, 40, 50, 60, 70, 70, 90]


async def test_an_upload_that_was_given_up_is_not_recorded(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    class Forgotten(Sent):
        @override
        async def chunks(self) -> AsyncIterator[bytes]:
            yield b"too late"
            async with work.write() as tx:
                assert await tx.uploads.abandon(unseen_since=NOON + MINUTE) == 1

    with pytest.raises(UploadAbandoned):
        await upload(task.owner_id, task.id, Forgotten())
    assert (storage.names(), await files_of(work, task)) == ([], [])


async def test_a_database_lost_in_the_commit_keeps_the_bytes_since_the_commit_may_still_be_going_on(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    with pytest.raises(DatabaseAway):
        await upload(task.owner_id, task.id, Sent(at_the_end=work.lose("lost_before_commit")))
    # Its upload stays too, so that the bytes are known, until it was not seen for long.
    assert (len(storage.names()), await files_of(work, task), work.reserved()) == (1, [], [LARGEST])


async def test_a_database_lost_in_the_commit_does_not_part_the_record_from_its_bytes(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    file = await upload(task.owner_id, task.id, Sent(at_the_end=work.lose("lost_after_commit")))
    assert await files_of(work, task) == [file]
    assert storage.names() == [file.stored_name]


async def test_bytes_stay_as_long_as_nobody_can_tell_whether_they_are_recorded(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    with pytest.raises(DatabaseAway):
        await upload(task.owner_id, task.id, Sent(at_the_end=work.lose("lost_after_commit", "lost")))
    work.lost = False
    assert [file.stored_name for file in await files_of(work, task)] == storage.names() != []


async def test_a_storage_lost_while_tidying_up_does_not_hide_what_went_wrong(
    upload: UploadFile, work: Work, storage: Storage, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(name: str) -> None:
        raise StorageAway

    monkeypatch.setattr(storage, "delete", away)
    with pytest.raises(DatabaseAway):
        await upload(task.owner_id, task.id, Sent(at_the_end=work.lose("lost_before_commit")))


async def test_an_upload_cancelled_while_it_arrives_leaves_nothing(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    reached = asyncio.Event()
    uploading = asyncio.create_task(upload(task.owner_id, task.id, Sent(waits=reached)))
    await reached.wait()
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    assert (storage.names(), await files_of(work, task), work.reserved()) == ([], [], [])


async def test_an_upload_cancelled_while_it_is_recorded_is_recorded(
    upload: UploadFile, work: Work, storage: Storage, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploading: asyncio.Task[TaskFile]
    real = work.write

    @asynccontextmanager
    async def write() -> AsyncIterator[Transaction]:
        for _ in range(3):  # a server that stops may cancel more than once
            uploading.cancel()
            await asyncio.sleep(0)
        async with real() as tx:
            yield tx

    sent = Sent(at_the_end=lambda: monkeypatch.setattr(work, "write", write))
    uploading = asyncio.create_task(upload(task.owner_id, task.id, sent))
    with pytest.raises(asyncio.CancelledError):
        await uploading
    assert [file.stored_name for file in await files_of(work, task)] == storage.names() != []


async def test_one_quota_holds_for_uploads_at_the_same_time(
    upload: UploadFile, work: Work, storage: Storage, task: Task
) -> None:
    uploads = [upload(task.owner_id, task.id, Sent(b"x" * 40, size=40)) for _ in range(10)]
    outcomes = await asyncio.gather(*uploads, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["QuotaExceeded"] * 7 + ["TaskFile"] * 3
    assert [file.stored_name for file in await files_of(work, task)] == storage.names()
