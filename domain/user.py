"""A user: somebody with a name, an address and a password, who owns tasks."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import NewType, Protocol

from domain.errors import Conflict, Invalid, Unauthenticated

UserId = NewType("UserId", int)

USERNAME = re.compile(r"[A-Za-z0-9._-]{3,32}", re.ASCII)
PASSWORD_MIN, PASSWORD_MAX = 8, 1024
EMAIL_MAX = 254  # RFC 5321, 4.5.3.1.3

COMMON_PASSWORDS = frozenset(
    """
    password password1 password12 password123 passw0rd p@ssw0rd p@ssword 12345678 123456789 1234567890 11111111 00000000
    87654321 88888888 12341234 11223344 qwertyui qwertyuiop qwerty12 qwerty123 1q2w3e4r 1qaz2wsx asdfghjk asdfasdf
    zxcvbnm1 abcd1234 abc12345 a1b2c3d4 iloveyou iloveyou1 sunshine princess football baseball superman batman123
    trustno1 welcome1 welcome123 letmein1 letmein123 admin123 admin1234 administrator changeme changeme1 computer
    internet samsung1 starwars whatever michelle jennifer jordan23 master123 dragon123 monkey123 shadow123
    secret123 test1234 testtest default1 password! passwort qwertz123 azertyui motdepasse
    """.split()
)


class UsernameTaken(Conflict):
    code = "username-taken"
    title = "This username is taken."


class EmailTaken(Conflict):
    code = "email-taken"
    title = "There is an account with this address."


class NotAuthenticated(Unauthenticated):
    code = "not-authenticated"
    title = "A valid access token is needed."


class WrongCredentials(Unauthenticated):
    code = "wrong-credentials"
    title = "Username or password is wrong."


def checked_username(username: str) -> str:
    if not USERNAME.fullmatch(username):
        raise Invalid("3 to 32 of A-Z, a-z, 0-9, dot, underscore and hyphen.", pointer="/username", reason="username")
    return username


def checked_password(password: str, *, username: str = "", email: str = "") -> str:
    """Raise `Invalid` for a password too short, too long, too common, or the user's own name or address."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Invalid(f"{PASSWORD_MIN} to {PASSWORD_MAX} characters.", pointer="/password", reason="password_length")
    folded = password.casefold()
    if folded in COMMON_PASSWORDS or len(set(folded)) == 1:
        raise Invalid("This password is too common.", pointer="/password", reason="password_common")
    if folded in {username.casefold(), email.casefold(), email.casefold().partition("@")[0]}:
        raise Invalid(
            "The password must not be the name or the address.", pointer="/password", reason="password_personal"
        )
    return password


@dataclass(frozen=True, slots=True)
class User:
    """`id` is 0 until the repository has given one."""

    username: str
    email: str
    password_hash: str
    created_at: datetime
    id: UserId = UserId(0)


class UserRepository(Protocol):
    async def add(self, user: User) -> User:
        """Return it with its id. Raise `UsernameTaken` or `EmailTaken`, both without regard to case."""
        ...

    async def get(self, user_id: UserId) -> User:
        """Raise `NotAuthenticated` if there is none: only the bearer of an outlived token can ask."""
        ...

    async def find(self, username: str) -> User | None:
        """By name, without regard to case."""
        ...
