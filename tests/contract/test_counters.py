"""Statistics after any sequence of writes: what is counted beside the tasks is what the tasks say."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from application.ports import UnitOfWork
from domain.errors import DomainError
from domain.file import FileId, QuotaExceeded, TaskFile
from domain.stats import Day, tally
from domain.task import Priority, StaleTask, Task, TaskChanges, TaskId
from domain.user import User
from tests.examples import MINUTE, NOON, held_by, stored_file, stored_task, stored_user

MOMENTS = [NOON + n * MINUTE for n in range(-2, 3)]


@pytest.mark.parametrize("seed", range(3))
async def test_the_statistics_follow_any_sequence_of_writes(work: UnitOfWork, seed: int) -> None:
    owners = [await stored_user(work) for _ in range(2)]
    story = Story(work, random.Random(seed), owners)
    steps = [story.add, story.save, story.save, story.save_many, story.delete, story.add_file, story.delete_file]
    for _ in range(60):
        await story.random.choice(steps)()
        await story.check()
    assert story.refused
    for owner in story.owners:
        async with work.write() as tx:
            assert not await tx.stats.recount(owner.id)


class Story:
    """Random writes, and what must be true after each. Some are refused in the middle, and then nothing has changed."""

    def __init__(self, work: UnitOfWork, rng: random.Random, owners: list[User]) -> None:
        self.work, self.random, self.owners = work, rng, owners
        self.tasks: dict[TaskId, Task] = {}
        self.files: dict[FileId, TaskFile] = {}
        self.refused: list[DomainError] = []

    async def check(self) -> None:
        today = Day.around(NOON, ZoneInfo("Europe/Berlin"))
        for owner in self.owners:
            tasks = [task for task in self.tasks.values() if task.owner_id == owner.id]
            files = [file for file in self.files.values() if file.owner_id == owner.id]
            async with self.work.read() as tx:
                assert await tx.stats.tally(owner.id, today=today, now=NOON) == tally(
                    tasks, files, today=today, now=NOON
                )
            assert await held_by(self.work, owner.id) == sum(file.file_size for file in files)

    async def add(self) -> None:
        task = await stored_task(self.work, self.random.choice(self.owners), self._changes())
        self.tasks[task.id] = task

    async def save(self) -> None:
        """Read in the same write or not, twice in it or once, stale or not."""
        for task in self._some(1):
            stale = self.random.random() < 0.2
            with self._refusals():
                async with self.work.write() as tx:
                    if self.random.random() < 0.5:
                        await tx.tasks.get(task.id, owner=task.owner_id)
                    saved = await tx.tasks.save(replace(task.edit(self._changes(), at=NOON), version=task.version))
                    if self.random.random() < 0.3 or stale:
                        again = saved.edit(self._changes(), at=NOON)
                        saved = await tx.tasks.save(replace(again, version=again.version - stale))
                self.tasks[task.id] = saved

    async def save_many(self) -> None:
        """Of both owners."""
        tasks = [task.edit(self._changes(), at=NOON) for task in self._some(5)]
        if tasks and self.random.random() < 0.2:
            tasks[-1] = replace(tasks[-1], version=tasks[-1].version + 1)
        with self._refusals():
            async with self.work.write() as tx:
                saved = await tx.tasks.save_many(tasks)
            self.tasks |= {task.id: task for task in saved}

    async def delete(self) -> None:
        tasks = self._some(2)
        async with self.work.write() as tx:
            await tx.tasks.delete([await tx.tasks.get(task.id, owner=task.owner_id) for task in tasks])
        for task in tasks:
            del self.tasks[task.id]
        self.files = {file.id: file for file in self.files.values() if file.task_id in self.tasks}

    async def add_file(self) -> None:
        for task in self._some(1):
            with self._refusals():
                file = await stored_file(self.work, task, size=self.random.randint(1, 100), quota=250)
                self.files[file.id] = file
                await self._reread(task)

    async def delete_file(self) -> None:
        for file in self.random.sample(list(self.files.values()), min(len(self.files), 1)):
            async with self.work.write() as tx:
                await tx.files.delete(await tx.files.get(file.id, owner=file.owner_id))
            del self.files[file.id]
            await self._reread(self.tasks[file.task_id])

    async def _reread(self, task: Task) -> None:
        async with self.work.read() as tx:
            self.tasks[task.id] = await tx.tasks.get(task.id, owner=task.owner_id)

    def _some(self, most: int) -> list[Task]:
        return self.random.sample(list(self.tasks.values()), min(len(self.tasks), self.random.randint(1, most)))

    def _changes(self) -> TaskChanges:
        return {
            "completed": self.random.random() < 0.5,
            "priority": self.random.choice(list(Priority)),
            "due_at": self.random.choice([None, *MOMENTS]),
        }

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (StaleTask, QuotaExceeded) as refusal:
            self.refused.append(refusal)
