"""Conditional requests on the version of a task (RFC 9110, 13)."""

import re
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, Header, Request

TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
VERSION = re.compile(r"[1-9][0-9]{0,9}")
LIST = re.compile(rf"\s*{TAG.pattern}(\s*,\s*{TAG.pattern})*\s*")


def etag(version: int) -> str:
    return f'"{version}"'


async def _if_match(
    request: Request, _: Annotated[str | None, Header(alias="If-Match")] = None
) -> frozenset[int] | None:
    """The versions that the client would change, or None for any. A weak or foreign tag names none (13.1.1)."""
    header = ", ".join(request.headers.getlist("if-match"))
    if header.strip() == "*" or "if-match" not in request.headers:
        return None
    strong = [tag for weak, tag in _tags(header) if not weak]
    return frozenset(int(tag) for tag in strong if VERSION.fullmatch(tag))


IfMatch = Annotated[frozenset[int] | None, Depends(_if_match)]


def not_modified(request: Request, current: str) -> bool:
    """Whether `If-None-Match` names the current tag; compared weakly (13.1.2)."""
    header = ", ".join(request.headers.getlist("if-none-match"))
    return header.strip() == "*" or any(f'"{tag}"' == current for _, tag in _tags(header))


def _tags(header: str) -> Iterable[tuple[str, str]]:
    return TAG.findall(header) if LIST.fullmatch(header) else ()
