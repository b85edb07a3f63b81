"""Uploads, deletes and bulk deletes, each of something of its own, whose outcome is known beforehand."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

from domain.file import TaskFile
from domain.task import Task
from domain.user import User
from infrastructure.container import Container
from infrastructure.lifecycle import closing, owning
from infrastructure.settings import Settings
from tests.examples import stored_task
from tests.faults.ledger import Fact, Ledger
from tests.faults.mortal import Order, Sent, content_of


@dataclass(frozen=True)
class Place:
    """A service by its settings, its one user, and what was promised to that user."""

    env: dict[str, str]
    folder: Path
    user: User
    ledger: Ledger = field(default_factory=Ledger)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Container]:
        """In this process; no other may have it then."""
        container = Container(settings=settings_from(self.env))
        async with closing(container):
            with owning(container.settings()):
                yield container


@dataclass(frozen=True)
class Trial:
    """What is to be done, and what it makes true, or false."""

    order: Order
    facts: Sequence[Fact]
    makes: bool


NewTrial: TypeAlias = Callable[[Container, Place], Awaitable[Trial]]


async def upload(container: Container, place: Place) -> Trial:
    task, word = await _task(container, place), uuid4().hex
    return Trial(Order("upload_file", [place.user.id, task.id], word), [_fact(task, word)], makes=True)


async def delete(container: Container, place: Place) -> Trial:
    task, word = await _task(container, place), uuid4().hex
    file = await _file(container, task, word)
    order = Order("delete_file", [place.user.id, file.id], gone=(str(place.folder / file.stored_name),))
    return Trial(order, [_fact(task, word)], makes=False)


async def delete_in_bulk(container: Container, place: Place) -> Trial:
    """Two tasks with a file each."""
    tasks, words = [await _task(container, place) for _ in range(2)], [uuid4().hex for _ in range(2)]
    pairs = list(zip(tasks, words, strict=True))
    gone = tuple([str(place.folder / (await _file(container, *pair)).stored_name) for pair in pairs])
    facts: list[Fact] = [("task", task.title) for task in tasks]
    order = Order("delete_tasks", [place.user.id, [task.id for task in tasks]], gone=gone)
    return Trial(order, facts + [_fact(*pair) for pair in pairs], makes=False)


async def _task(container: Container, place: Place) -> Task:
    task = await stored_task(container.work(), place.user, {"title": uuid4().hex})
    place.ledger.facts["task", task.title] = {True}
    return task


async def _file(container: Container, task: Task, word: str) -> TaskFile:
    file: TaskFile = await container.upload_file()(task.owner_id, task.id, Sent(word))
    return file


def _fact(task: Task, word: str) -> Fact:
    return "file", task.title, sha256(content_of(word)).hexdigest()


def settings_from(env: dict[str, str]) -> Settings:
    return Settings.model_validate({name.removeprefix("TASKWELL_").lower(): value for name, value in env.items()})
