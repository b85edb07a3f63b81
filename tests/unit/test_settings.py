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
SSLMODE = "postgresql+asyncpg://taskwell:s3cret@127.0.0.1/taskwell?sslmode=require"


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: WRONG[name]})
    assert [error["loc"] for error in refused.value.errors()] == [(name,)]
    assert "6379" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("database_url", "postgresql+asyncpg://taskwell:s3cret"),
        ("database_url", "postgresql+asyncpg:taskwell:s3cret@127.0.0.1/taskwell"),
        ("database_url", "postgresql+asyncpg://taskwell:s3cret@127.0.0.1:port/taskwell"),
        ("database_url", "postgresql+asyncpg://taskwell:s3cret@127.0.0.1:99999/taskwell"),
        ("redis_url", "redis://taskwell:s3cret"),
        ("redis_url", "redis://:s3cret#s3cret@127.0.0.1:6379/0"),
        ("redis_url", "redis://:s3cret/s3cret@127.0.0.1:6379/0"),
        ("redis_url", "redis://[s3cret"),
        ("redis_url", "redis://:s3cret@127.0.0.1:99999/0"),
        ("redis_url", "redis://:s3cret@127.0.0.1:6379/0?db=zero"),
    ],
)
def test_an_address_that_its_library_can_not_read_is_told_without_its_password(name: str, url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: url, "secret_key": "x" * 40})
    (error,) = refused.value.errors(include_input=False)
    assert (error["loc"], "special characters as %40" in error["msg"]) == ((name,), True)
    assert "s3cret" not in f"{error}{refused.value}"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("database_url", "postgresql+asyncpg://taskwell:p%40ss#w/rd@[::1]/taskwell"),
        ("database_url", "postgresql+asyncpg:///taskwell?host=/run/postgresql"),
        ("redis_url", "rediss://taskwell:p%40ss@localhost:6379/1?socket_timeout=1"),
        ("redis_url", "unix:///run/redis.sock?db=1"),
    ],
)
def test_an_address_that_its_library_can_read(name: str, url: str) -> None:
    assert getattr(Settings.model_validate({name: url, "secret_key": "x" * 40}), name) == url


def test_what_other_libraries_call_sslmode_is_named() -> None:
    with pytest.raises(ValidationError, match=r"\?ssl=require") as refused:
        Settings.model_validate({"database_url": SSLMODE, "secret_key": "x" * 40})
    assert "s3cret" not in str(refused.value)
    right = SSLMODE.replace("sslmode", "ssl")
    assert Settings.model_validate({"database_url": right, "secret_key": "x" * 40}).database_url == right
