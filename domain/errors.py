"""Everything the service can refuse: the kind tells a caller what to do, the code says exactly what is wrong."""

from typing import ClassVar


class DomainError(Exception):
    """A rule was broken. `code` is permanent and unique, `title` is for people, `facts` join the answer."""

    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str = "", **facts: object) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.facts = facts


class NotFound(DomainError):
    """There is no such thing, or it is somebody else's: nobody can tell the two apart."""


class Conflict(DomainError):
    """The state of things does not allow this."""


class Stale(DomainError):
    """It was changed since the caller last read it."""


class TooLarge(DomainError):
    """More bytes than allowed."""


class UnsupportedType(DomainError):
    """Not a kind of content that is taken here."""


class Forbidden(DomainError):
    """The caller is known, and may not do this."""


class Unauthenticated(DomainError):
    """The caller is not known."""


class Exhausted(DomainError):
    """There is no room left."""


class Unavailable(DomainError):
    """Something outside does not answer; trying again soon may help."""


class Invalid(DomainError, ValueError):
    """A value breaks a rule. As a `ValueError` it can be raised in a validator of the edge, which adds the pointer."""

    code = "invalid-request"
    title = "The request is not valid."

    def __init__(self, detail: str = "", *, pointer: str = "", reason: str = "invalid") -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.reason = reason
