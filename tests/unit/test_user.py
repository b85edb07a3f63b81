"""The rules of a user's name and password."""

import pytest

from domain.errors import Invalid
from domain.user import checked_password, checked_username


@pytest.mark.parametrize("name", ["abc", "A.b_c-9", "x" * 32, "..."])
def test_a_name_that_is_allowed(name: str) -> None:
    assert checked_username(name) == name


@pytest.mark.parametrize("name", ["ab", "x" * 33, "a b c", "anna\n", "änna", "anna@x", "", "ｆｕｌｌ", "anna\0"])  # noqa: RUF001
def test_a_name_that_is_not(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_username(name)
    assert (refused.value.pointer, refused.value.reason) == ("/username", "username")


@pytest.mark.parametrize(
    "password", ["correct horse", "12345679", "x" * 1023 + "y", "пароль-пароль", "🎈🎉🎊🎋🎌🎍🎎🎏"]
)
def test_a_password_that_is_allowed(password: str) -> None:
    assert checked_password(password, username="anna", email="anna@example.org") == password


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "password_length"),
        ("1234567", "password_length"),
        ("xy" * 512 + "z", "password_length"),
        ("PassWord1", "password_common"),
        ("xXxXxXxX", "password_common"),
        ("Anna.Smith", "password_personal"),
        ("Smith.Anna@Example.org", "password_personal"),
        ("smith.ANNA", "password_personal"),
    ],
)
def test_a_password_that_is_not_and_why(password: str, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_password(password, username="anna.smith", email="smith.anna@example.org")
    assert (refused.value.pointer, refused.value.reason) == ("/password", reason)
