"""What is set wrong is refused when it is read, not when it is first used."""

import pytest
from pydantic import ValidationError

from infrastructure.settings import Settings

WRONG = {
    "host": "",
    "redis_url": "http://127.0.0.1:6379",
    "stats_ttl_seconds": 10**17,
    "database_url": "sqlite+aiosqlite:///:memory:",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: WRONG[name]})
    assert [error["loc"] for error in refused.value.errors()] == [(name,)]
    assert "6379" not in str(refused.value)
