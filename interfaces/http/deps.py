"""How a route gets what it needs. Every dependency is async: a sync one would be a thread hop for each request."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Path, Request
from fastapi.dependencies.models import Dependant
from fastapi.security import OAuth2PasswordBearer
from pydantic import BeforeValidator

from domain.file import FileId
from domain.task import TaskId
from domain.user import UserId

T = TypeVar("T")

if TYPE_CHECKING:
    Use = Annotated[T, "given by the container"]
else:

    class Use:
        """`create: Use[CreateTask]` in a route means: the `CreateTask` of this app's container."""

        def __class_getitem__(cls, use_case: type) -> Any:
            async def given(request: Request) -> Any:
                return request.app.state.use_cases[use_case]

            return Annotated[use_case, Depends(given)]


def parts(dependant: Dependant) -> Iterator[Dependant]:
    """A route itself and all that it depends on."""
    yield dependant
    for child in dependant.dependencies:
        yield from parts(child)


# Only for the docs page and its Authorize button: the route class has judged the token before.
_scheme = OAuth2PasswordBearer("auth/token", auto_error=False)


async def current_user(request: Request, _: Annotated[str | None, Depends(_scheme)]) -> UserId:
    user_id: UserId = request.state.actor
    return user_id


Actor = Annotated[UserId, Depends(current_user)]

NOBODYS = 0  # an id that nothing has
LARGEST = 2**63 - 1


def _id(text: str) -> int:
    """Any spelling but the canonical decimal one of 1 … 2^63-1 is an id that nothing has, and is looked up like one."""
    canonical = text.isascii() and text.isdecimal() and text[0] != "0" and len(text) <= len(str(LARGEST))
    return int(text) if canonical and int(text) <= LARGEST else NOBODYS


_path_id = (BeforeValidator(_id), Path(json_schema_extra={"minimum": 1, "maximum": LARGEST}))
TaskIdPath = Annotated[TaskId, *_path_id]
FileIdPath = Annotated[FileId, *_path_id]
