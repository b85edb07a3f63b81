"""Use cases on accounts."""

from dataclasses import dataclass

from application.notices import MailWelcome
from application.ports import AccessToken, Clock, PasswordHasher, TokenIssuer, UnitOfWork
from domain.user import User, UserId, WrongCredentials, checked_password, checked_username


@dataclass(frozen=True, slots=True)
class Register:
    """Open an account and welcome its owner by mail."""

    work: UnitOfWork
    hasher: PasswordHasher
    clock: Clock

    async def __call__(self, *, username: str, email: str, password: str) -> User:
        checked_password(password, username=checked_username(username), email=email)
        password_hash = await self.hasher.hash(password)  # before the transaction: it takes its time
        async with self.work.write() as tx:
            user = await tx.users.add(User(username, email, password_hash, created_at=self.clock()))
            await tx.jobs.enqueue(MailWelcome, user.id)
            return user


@dataclass(frozen=True, slots=True)
class Login:
    """Raise `WrongCredentials` for an unknown name as for a wrong password, after the same time."""

    work: UnitOfWork
    hasher: PasswordHasher
    tokens: TokenIssuer

    async def __call__(self, *, username: str, password: str) -> AccessToken:
        async with self.work.read() as tx:
            user = await tx.users.find(username)
        right = await self.hasher.verify(password, user.password_hash if user else None)
        if user is None or not right:
            raise WrongCredentials
        return self.tokens.issue(user)


@dataclass(frozen=True, slots=True)
class GetUser:
    work: UnitOfWork

    async def __call__(self, actor: UserId) -> User:
        async with self.work.read() as tx:
            return await tx.users.get(actor)
