"""The one file of a multipart/form-data request (RFC 7578), taken out of the body as it arrives, never held whole."""

import re
from collections.abc import AsyncIterator
from hashlib import sha256

from fastapi import Request

from application.uploads import IncomingFile
from domain.errors import Invalid
from domain.file import DigestMismatch
from interfaces.http import parameters
from interfaces.http.content_digest import sha256_in
from interfaces.http.problems import UNSUPPORTED_MEDIA_TYPE, Refused

MALFORMED_MULTIPART = ("malformed-multipart", "The body is not well-formed multipart/form-data.")

FIELD = "file"
OVERHEAD = 16 * 1024  # all that may be in a body beside the bytes of the file
HEADERS = 8
LENGTH_DIGITS = 19
BOUNDARY_MAX = 70  # RFC 2046, 5.1.1
BLANK = b"\r\n\r\n"
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r]*)")
TOO_MUCH = f"More than {OVERHEAD} bytes beside the file."


class MultipartFile:
    """An `Incoming` of the application. What is wrong raises `Refused` with 415 or 400, or `Invalid`."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def least_size(self) -> int:
        headers = self._request.headers
        value, _, _ = headers.get("content-type", "").partition(";")
        if value.strip().lower() != "multipart/form-data" or headers.get("content-encoding", "identity") != "identity":
            raise Refused(415, *UNSUPPORTED_MEDIA_TYPE, "Send multipart/form-data, without a content coding.")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) <= LENGTH_DIGITS):
            raise _malformed("Content-Length is not a length.")
        return max(0, int(length) - OVERHEAD)

    async def open(self) -> IncomingFile:
        delimiter = b"\r\n--" + _boundary(self._request.headers["content-type"]).encode()
        body = _Body(self._request)
        head, found = await _head(body, delimiter.removeprefix(b"\r\n"))
        headers = _headers(head)
        beside = len(head + delimiter + b"--\r\n")
        return IncomingFile(
            filename=_filename(headers),
            declared_type=headers.get("content-type", b"").decode("latin-1"),
            sha256=sha256_in(headers.get("content-digest", b"").decode("latin-1")),
            size=None if body.length is None else max(0, body.length - beside),
            chunks=_content(body, found, delimiter, room=OVERHEAD - len(head + delimiter + b"--")),
        )


class _Body:
    """The content of the request as it is sent; its own `Content-Digest`, if there is one, must hold in the end."""

    def __init__(self, request: Request) -> None:
        length = request.headers.get("content-length")
        self.length = None if length is None else int(length)
        self._chunks = request.stream()
        self._expected = sha256_in(", ".join(request.headers.getlist("content-digest")))
        self._digest = sha256()

    async def read(self) -> bytes | None:
        """What comes next; None at the end."""
        chunk = await anext(self._chunks, None)
        if chunk and self._expected:
            self._digest.update(chunk)
        return chunk

    def check(self) -> None:
        if self._expected not in {None, self._digest.hexdigest()}:
            raise DigestMismatch(reason="digest")


async def _head(body: _Body, delimiter: bytes) -> tuple[bytes, bytes]:
    """All before the content, with the empty line that ends it; and what was read of the content with it."""
    found = b""
    while BLANK not in found and len(found) <= OVERHEAD and (chunk := await body.read()) is not None:
        found += chunk
    head, blank, content = found.partition(BLANK)
    first_line = head.removeprefix(b"\r\n").partition(b"\r\n")[0]
    if first_line == delimiter + b"--":
        raise _no_file()
    if first_line != delimiter:
        raise _malformed("The body does not start with its boundary.")
    if len(head) > OVERHEAD:
        raise _malformed(TOO_MUCH)
    if not blank:
        raise _truncated()
    return head + blank, content


def _headers(head: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    _, *lines = head.removeprefix(b"\r\n").removesuffix(BLANK).split(b"\r\n")
    for line in lines:
        header = HEADER.fullmatch(line)
        name = header[1].decode().lower() if header else ""
        if not header or name in found or len(found) == HEADERS:
            raise _malformed("The headers of the part are malformed, repeated or too many.")
        found[name] = header[2].strip(b" \t")
    return found


async def _content(body: _Body, found: bytes, delimiter: bytes, *, room: int) -> AsyncIterator[bytes]:
    """The bytes of the file, from what is found of them already; then, up to the end of the body, nothing."""
    end = re.compile(re.escape(delimiter) + rb"(--|\r\n|[ \t])")
    held = len(delimiter) + 1  # which may be the start of the end
    while not (closing := end.search(found)):
        yield found[:-held]
        if (chunk := await body.read()) is None:
            raise _truncated()
        found = found[-held:] + chunk
    yield found[: closing.start()]
    if closing[1] == b"\r\n":
        raise _extra_part()
    if closing[1] != b"--":
        raise _malformed("There is white space behind a boundary.")
    rest = len(found) - closing.end()
    while rest <= room and (chunk := await body.read()) is not None:
        rest += len(chunk)
    if rest > room:
        raise _malformed(TOO_MUCH)
    body.check()


def _boundary(content_type: str) -> str:
    try:
        _, found = parameters.parse(content_type)
    except ValueError:
        raise _malformed("Content-Type is malformed.") from None
    boundary = found.get("boundary", "")
    if not 1 <= len(boundary) <= BOUNDARY_MAX or not boundary.isascii() or not boundary.isprintable():
        raise _malformed(f"Content-Type needs a boundary of 1 to {BOUNDARY_MAX} characters.")
    return boundary


def _filename(headers: dict[str, bytes]) -> str:
    """The sender's name for the file. `filename*` is not made for forms, yet some clients send it, and mean it."""
    if headers.get("content-transfer-encoding", b"binary").lower() not in {b"7bit", b"8bit", b"binary"}:
        raise _malformed("The file is sent as it is, without a transfer encoding.")
    try:
        kind, found = parameters.parse(headers.get("content-disposition", b"").decode())
    except UnicodeDecodeError:
        raise _not_utf8() from None
    except ValueError:
        raise _malformed("The part's Content-Disposition is malformed.") from None
    if kind != "form-data" or "name" not in found:
        raise _malformed("The part's Content-Disposition is not that of a form field.")
    if found["name"] != FIELD:
        raise _extra_part()
    try:
        extended, plain = found.get("filename*"), found.get("filename", "")
        filename = parameters.unescaped(plain) if extended is None else parameters.extended(extended)
    except ValueError:
        raise _not_utf8() from None
    if not filename:
        raise _no_file()
    return filename


def _malformed(detail: str = "") -> Refused:
    return Refused(400, *MALFORMED_MULTIPART, detail)


def _truncated() -> Refused:
    return _malformed("The body ends before its last boundary.")


def _not_utf8() -> Invalid:
    return Invalid("A name in UTF-8.", pointer=f"/{FIELD}", reason="filename_characters")


def _extra_part() -> Invalid:
    return Invalid(f"One part only, named {FIELD}.", reason="extra_part")


def _no_file() -> Invalid:
    return Invalid(f"A file is needed, as the part named {FIELD}.", pointer=f"/{FIELD}", reason="missing")
