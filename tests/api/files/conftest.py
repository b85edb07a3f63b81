"""A task to attach files to."""

from typing import Any

import pytest

from tests.api.conftest import Person


@pytest.fixture
async def task(me: Person) -> dict[str, Any]:
    return await me.task()
