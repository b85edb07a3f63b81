"""The use cases on accounts, with real hashes and tokens."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from application.accounts import GetUser, Login, Register
from domain.errors import Invalid
from domain.user import EmailTaken, NotAuthenticated, UserId, UsernameTaken, WrongCredentials
from infrastructure.argon2 import Argon2PasswordHasher
from infrastructure.jwt import JwtTokens
from tests.examples import NOON
from tests.unit.memory import Work

PASSWORD = "correct horse battery"
ANNA = {"username": "Anna", "email": "anna@example.org", "password": PASSWORD}


@pytest.fixture
def hasher() -> Iterator[Argon2PasswordHasher]:
    hasher = Argon2PasswordHasher()
    yield hasher
    hasher.close()


@pytest.fixture
def register(work: Work, hasher: Argon2PasswordHasher) -> Register:
    return Register(work, hasher, lambda: NOON)


@pytest.fixture
def tokens() -> JwtTokens:
    return JwtTokens("s" * 32, lambda: NOON)


@pytest.fixture
def login(work: Work, hasher: Argon2PasswordHasher, tokens: JwtTokens) -> Login:
    return Login(work, hasher, tokens)


async def test_who_registers_can_log_in_and_is_known_by_the_token(
    work: Work, register: Register, login: Login, tokens: JwtTokens
) -> None:
    user = await register(**ANNA)
    assert (user.username, user.email, user.created_at) == ("Anna", "anna@example.org", NOON)
    assert PASSWORD not in user.password_hash
    assert user.password_hash.startswith("$argon2id$")
    for name in ("Anna", "anna", "ANNA"):
        access = await login(username=name, password=PASSWORD)
        assert access.expires_in == timedelta(minutes=30).total_seconds()
        assert await GetUser(work)(await tokens(access.token)) == user


async def test_who_registers_is_welcomed_and_who_cannot_is_not(work: Work, register: Register) -> None:
    user = await register(**ANNA)
    with pytest.raises(UsernameTaken):
        await register(**{**ANNA, "email": "other@example.org"})
    assert work.jobs() == [("mail-welcome", [user.id])]


async def test_a_token_ends_with_its_time(register: Register, login: Login) -> None:
    await register(**ANNA)
    access = await login(username="Anna", password=PASSWORD)
    end = NOON + timedelta(seconds=access.expires_in)
    assert await JwtTokens("s" * 32, lambda: end - timedelta(seconds=1))(access.token)
    with pytest.raises(NotAuthenticated):
        await JwtTokens("s" * 32, lambda: end)(access.token)
    with pytest.raises(NotAuthenticated):
        await JwtTokens("t" * 32, lambda: NOON)(access.token)


@pytest.mark.parametrize(
    ("name", "password"),
    [("Anna", PASSWORD.upper()), ("Anna", ""), ("Hanna", PASSWORD), ("", ""), ("anna@example.org", PASSWORD)],
)
async def test_an_unknown_name_and_a_wrong_password_are_the_same(
    register: Register, login: Login, name: str, password: str
) -> None:
    await register(**ANNA)
    with pytest.raises(WrongCredentials) as refused:
        await login(username=name, password=password)
    assert (refused.value.detail, refused.value.facts) == (WrongCredentials.title, {})


async def test_a_name_and_an_address_are_taken_once_whatever_their_case(register: Register) -> None:
    await register(**ANNA)
    with pytest.raises(UsernameTaken):
        await register(username="ANNA", email="other@example.org", password=PASSWORD)
    with pytest.raises(EmailTaken):
        await register(username="other", email="Anna@Example.org", password=PASSWORD)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"username": "an"}, "username"),
        ({"password": "short"}, "password_length"),
        ({"password": "Password123"}, "password_common"),
        ({"username": "some-body", "password": "Some-Body"}, "password_personal"),
        ({"email": "anna.smith@example.org", "password": "Anna.Smith"}, "password_personal"),
    ],
)
async def test_what_breaks_a_rule_is_not_even_hashed(work: Work, values: dict[str, str], reason: str) -> None:
    class NoHasher:
        async def hash(self, password: str) -> str:
            raise AssertionError

        async def verify(self, password: str, password_hash: str | None) -> bool:
            raise AssertionError

    with pytest.raises(Invalid) as refused:
        await Register(work, NoHasher(), lambda: NOON)(**{**ANNA, **values})
    assert refused.value.reason == reason
    assert not work.database.snapshot().users


async def test_the_bearer_of_an_outlived_token_is_nobody(work: Work) -> None:
    with pytest.raises(NotAuthenticated):
        await GetUser(work)(UserId(7))
