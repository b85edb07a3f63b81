"""Uploads and the reconciler at once, on every database and storage: no record without bytes, no bytes without one."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from application.ports import FileStorage, UnitOfWork
from application.reconcile import WHATEVER_IT_FINDS, ReconcileFiles, Wrong
from application.uploads import IncomingFile, UploadFile
from domain.errors import Unavailable
from domain.file import TaskFile
from domain.task import Task
from infrastructure.chronicle import LoggedChronicle
from infrastructure.filesystem import FilesystemStorage
from infrastructure.s3 import PART
from tests.contract.contents import content
from tests.examples import MINUTE, QUOTA, stored_task, stored_user
from tests.s3 import storage_at

MIN_AGE = 15 * MINUTE
PIECES = [bytes([number]) * PART for number in range(3)]
Act = Callable[[], Awaitable[object]]


class Clock:
    def __init__(self) -> None:
        self.passed = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.passed


@dataclass
class Sent:
    """After each of its pieces something happens."""

    acts: Sequence[Act]

    def least_size(self) -> int:
        return 0

    async def open(self) -> IncomingFile:
        return IncomingFile("a.png", "", None, None, self._chunks())

    async def _chunks(self) -> AsyncIterator[bytes]:
        for piece, act in zip(PIECES, self.acts, strict=True):
            yield b"\x89PNG\r\n\x1a\n" + piece
            await act()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["disk", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> FileStorage:
    if request.param == "disk":
        return FilesystemStorage(tmp_path / "files")
    return storage_at(f"{request.getfixturevalue('s3_url')}/{uuid4().hex}")


@pytest.fixture
def upload(work_alone: UnitOfWork, storage: FileStorage, clock: Clock) -> UploadFile:
    limits = {"largest": QUOTA, "quota": QUOTA}
    return UploadFile(work_alone, storage, clock, **limits, allowed=frozenset({"png"}), abandoned_after=MIN_AGE)


@pytest.fixture
def reconcile(work_alone: UnitOfWork, storage: FileStorage, clock: Clock) -> ReconcileFiles:
    return ReconcileFiles(work_alone, storage, clock, MIN_AGE, LoggedChronicle())


@pytest.fixture
async def task(work_alone: UnitOfWork) -> Task:
    return await stored_task(work_alone, await stored_user(work_alone))


async def nothing() -> None:
    pass


async def recorded(work: UnitOfWork) -> list[TaskFile]:
    async with work.read() as tx:
        return list(await tx.files.page(after="", upto="~"))


async def test_bytes_of_an_upload_that_goes_on_are_safe_however_old_they_are(
    upload: UploadFile, reconcile: ReconcileFiles, clock: Clock, storage: FileStorage, task: Task
) -> None:
    async def later() -> None:
        clock.passed += MIN_AGE - MINUTE
        findings = await reconcile(belief=WHATEVER_IT_FINDS)
        assert (findings.left, findings.wrong[Wrong.STRAY].total, findings.wrong[Wrong.ABANDONED].total) == (0, 0, 0)

    file = await upload(task.owner_id, task.id, Sent([later, later, later]))
    clock.passed += MIN_AGE * 2
    findings = await reconcile()
    assert (findings.contents, findings.records) == (1, 1)
    assert sum(found.total for found in findings.wrong.values()) == 0
    assert len(await content(storage, file.stored_name)) == file.file_size


@pytest.mark.parametrize("moment", ["start", "middle", "end", "stored"])
async def test_an_upload_that_was_paused_for_too_long_fails_and_leaves_nothing(
    upload: UploadFile,
    reconcile: ReconcileFiles,
    clock: Clock,
    storage: FileStorage,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    kept = await upload(task.owner_id, task.id, Sent([nothing] * 3))
    abandoned: list[int] = []

    async def pause() -> None:
        clock.passed += MIN_AGE * 2
        abandoned.append((await reconcile()).wrong[Wrong.ABANDONED].mended)

    real = storage.put

    async def put(name: str, chunks: AsyncIterator[bytes]) -> None:
        await real(name, chunks)
        if moment == "stored":
            await pause()

    monkeypatch.setattr(storage, "put", put)
    acts = [pause if moment == here else nothing for here in ("start", "middle", "end")]
    with pytest.raises(Unavailable):
        await upload(task.owner_id, task.id, Sent(acts))
    assert abandoned == [1]
    assert [one.name for one in await storage.page()] == [kept.stored_name]
    assert await recorded(upload.work) == [kept]
    assert len(await content(storage, kept.stored_name)) == kept.file_size
    findings = await reconcile(fix=False)
    assert sum(found.total for found in findings.wrong.values()) == 0
