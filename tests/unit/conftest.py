"""What every test of a use case starts with: a unit of work in memory, and somebody in it."""

import pytest

from domain.user import User
from tests.examples import stored_user
from tests.unit.memory import Work


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def owner(work: Work) -> User:
    return await stored_user(work)
