"""A task, and an upload to it, on parts that can be lost."""

import pytest

from application.uploads import UploadFile
from domain.task import Task
from tests.examples import MINUTE, NOON, stored_task, stored_user
from tests.unit.files.parts import LARGEST, QUOTA, Storage, Work


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def upload(work: Work, storage: Storage) -> UploadFile:
    allowed = frozenset({"txt", "png", "docx"})
    return UploadFile(
        work, storage, lambda: NOON, largest=LARGEST, quota=QUOTA, allowed=allowed, abandoned_after=MINUTE
    )


@pytest.fixture
async def task(work: Work) -> Task:
    return await stored_task(work, await stored_user(work))
