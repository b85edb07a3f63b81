"""Bodies read strictly and bounded: no surprise of a parser reaches a route."""

import asyncio
import json
from email.message import Message
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.datastructures import FormData
from typing_extensions import override

from interfaces.http.problems import (
    BODY_TOO_LARGE,
    MALFORMED_FORM,
    MALFORMED_JSON,
    REQUEST_TIMEOUT,
    UNSUPPORTED_MEDIA_TYPE,
    Refused,
)

BODY_BYTES = 1024 * 1024
ARRIVAL_SECONDS = 60.0
DEPTH = 64
JSON_TYPES = frozenset({"application/json"})
PATCH_TYPES = JSON_TYPES | {"application/merge-patch+json"}  # RFC 7396
FORM_TYPES = frozenset({"application/x-www-form-urlencoded"})
ENORMOUS = 10**30  # stands for an integer too long to read; no field takes it


class ReadRequest(Request):
    """A request whose body has been read and parsed already."""

    def __init__(self, request: Request, raw: bytes, parsed: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._raw, self._parsed = raw, parsed

    @override
    async def body(self) -> bytes:
        return self._raw

    @override
    async def json(self) -> Any:
        return self._parsed

    @override
    async def form(self, **limits: Any) -> FormData:  # type: ignore[override]  # FastAPI awaits it; there is nothing to close
        return FormData(self._parsed)


async def read_json(request: Request) -> Request:
    """Raise `Refused` with 415, 413 or 400."""
    raw = await _read(request, PATCH_TYPES if request.method == "PATCH" else JSON_TYPES)
    return ReadRequest(request, raw, parse_json(raw))


async def read_form(request: Request) -> Request:
    """Raise `Refused` with 415, 413 or 400."""
    raw = await _read(request, FORM_TYPES)
    try:
        fields = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=20
        )
    except ValueError:
        raise Refused(400, *MALFORMED_FORM) from None
    if len(dict(fields)) != len(fields):
        raise Refused(400, *MALFORMED_FORM, "A field is repeated.")
    return ReadRequest(request, raw, fields)


async def _read(request: Request, types: frozenset[str]) -> bytes:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    charset = header.get_param("charset", "utf-8")
    if (
        header.get_content_type() not in types
        or not isinstance(charset, str)
        or charset.lower() not in {"utf-8", "utf8"}
    ):
        raise Refused(415, *UNSUPPORTED_MEDIA_TYPE, f"Send {' or '.join(sorted(types))} in UTF-8.")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > BODY_BYTES:
        raise Refused(413, *BODY_TOO_LARGE, f"At most {BODY_BYTES} bytes.")
    raw = bytearray()
    try:
        async with asyncio.timeout(ARRIVAL_SECONDS):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > BODY_BYTES:
                    raise Refused(413, *BODY_TOO_LARGE, f"At most {BODY_BYTES} bytes.")
    except TimeoutError:
        raise Refused(408, *REQUEST_TIMEOUT, f"It took more than {ARRIVAL_SECONDS} seconds.") from None
    return bytes(raw)


def parse_json(raw: bytes) -> Any:
    """JSON as RFC 8259 has it, in UTF-8, without repeated names, at most 64 deep. Raise `Refused` with 400."""
    if _too_deep(raw):
        raise Refused(400, *MALFORMED_JSON, f"Unbalanced, or more than {DEPTH} deep.")
    try:
        text = raw.decode("utf-8")
        try:
            return _decoder().decode(text)
        except json.JSONDecodeError:
            raise
        except ValueError:  # an integer of more digits than Python reads
            return _decoder(parse_int=_any_integer).decode(text)
    except (ValueError, RecursionError):
        raise Refused(400, *MALFORMED_JSON) from None


def _decoder(**options: Any) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, **options)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused(400, *MALFORMED_JSON, "A name is repeated in an object.")
    return found


def _no_constant(_: str) -> NoReturn:
    raise Refused(400, *MALFORMED_JSON, "NaN and Infinity are not JSON.")


def _any_integer(digits: str) -> int:
    return int(digits) if len(digits) < len(str(ENORMOUS)) else ENORMOUS


def _too_deep(raw: bytes) -> bool:
    """Judged before parsing and without recursion: innermost pairs are taken away 64 times; what is deeper remains.

    A text no more than `left` deep loses at least a `left`-th of its brackets each time, so the deep ones end early.
    """
    if raw.count(b"[") + raw.count(b"{") <= DEPTH:
        return False
    outside = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside.translate(None, delete=bytes(set(range(256)) - set(b"[]{}")))
    for left in range(DEPTH, 0, -1):
        fewer = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if (len(brackets) - len(fewer)) * left < len(brackets):
            return True
        brackets = fewer
    return bool(brackets)
