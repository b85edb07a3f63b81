"""The route class: what is wrong first is answered first, before a body is read or a dependency runs."""

import re
from collections.abc import Callable, Coroutine, Iterator
from inspect import isclass
from typing import Any, get_origin
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response
from typing_extensions import override

from domain.errors import Invalid
from domain.user import NotAuthenticated
from interfaces.http.bodies import read_form, read_json
from interfaces.http.deps import current_user, parts

BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)  # RFC 6750, 2.1


class Route(APIRoute):
    """Rate limit, then token, then the form of the body and of the query; the rest is FastAPI's."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, endpoint = super().get_route_handler(), self.endpoint
        needs_user = any(part.call is current_user for part in parts(self.dependant))
        queries = dict(query for part in parts(self.dependant) for query in _queries(part))
        body = self.body_field
        read = body and (read_form if isinstance(body.field_info, Form) else read_json)

        async def handler(request: Request) -> Response:
            request.state.actor = await identify(request)
            await request.app.state.rates.check(request, endpoint)
            if needs_user and request.state.actor is None:
                raise NotAuthenticated
            if read:
                request = await read(request)
            check_query(request, queries)
            return await handle(request)

        return handler


async def identify(request: Request) -> int | None:
    """Who bears the token, or nobody: whether that matters is the route's to say."""
    bearer = BEARER.fullmatch(request.headers.get("authorization", ""))
    if bearer is None:
        return None
    try:
        user_id: int = await request.app.state.authenticator(bearer[1])
    except NotAuthenticated:
        return None
    return user_id


def check_query(request: Request, known: dict[str, bool]) -> None:
    """Raise a validation error for parameters that the route doesn't know, and for repeated ones that it takes once.

    The framework would read broken UTF-8 as other characters: it raises `Invalid`."""
    try:
        query = parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Invalid("Not UTF-8 in percent-encoding.", pointer="/query", reason="query_encoding") from None
    names = [name for name, _ in query]
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    repeated = [name for name, many in known.items() if not many and names.count(name) > 1]
    if unknown or repeated:
        raise RequestValidationError(
            [
                {"type": "unknown_parameter", "loc": ("query", name), "msg": "There is no such parameter."}
                for name in unknown
            ]
            + [{"type": "repeated_parameter", "loc": ("query", name), "msg": "Give it once."} for name in repeated]
        )


def _queries(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Each query parameter, and whether it may be repeated; one that is a model stands for its fields."""
    for query in dependant.query_params:
        kind = query.field_info.annotation
        fields = kind.model_fields if isclass(kind) and issubclass(kind, BaseModel) else {query.alias: query.field_info}
        for name, field in fields.items():
            yield field.alias or name, get_origin(field.annotation) is list
