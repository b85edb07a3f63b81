"""What any repository of uploads under way promises: files and uploads together never hold more than the quota."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from application.ports import UnitOfWork
from domain.file import QuotaExceeded, TaskFile
from domain.task import TaskId, TaskNotFound
from domain.upload import LEASE, Upload, UploadAbandoned
from domain.user import NotAuthenticated, User, UserId
from tests.examples import NOON, a_file, stored_file, stored_task, stored_user

TICK = timedelta(microseconds=1)


def an_upload(owner: User, reserved: int = 10, *, seen_at: datetime = NOON) -> Upload:
    return Upload(f"task_1_{uuid4()}.txt", owner.id, reserved, seen_at)


async def begin(work: UnitOfWork, upload: Upload, *, quota: int = 100, least: int | None = None) -> Upload:
    async with work.write() as tx:
        return await tx.uploads.begin(upload, quota=quota, least=least)


async def add(work: UnitOfWork, file: TaskFile, *, quota: int = 100) -> TaskFile:
    async with work.write() as tx:
        return await tx.files.add(file, quota=quota)


async def left(work: UnitOfWork, owner: User, *, quota: int = 100, now: datetime = NOON) -> int:
    task = await stored_task(work, owner)
    async with work.read() as tx:
        return await tx.uploads.left(task.id, owner=owner.id, quota=quota, now=now)


async def known(work: UnitOfWork, names: Sequence[str]) -> set[str]:
    async with work.read() as tx:
        return await tx.uploads.known(names)


async def test_what_files_and_uploads_hold_is_not_left(work: UnitOfWork) -> None:
    user, other = await stored_user(work), await stored_user(work)
    await stored_file(work, await stored_task(work, user), size=30)
    upload = an_upload(user, 70)
    assert await begin(work, upload) == upload
    assert (await left(work, user), await left(work, user, quota=99), await left(work, other)) == (0, 0, 100)
    with pytest.raises(QuotaExceeded):
        await begin(work, an_upload(user, 1))
    async with work.write() as tx:
        await tx.uploads.end(upload.stored_name)
        await tx.uploads.end(upload.stored_name)
    assert await left(work, user) == 70


async def test_what_is_left_will_do_if_it_is_as_much_as_the_least(work: UnitOfWork) -> None:
    user = await stored_user(work)
    assert await begin(work, first := an_upload(user, 60), least=0) == first
    with pytest.raises(QuotaExceeded):
        await begin(work, an_upload(user, 60), least=41)
    assert await begin(work, second := an_upload(user, 60), least=40) == replace(second, reserved=40)
    assert await begin(work, third := an_upload(user, 60), least=0) == replace(third, reserved=0)
    assert await left(work, user, quota=101) == 1


@pytest.mark.parametrize("seconds_apart", [0, 40])
async def test_exactly_what_fits_of_many_at_once_begins_and_is_recorded(work: UnitOfWork, seconds_apart: int) -> None:
    """Also from hosts whose clocks differ."""
    user = await stored_user(work)
    tasks = [await stored_task(work, user) for _ in range(3)]
    files = [a_file(tasks[n % 3], size=10) for n in range(25)]

    async def upload(number: int, file: TaskFile) -> TaskFile:
        now = NOON + timedelta(seconds=seconds_apart) * (number % 2)
        await begin(work, Upload(file.stored_name, user.id, 10, now))
        begun.release()
        await all_have_tried.wait()
        return await add(work, replace(file, uploaded_at=now))

    begun, all_have_tried = asyncio.Semaphore(0), asyncio.Event()
    uploads = [asyncio.create_task(upload(number, file)) for number, file in enumerate(files)]
    for _ in range(10):
        await begun.acquire()
    assert await left(work, user) == 0
    all_have_tried.set()
    outcomes = await asyncio.gather(*uploads, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["QuotaExceeded"] * 15 + ["TaskFile"] * 10
    assert (await left(work, user), await left(work, user, now=NOON + 2 * LEASE)) == (0, 0)


async def test_many_who_take_what_is_left_take_no_more(work: UnitOfWork) -> None:
    user = await stored_user(work)
    outcomes = await asyncio.gather(
        *(begin(work, an_upload(user, 30), least=1) for _ in range(8)), return_exceptions=True
    )
    begun = [outcome.reserved for outcome in outcomes if isinstance(outcome, Upload)]
    assert sorted(begun) == [10, 30, 30, 30]


async def test_beginning_and_recording_at_once_get_in_nobodys_way(work: UnitOfWork) -> None:
    user = await stored_user(work)
    tasks = [await stored_task(work, user) for _ in range(2)]

    async def upload(number: int) -> int:
        file = a_file(tasks[number % 2], size=9)
        await begin(work, Upload(file.stored_name, user.id, 10, NOON), quota=200)
        async with work.write() as tx:
            await tx.uploads.renew(file.stored_name, at=NOON)
        return (await add(work, file, quota=200)).file_size

    assert await asyncio.gather(*map(upload, range(20))) == [9] * 20
    assert await left(work, user, quota=200) == 20


async def test_a_reservation_leaves_the_version_of_the_statistics(work: UnitOfWork) -> None:
    user = await stored_user(work)
    file = a_file(await stored_task(work, user))
    async with work.write() as tx:
        before = await tx.stats.version(user.id)
        await tx.uploads.begin(Upload(file.stored_name, user.id, 10, NOON), quota=100)
        await tx.uploads.renew(file.stored_name, at=NOON)
        await tx.uploads.end(file.stored_name)
        assert await tx.stats.version(user.id) == before


async def test_who_was_not_seen_for_too_long_holds_no_room_but_can_be_recorded(work: UnitOfWork) -> None:
    user = await stored_user(work)
    file = replace(a_file(await stored_task(work, user), size=60), uploaded_at=NOON + LEASE)
    await begin(work, Upload(file.stored_name, user.id, 60, NOON))
    assert await left(work, user, now=NOON + LEASE - TICK) == 40
    assert await left(work, user, now=NOON + LEASE) == 100
    await begin(work, an_upload(user, 40, seen_at=NOON + LEASE))
    await add(work, file)
    assert await left(work, user, now=NOON + LEASE) == 0


async def test_who_was_given_away_the_room_of_is_judged_by_what_is_left(work: UnitOfWork) -> None:
    user = await stored_user(work)
    file = replace(a_file(await stored_task(work, user), size=60), uploaded_at=NOON + LEASE)
    await begin(work, Upload(file.stored_name, user.id, 60, NOON))
    await begin(work, an_upload(user, 41, seen_at=NOON + LEASE))
    with pytest.raises(QuotaExceeded):
        await add(work, file)
    assert await left(work, user, now=NOON + LEASE) == 59
    assert await known(work, [file.stored_name]) == {file.stored_name}  # nothing of the refused write stays


async def test_who_is_seen_keeps_his_room(work: UnitOfWork) -> None:
    user = await stored_user(work)
    upload = await begin(work, an_upload(user, 60))
    async with work.write() as tx:
        await tx.uploads.renew(upload.stored_name, at=NOON + LEASE)
        await tx.uploads.renew("task_1_nobody.txt", at=NOON)
    assert await left(work, user, now=NOON + LEASE) == 40


async def test_more_than_was_reserved_is_judged_by_what_is_left(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user)
    first, second = a_file(task, size=52), a_file(task, size=50)
    for file in (first, second):
        await begin(work, Upload(file.stored_name, user.id, 50, NOON), quota=101)
    with pytest.raises(QuotaExceeded):
        await add(work, first, quota=101)
    await add(work, second, quota=101)
    await add(work, replace(first, file_size=51), quota=101)
    assert await left(work, user, quota=101) == 0


async def test_only_one_file_comes_of_an_upload(work: UnitOfWork) -> None:
    user = await stored_user(work)
    file = await stored_file(work, await stored_task(work, user))
    with pytest.raises(UploadAbandoned):
        await add(work, file)
    assert await left(work, user) == 90


async def test_the_abandoned_can_not_be_recorded_any_more(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user)
    # Tests share a database: what is as old as this is nobody else's.
    long_ago = NOON - timedelta(days=10_000)
    files = [a_file(task), a_file(task), a_file(task)]
    for file, seconds in zip(files, (-1, 0, 1), strict=True):
        await begin(work, Upload(file.stored_name, user.id, 10, long_ago + timedelta(seconds=seconds)))
    async with work.write() as tx:
        for count in (1, 0):
            assert await tx.uploads.unseen(since=long_ago) == count
            assert await tx.uploads.abandon(unseen_since=long_ago) == count
        await tx.uploads.renew(files[0].stored_name, at=NOON)
    with pytest.raises(UploadAbandoned):
        await add(work, files[0])
    assert await known(work, [file.stored_name for file in files]) == {file.stored_name for file in files[1:]}
    assert (await add(work, files[1])).stored_name == files[1].stored_name


async def test_of_recording_and_abandoning_at_once_one_comes_first(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user)
    long_ago = NOON - timedelta(days=20_000)
    files = [replace(a_file(task, size=1), uploaded_at=long_ago) for _ in range(10)]
    for file in files:
        await begin(work, Upload(file.stored_name, user.id, 1, long_ago))

    async def abandon() -> int:
        async with work.write() as tx:
            return await tx.uploads.abandon(unseen_since=long_ago + TICK)

    outcomes = await asyncio.gather(
        *(add(work, file) for file in files[:5]),
        abandon(),
        *(add(work, file) for file in files[5:]),
        return_exceptions=True,
    )
    recorded = {outcome.stored_name for outcome in outcomes if isinstance(outcome, TaskFile)}
    abandoned = sum(isinstance(outcome, UploadAbandoned) for outcome in outcomes)
    assert (len(recorded) + abandoned, outcomes[5]) == (10, abandoned)
    assert await known(work, [file.stored_name for file in files]) == recorded


async def test_known_is_what_belongs_to_an_upload_or_a_file(work: UnitOfWork) -> None:
    user = await stored_user(work)
    task = await stored_task(work, user)
    upload, file, unknown = await begin(work, an_upload(user)), await stored_file(work, task), a_file(task)
    assert await known(work, [upload.stored_name, unknown.stored_name, file.stored_name]) == {
        upload.stored_name,
        file.stored_name,
    }
    assert await known(work, []) == set()
    assert await known(work, [f"{n}" for n in range(1000)]) == set()


async def test_an_owner_who_is_gone(work: UnitOfWork) -> None:
    nobody = replace(await stored_user(work), id=UserId(10**9))
    with pytest.raises(NotAuthenticated):
        await begin(work, an_upload(nobody))


async def test_nothing_is_left_for_a_task_that_is_gone_or_somebody_elses(work: UnitOfWork) -> None:
    user, other = await stored_user(work), await stored_user(work)
    task = await stored_task(work, user)
    for task_id, owner in ((task.id, other.id), (TaskId(10**9), user.id), (task.id, UserId(10**9))):
        with pytest.raises(TaskNotFound):
            async with work.read() as tx:
                await tx.uploads.left(task_id, owner=owner, quota=100, now=NOON)
