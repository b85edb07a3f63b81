"""What the reconciler finds, what it mends, and what it does not believe."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from typing_extensions import override

from application.files import DeleteFile
from application.ports import DatabaseAway, StorageAway, StoredContent
from application.reconcile import (
    BY_AN_OPERATOR,
    BY_ITSELF,
    SHOWN,
    WHATEVER_IT_FINDS,
    Belief,
    Findings,
    ReconcileFiles,
    Wrong,
)
from application.uploads import UploadFile
from domain.file import TaskFile, stored_name
from domain.task import Task, TaskId
from domain.upload import SILENCE, Upload
from tests.contract.contents import some
from tests.examples import MINUTE, NOON, stored_file, stored_task, stored_user
from tests.unit.files.parts import Sent, Storage, Work, files_of

MIN_AGE = 15 * MINUTE
OLD = NOON - MIN_AGE - timedelta(seconds=1)


@dataclass
class Chronicle:
    lost: list[tuple[int, Wrong]] = field(default_factory=list)
    runs: list[Findings] = field(default_factory=list)

    def removed(self, file: TaskFile, why: Wrong) -> None:
        self.lost.append((file.id, why))

    def finished(self, findings: Findings) -> None:
        self.runs.append(findings)


class Aged(Storage):
    """Bytes that are as old as they are said to be, and drafts."""

    def __init__(self) -> None:
        self.now = OLD
        super().__init__(lambda: self.now)
        self.drafts: list[StoredContent] = []
        self.away_after = 10**9

    @override
    async def page(self, *, after: str = "", limit: int = 2) -> list[StoredContent]:
        stored = [*(draft for draft in self.drafts if draft.name > after), *await super().page(after=after, limit=2)]
        return sorted(stored, key=lambda one: one.name)[:2]

    @override
    async def size(self, name: str) -> int:
        self._count()
        return await super().size(name)

    @override
    async def delete(self, name: str) -> None:
        self._count()
        self.drafts = [draft for draft in self.drafts if draft.name != name]
        await super().delete(name)

    def _count(self) -> None:
        self.away_after -= 1
        if self.away_after < 0:
            raise StorageAway


@pytest.fixture
def storage() -> Aged:
    return Aged()


@pytest.fixture
def chronicle() -> Chronicle:
    return Chronicle()


@pytest.fixture
def reconcile(work: Work, storage: Storage, chronicle: Chronicle) -> ReconcileFiles:
    return ReconcileFiles(work, storage, lambda: NOON, MIN_AGE, chronicle)


async def whole_file(work: Work, storage: Storage, task: Task, *, size: int = 10) -> TaskFile:
    file = await stored_file(work, task, size=size)
    await storage.put(file.stored_name, some(b"x" * size))
    return file


async def stray(storage: Storage) -> str:
    await storage.put(name := stored_name(TaskId(1), "txt"), some(b"stray"))
    return name


def wrong(findings: Findings) -> dict[Wrong, tuple[int, int]]:
    return {kind: (found.total, found.mended) for kind, found in findings.wrong.items() if found.total}


async def test_where_nothing_is_wrong_nothing_is_done(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task, chronicle: Chronicle
) -> None:
    files = [await whole_file(work, storage, task) for _ in range(5)]
    before = work.database.snapshot()
    for fix, belief in product((False, True), (BY_ITSELF, WHATEVER_IT_FINDS)):
        findings = await reconcile(fix=fix, belief=belief)
        assert (wrong(findings), findings.left, findings.contents, findings.records) == ({}, 0, 5, 5)
    assert storage.names() == [file.stored_name for file in files]
    assert work.database.snapshot() == before
    assert chronicle.lost == []


async def everything_wrong(work: Work, storage: Aged, task: Task) -> tuple[list[TaskFile], dict[Wrong, list[Any]]]:
    """Files that are whole, and by kind the names or ids of what is wrong among them."""
    whole = [await whole_file(work, storage, task) for _ in range(10)]
    missing, cut = await whole_file(work, storage, task), await whole_file(work, storage, task)
    await storage.delete(missing.stored_name)
    await storage.put(cut.stored_name, some(b"cut"))
    strays = [await stray(storage) for _ in range(3)]
    storage.drafts = [StoredContent(f".draft-{number}", 1, OLD, f"{number}") for number in range(2)]
    other = await stored_task(work, await stored_user(work))
    async with work.database.draft() as draft:
        draft.tasks[other.id] = replace(other, file_count=7)
    return whole, {
        Wrong.STRAY: sorted([*strays, ".draft-0", ".draft-1"]),
        Wrong.MISSING: [missing.id],
        Wrong.WRONG_SIZE: [cut.id],
        Wrong.MISCOUNTED: [other.owner_id],
    }


async def test_a_look_finds_everything_and_changes_nothing(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task, chronicle: Chronicle
) -> None:
    _, expected = await everything_wrong(work, storage, task)
    before = work.database.snapshot(), storage.names(), list(storage.drafts)
    findings = await reconcile(fix=False)
    assert {kind: found.first for kind, found in findings.wrong.items() if found.total} == expected
    assert wrong(findings) == {kind: (len(which), 0) for kind, which in expected.items()}
    assert (findings.left, findings.contents, findings.records) == (8, 16, 12)
    assert (work.database.snapshot(), storage.names(), storage.drafts) == before
    assert (chronicle.lost, chronicle.runs) == ([], [])


@pytest.mark.parametrize("belief", [BY_ITSELF, BY_AN_OPERATOR, WHATEVER_IT_FINDS], ids=["job", "fix", "insist"])
async def test_all_that_is_wrong_is_mended_and_then_nothing_is_wrong(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task, chronicle: Chronicle, belief: Belief
) -> None:
    whole, expected = await everything_wrong(work, storage, task)
    findings = await reconcile(belief=belief)
    assert wrong(findings) == {kind: (len(which), len(which)) for kind, which in expected.items()}
    assert (findings.left, chronicle.runs) == (0, [findings])
    assert sorted(chronicle.lost) == sorted((expected[kind][0], kind) for kind in (Wrong.MISSING, Wrong.WRONG_SIZE))
    assert (storage.names(), storage.drafts) == ([file.stored_name for file in whole], [])
    assert await files_of(work, task) == whole
    async with work.read() as tx:
        assert (await tx.tasks.get(task.id, owner=task.owner_id)).file_count == len(whole)
    assert wrong(await reconcile(fix=False)) == {}


async def test_what_is_young_or_known_is_left_alone(
    reconcile: ReconcileFiles, work: Work, storage: Aged, upload: UploadFile, task: Task
) -> None:
    async def source() -> AsyncIterator[bytes]:
        (under_way,) = work.database.snapshot().uploads
        storage.drafts = [StoredContent(".draft-0", 1, OLD, under_way)]
        await storage.put(under_way, some(b"all of it, as it were"))
        assert wrong(await reconcile()) == {}
        yield b"Hello"

    storage.now = NOON - MIN_AGE
    young = await stray(storage)
    storage.now = OLD
    sent = Sent()
    sent.chunks = source  # type: ignore[method-assign]  # a sender who looks at what we do
    file = await upload(task.owner_id, task.id, sent)
    assert storage.names() == [young, file.stored_name]
    assert len(storage.drafts) == 1


async def test_however_young_strays_may_be_an_upload_is_given_time_for_a_sign_of_life(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task
) -> None:
    storage.now = NOON - SILENCE / 2
    name, under_way = await stray(storage), await stray(storage)
    async with work.write() as tx:
        await tx.uploads.begin(Upload(under_way, task.owner_id, 1, storage.now), quota=10)
    assert wrong(await replace(reconcile, min_age=timedelta())()) == {Wrong.STRAY: (1, 1)}
    assert (storage.names(), name != under_way) == ([under_way], True)


async def test_an_upload_that_nobody_has_heard_of_is_given_up_with_its_bytes(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task
) -> None:
    names = [await stray(storage) for _ in range(2)]
    for name, seen_at in zip(names, (OLD, NOON - MIN_AGE), strict=True):
        async with work.write() as tx:
            await tx.uploads.begin(Upload(name, task.owner_id, 1, seen_at), quota=10)
    assert wrong(await reconcile(fix=False)) == {Wrong.ABANDONED: (1, 0)}
    assert storage.names() == names
    assert wrong(await reconcile()) == {Wrong.ABANDONED: (1, 1), Wrong.STRAY: (1, 1)}
    assert (storage.names(), list(work.database.snapshot().uploads)) == (names[1:], names[1:])


@pytest.mark.parametrize(("lost", "left"), [(5, 0), (6, 6)])
async def test_a_storage_that_lost_more_than_half_is_believed_by_an_operator_only(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task, chronicle: Chronicle, lost: int, left: int
) -> None:
    files = [await whole_file(work, storage, task) for _ in range(10)]
    await storage.delete(files[0].stored_name)
    for file in files[1:lost]:
        await storage.put(file.stored_name, some(b"cut"))
    name = await stray(storage)
    findings = await reconcile()
    assert (findings.left, name in storage.names()) == (left, False)
    assert await files_of(work, task) == files[lost - left :]
    assert (await reconcile(belief=WHATEVER_IT_FINDS)).left == 0
    assert await files_of(work, task) == files[lost:]
    assert len(chronicle.lost) == lost


@pytest.mark.parametrize(("whole", "left"), [(0, int(BY_ITSELF.strays) + 1), (int(BY_ITSELF.strays) + 1, 0)])
async def test_a_database_that_knows_less_than_half_is_believed_by_an_operator_only(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task, whole: int, left: int
) -> None:
    files = [await whole_file(work, storage, task) for _ in range(whole)]
    strays = [await stray(storage) for _ in range(int(BY_ITSELF.strays) + 1)]
    findings = await reconcile()
    assert findings.wrong[Wrong.STRAY].first == sorted(strays)[:SHOWN]
    assert (findings.left, len(storage.names())) == (left, whole + left)
    assert (await reconcile(belief=WHATEVER_IT_FINDS)).left == 0
    assert storage.names() == [file.stored_name for file in files]


@pytest.mark.parametrize(("count", "left"), [(10, 0), (11, 11)])
async def test_another_storage_and_another_database_are_believed_only_by_who_insists(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task, count: int, left: int
) -> None:
    for _ in range(count):
        await storage.delete((await whole_file(work, storage, task)).stored_name)
    strays = [await stray(storage) for _ in range(101 if left else 100)]
    findings = await reconcile(belief=BY_AN_OPERATOR)
    assert (findings.wrong[Wrong.MISSING].left, findings.wrong[Wrong.STRAY].left) == (left, left and len(strays))
    assert len(await files_of(work, task)) == left
    assert (await reconcile(belief=WHATEVER_IT_FINDS)).left == 0
    assert (await files_of(work, task), storage.names()) == ([], [])


async def test_what_disappears_after_the_look_is_not_believed(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task
) -> None:
    """Such as the files of a folder that is unmounted in between."""
    files = [await whole_file(work, storage, task) for _ in range(6)]
    await storage.delete(min(file.stored_name for file in files))
    looked: list[int] = []

    def unmount(at: int, of: int) -> None:
        looked.append(at)
        if at == len(files) - 1:  # the end of the look
            for file in files:
                storage._contents.pop(file.stored_name, None)  # noqa: SLF001  # behind its back

    findings = await reconcile(looked=unmount)
    assert wrong(findings) == {Wrong.MISSING: (6, 1)}
    assert len(await files_of(work, task)) == 5
    assert looked == [2, 4, 5]


@pytest.mark.parametrize("fix", [False, True])
async def test_a_file_that_comes_or_goes_while_it_is_looked_at_is_not_wrong(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task, monkeypatch: pytest.MonkeyPatch, fix: bool
) -> None:
    gone = await whole_file(work, storage, task)
    real_page, real_size = storage.page, storage.size

    async def page(*, after: str = "", limit: int = 2) -> list[StoredContent]:
        found = await real_page(after=after, limit=limit)
        if not found:
            await whole_file(work, storage, task)
        return found

    async def size(name: str) -> int:
        if name == gone.stored_name:
            await DeleteFile(work)(task.owner_id, gone.id)
        return await real_size(name)

    monkeypatch.setattr(storage, "page", page)
    monkeypatch.setattr(storage, "size", size)
    await storage.delete(gone.stored_name)
    assert wrong(await reconcile(fix=fix, belief=WHATEVER_IT_FINDS)) == {}
    assert [file.stored_name for file in await files_of(work, task)] == storage.names() != []


@pytest.mark.parametrize("calls", range(9))
async def test_a_run_that_is_cut_off_leaves_nothing_that_the_next_one_does_not_mend(
    reconcile: ReconcileFiles, work: Work, storage: Aged, task: Task, calls: int
) -> None:
    whole, _ = await everything_wrong(work, storage, task)
    storage.away_after = calls
    with pytest.raises(StorageAway):
        await reconcile(belief=WHATEVER_IT_FINDS)
    work.lost_before_commit = True
    storage.away_after = 10**9
    with pytest.raises(DatabaseAway):
        await reconcile(belief=WHATEVER_IT_FINDS)
    work.lost_before_commit = False
    await reconcile(belief=WHATEVER_IT_FINDS)
    assert wrong(await reconcile(fix=False)) == {}
    assert (await files_of(work, task), storage.names()) == (whole, [file.stored_name for file in whole])
