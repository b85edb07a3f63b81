"""Users, tasks and files to test with."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from application.ports import UnitOfWork
from domain.file import TaskFile
from domain.task import Task, TaskChanges
from domain.upload import Upload
from domain.user import User, UserId

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUOTA = 10**9


def a_user() -> User:
    """One that nobody else has: tests share a database."""
    name = f"user-{uuid4().hex[:20]}"
    return User(name, f"{name}@example.org", "hash", NOON)


async def stored_user(work: UnitOfWork) -> User:
    async with work.write() as tx:
        return await tx.users.add(a_user())


def a_task(owner: User, changes: TaskChanges | None = None, *, at: datetime = NOON) -> Task:
    return Task.new(owner.id, {"title": "Write the report", **(changes or {})}, at=at)


async def stored_task(
    work: UnitOfWork, owner: User, changes: TaskChanges | None = None, *, at: datetime = NOON
) -> Task:
    async with work.write() as tx:
        return await tx.tasks.add(a_task(owner, changes, at=at))


def a_file(task: Task, *, size: int = 10) -> TaskFile:
    return TaskFile(
        task_id=task.id,
        owner_id=task.owner_id,
        original_filename="notes.txt",
        stored_name=f"task_{task.id}_{uuid4()}.txt",
        content_type="text/plain",
        file_size=size,
        sha256="0" * 64,
        uploaded_at=NOON,
    )


async def stored_file(work: UnitOfWork, task: Task, *, size: int = 10, quota: int = QUOTA) -> TaskFile:
    return await recorded(work, a_file(task, size=size), quota=quota)


async def recorded(work: UnitOfWork, file: TaskFile, *, quota: int = QUOTA) -> TaskFile:
    async with work.write() as tx:
        await tx.uploads.begin(Upload(file.stored_name, file.owner_id, file.file_size, NOON), quota=quota)
    async with work.write() as tx:
        return await tx.files.add(file, quota=quota)


async def held_by(work: UnitOfWork, owner: UserId) -> int:
    """Bytes of the quota, by files and uploads: what another upload would not get of it."""
    async with work.write() as tx:
        rest = await tx.uploads.begin(Upload("the rest", owner, QUOTA, NOON), quota=QUOTA, least=0)
        await tx.uploads.end(rest.stored_name)
    return QUOTA - rest.reserved
