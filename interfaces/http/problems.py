"""Every answer of 400 and above as problem details (RFC 9457); nothing of what the client sent is repeated in them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from slowapi.errors import RateLimitExceeded
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from domain import errors
from domain.errors import DomainError, Invalid

STATUS: dict[type[DomainError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.TooLarge: 413,
    errors.UnsupportedType: 415,
    errors.Invalid: 422,
    errors.Unavailable: 503,
    errors.Exhausted: 507,
}
HEADERS: dict[int, dict[str, str]] = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}


class Refused(Exception):
    """What only HTTP knows to be wrong."""

    def __init__(self, status: int, code: str, title: str, detail: str = "") -> None:
        super().__init__(title)
        self.status, self.code, self.title, self.detail = status, code, title, detail


MALFORMED_JSON = ("malformed-json", "The body is not well-formed JSON.")
REQUEST_TIMEOUT = ("request-timeout", "The body did not arrive in time.")
MALFORMED_FORM = ("malformed-form", "The body is not a well-formed form.")
UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", "The body is not of a media type that is taken here.")
BODY_TOO_LARGE = ("body-too-large", "The body is too large.")
HEADERS_TOO_LARGE = ("headers-too-large", "The headers are too large.")
NO_SUCH_PATH = ("not-found", "There is nothing here.")
NO_SUCH_METHOD = ("method-not-allowed", "This method is not allowed here.")
RATE_LIMIT_EXCEEDED = ("rate-limit-exceeded", "Too many requests.")
STOPPING = ("stopping", "The service is stopping.")
INTERNAL_ERROR = ("internal-error", "Something went wrong on our side.")


class ProblemResponse(Response):
    media_type = "application/problem+json"

    def __init__(
        self, scope: Mapping[str, Any], status: int, problem: tuple[str, str], *, detail: str = "", **members: object
    ) -> None:
        code, title = problem
        body = {
            "type": f"/problems/{code}",
            "title": title,
            "status": status,
            "detail": detail or title,
            "instance": scope["path"],
            "code": code,
            "request_id": scope["state"].get("request_id", ""),
            **members,
        }
        # ASCII only: a lone surrogate in a field name or a path could not be sent otherwise.
        super().__init__(json.dumps(body).encode(), status, headers=HEADERS.get(status))


async def domain_error(request: Request, error: DomainError) -> Response:
    if isinstance(error, Invalid):
        found = [{"pointer": error.pointer, "code": error.reason, "detail": error.detail}]
        return _invalid(request, found, code=error.code, title=error.title)
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return ProblemResponse(request.scope, status, (error.code, error.title), detail=error.detail, **error.facts)


async def validation_error(request: Request, error: RequestValidationError) -> Response:
    return _invalid(request, [_finding(found) for found in error.errors()])


def _invalid(
    request: Request, found: Sequence[Mapping[str, str]], *, code: str = Invalid.code, title: str = Invalid.title
) -> Response:
    return ProblemResponse(request.scope, 422, (code, title), detail=title, errors=found)


def _finding(found: Mapping[str, Any]) -> dict[str, str]:
    """Pydantic's own words for what is wrong, without the input, which may hold a secret."""
    place = [str(part).replace("~", "~0").replace("/", "~1") for part in found["loc"]]  # RFC 6901
    in_body, pointer = place[:1] == ["body"], "/" + "/".join(place[1:])
    cause = found.get("ctx", {}).get("error")
    own = isinstance(cause, Invalid)
    return {
        "pointer": (pointer if len(place) > 1 else "") if in_body else "/" + "/".join(place),
        "code": cause.reason if own else found["type"],
        "detail": cause.detail if own else _harmless(found),
    }


def _harmless(found: Mapping[str, Any]) -> str:
    """Messages of pydantic name limits and choices, never the input; those of others are not known to."""
    return "The value is not valid." if found["type"] in {"value_error", "assertion_error"} else str(found["msg"])


async def refused(request: Request, error: Refused) -> Response:
    return ProblemResponse(request.scope, error.status, (error.code, error.title), detail=error.detail)


async def http_error(request: Request, error: HTTPException) -> Response:
    match error.status_code:
        case 404:
            return ProblemResponse(request.scope, 404, NO_SUCH_PATH)
        case 405:
            response = ProblemResponse(request.scope, 405, NO_SUCH_METHOD)
            response.headers["Allow"] = ", ".join(sorted(_allowed(request)))
            return response
        case status:
            return ProblemResponse(request.scope, status, ("http-error", "The request was refused."))


async def rate_limit_exceeded(request: Request, error: RateLimitExceeded) -> Response:
    return ProblemResponse(request.scope, 429, RATE_LIMIT_EXCEEDED, detail=f"Rate limit exceeded: {error.detail}")


def _allowed(request: Request) -> set[str]:
    """The methods of all routes at this path; the framework would name those of the first only."""
    path = request.scope["path"]
    routes = [route for route in iter_route_contexts(request.app.routes) if route.path and route.methods]
    return {
        method for route in routes if compile_path(str(route.path))[0].match(path) for method in route.methods or ()
    }


def install(app: FastAPI) -> None:
    app.add_exception_handler(DomainError, domain_error)  # type: ignore[arg-type]  # Starlette types handlers by Exception
    app.add_exception_handler(RequestValidationError, validation_error)  # type: ignore[arg-type]  # likewise
    app.add_exception_handler(Refused, refused)  # type: ignore[arg-type]  # likewise
    app.add_exception_handler(RateLimitExceeded, rate_limit_exceeded)  # type: ignore[arg-type]  # likewise
    app.add_exception_handler(HTTPException, http_error)  # type: ignore[arg-type]  # likewise
