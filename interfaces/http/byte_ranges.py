"""Requests for a part of a content (RFC 9110, 14)."""

import re

from fastapi import Request

RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", re.ASCII | re.IGNORECASE)


def requested(request: Request, *, size: int, etag: str) -> range | None:
    """The bytes asked for, or None for the whole. An empty range can't be satisfied.

    What is no single range is ignored, and so is the range of another version.
    """
    headers = request.headers.getlist("range")
    found = RANGE.fullmatch(headers[0]) if len(headers) == 1 and request.method == "GET" else None
    if not found or request.headers.get("if-range", etag) != etag:
        return None
    first, last, suffix = found.groups()
    if suffix:
        return range(max(0, size - _number(suffix)), size)
    if last and _number(last) < _number(first):
        return None
    return range(_number(first), min(size, _number(last) + 1) if last else size)


def _number(digits: str) -> int:
    """Cut where it is larger than any size anyway: Python refuses to read numbers of thousands of digits."""
    return int(digits.lstrip("0")[:20] or "0")
