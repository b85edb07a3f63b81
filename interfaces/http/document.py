"""What the OpenAPI document says of refusals: every status that a route can answer, always as the same problem."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field

from interfaces.http.limiter import Notes
from interfaces.http.problems import ProblemResponse

PLACE = "#/components/schemas/"
FRAMEWORKS = ("HTTPValidationError", "ValidationError")  # what nobody gets here


class Finding(BaseModel):
    pointer: str = Field(description="A JSON pointer (RFC 6901) into the body, or /query/ and a parameter.")
    code: str
    detail: str


class Problem(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path.")
    code: str = Field(description="Never renamed: what a program may rely on.")
    request_id: str
    errors: list[Finding] = Field(default=[], description="With 422: all that is wrong.")


def can_refuse(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: what it may answer beside that which follows from its parameters."""
    return {status: {} for status in statuses}


def install(app: FastAPI) -> None:
    describe = app.openapi
    problem = Problem.model_json_schema(ref_template=PLACE + "{model}")
    schemas = {**problem.pop("$defs"), Problem.__name__: problem}

    def openapi() -> dict[str, Any]:
        document = describe()
        known = document["components"]["schemas"]
        known |= schemas
        for name in FRAMEWORKS:
            known.pop(name, None)
        routes = iter_route_contexts(app.routes)
        unlimited = {route.path for route in routes if route.endpoint and Notes.of(route.endpoint).exempt}
        for path, methods in document["paths"].items():
            for operation in methods.values():
                _describe(operation, limited=path not in unlimited)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's own way to extend its document


def _describe(operation: dict[str, Any], *, limited: bool) -> None:
    responses = operation["responses"]
    declared = {int(status) for status in responses if int(status) >= HTTPStatus.BAD_REQUEST}
    for status in sorted(declared | _implied(operation) | ({HTTPStatus.TOO_MANY_REQUESTS} if limited else set())):
        schema = {"$ref": PLACE + Problem.__name__}
        content = {ProblemResponse.media_type: {"schema": schema}}
        responses[str(int(status))] = {"description": HTTPStatus(status).phrase, "content": content}


def _implied(operation: dict[str, Any]) -> set[int]:
    """What follows from what a route takes; an unknown parameter is a 422 at each."""
    places = {parameter["in"] for parameter in operation.get("parameters", [])}
    secured, has_body = "security" in operation, "requestBody" in operation
    return {
        422,
        *((401, 503) if secured else ()),
        *((404,) if "path" in places else ()),
        *((412,) if "header" in places else ()),
        *((400, 413, 415, 503) if has_body else ()),
    }
