"""Types of fields that several models share, read strictly."""

import re
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from domain.errors import Invalid
from domain.task import checked_moment

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


FIELDS_MAX = 100


class In(BaseModel):
    """A body: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _only_so_many(cls, body: Any) -> Any:
        """Each unknown field costs time to refuse; of a hundred thousand the first ones say enough."""
        return dict(islice(body.items(), FIELDS_MAX)) if isinstance(body, dict) and len(body) > FIELDS_MAX else body


class Out(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)

    @classmethod
    def of(cls, thing: Any) -> Self:
        """What is shown of it: its attributes of the same names."""
        return cls.model_validate(thing)


def _text(text: str) -> str:
    if "\0" in text:
        raise Invalid("Must not contain NUL.", reason="nul")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("Must not contain lone surrogates.", reason="surrogate") from None
    return text


def _moment(value: Any) -> datetime:
    text = value.upper() if isinstance(value, str) else ""
    if not RFC3339.fullmatch(text):
        raise Invalid("A time as in RFC 3339, with an offset.", reason="moment")
    try:
        return checked_moment(datetime.fromisoformat(text))
    except Invalid:
        raise
    except ValueError:
        raise Invalid("There is no such time.", reason="moment") from None


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def one_of(values: dict[str, Any]) -> Callable[[Any], Any]:
    """A validator that takes exactly these texts."""

    def choose(value: Any) -> Any:
        if not isinstance(value, str) or value not in values:
            raise Invalid(f"One of {', '.join(values)}.", reason="choice")
        return values[value]

    return choose


Text = Annotated[str, AfterValidator(_text)]
_date_time = WithJsonSchema({"type": "string", "format": "date-time"})
MomentIn = Annotated[datetime, BeforeValidator(_moment), _date_time]
MomentOut = Annotated[datetime, PlainSerializer(_rfc3339), _date_time]
Flag = Annotated[bool, BeforeValidator(one_of({"true": True, "false": False})), WithJsonSchema({"type": "boolean"})]
