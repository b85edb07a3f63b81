"""What the OpenAPI document says of refusals: one kind of answer, the same at every route."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"
NAME = "Problem"


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
    errors: list[Finding] = Field(default_factory=list, description="With 422: all that is wrong.")


# Said by each route, this keeps the framework from documenting a 422 of its own, which nobody gets.
REFUSALS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Refused (RFC 9457).",
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{NAME}"}}},
    }
}


def install(app: FastAPI) -> None:
    """Add the schemas that `REFUSALS` refers to."""
    describe = app.openapi
    own = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = own.pop("$defs") | {NAME: own}

    def openapi() -> dict[str, Any]:
        document = describe()
        document["components"]["schemas"] |= schemas
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's own way to extend its document
