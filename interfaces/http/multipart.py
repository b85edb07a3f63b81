"""The one file of a multipart/form-data request (RFC 7578), taken out of the body as it arrives, never held whole."""

import asyncio
import logging
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import TYPE_CHECKING

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from application.uploads import IncomingFile
from domain.errors import Invalid
from domain.file import DigestMismatch
from interfaces.http import parameters
from interfaces.http.content_digest import sha256_in
from interfaces.http.problems import UNSUPPORTED_MEDIA_TYPE, Refused

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MALFORMED_MULTIPART = ("malformed-multipart", "The body is not well-formed multipart/form-data.")

FIELD = "file"
OVERHEAD = 16 * 1024  # all that may be in a body beside the bytes of the file
HEADERS = 8
SLICE = 64 * 1024  # a hostile body costs 25 ms to parse for so many bytes; then others get their turn
LENGTH_DIGITS = 19
BOUNDARY_MAX = 70  # RFC 2046, 5.1.1

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # its warnings quote the body


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
        boundary = _boundary(self._request.headers["content-type"])
        reader = _Reader(boundary)
        body = self._body(reader)
        async for chunk in body:
            reader.feed(chunk)
            if reader.described or reader.ended or reader.failure:
                break
        if not reader.described:
            raise reader.failure or (_no_file() if reader.ended else _truncated())
        return IncomingFile(
            filename=_filename(reader.headers),
            declared_type=reader.headers.get("content-type", b"").decode("latin-1"),
            sha256=sha256_in(reader.headers.get("content-digest", b"").decode("latin-1")),
            size=self._size(beside=reader.head + len(f"\r\n--{boundary}--\r\n")),
            chunks=_content(reader, body),
        )

    def _size(self, beside: int) -> int | None:
        """What the length of the request leaves for the file."""
        length = self._request.headers.get("content-length")
        return None if length is None else max(0, int(length) - beside)

    async def _body(self, reader: "_Reader") -> AsyncIterator[bytes]:
        """The content of the request as it is sent; at its end its own `Content-Digest`, if there is one, must hold."""
        expected = sha256_in(", ".join(self._request.headers.getlist("content-digest")))
        digest = sha256()
        async for chunk in self._request.stream():
            if expected:
                digest.update(chunk)
            for start in range(0, len(chunk), SLICE):
                yield chunk[start : start + SLICE]
                await asyncio.sleep(0)
        if expected and reader.ended and digest.hexdigest() != expected:
            raise DigestMismatch(reason="digest")


async def _content(reader: "_Reader", body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes of the file, from what is read already to the end of the body."""
    yield reader.take()
    while not reader.failure and (chunk := await anext(body, None)) is not None:
        reader.feed(chunk)
        yield reader.take()
    if reader.failure or not reader.ended:
        raise reader.failure or _truncated()


class _Reader:
    """python-multipart's push parser, held to one part and to little beside it; what it finds waits here to be taken.

    So does what it finds wrong: it counts after all that comes before it, however the body is cut into chunks.
    """

    def __init__(self, boundary: str) -> None:
        self.headers: dict[str, bytes] = {}
        self.described = False  # the part's headers are complete
        self.head = 0  # bytes before the content
        self.ended = False
        self.failure: Refused | Invalid | None = None
        self._name, self._value = b"", b""
        self._pieces: list[bytes] = []
        self._parts = 0
        self._overhead = 0
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }
        self._parser = MultipartParser(boundary, callbacks, max_header_count=HEADERS, max_header_size=OVERHEAD)

    def feed(self, chunk: bytes) -> None:
        """Line by line up to the content: the parser does not tell where it begins."""
        start = 0
        while start < len(chunk) and not self.failure:
            stop = len(chunk) if self.described or self.ended else chunk.find(b"\n", start) + 1 or len(chunk)
            self._feed(chunk[start:stop])
            start = stop

    def _feed(self, piece: bytes) -> None:
        self._overhead += len(piece)
        try:
            self._parser.write(piece)
        except FormParserError:
            self.failure = _malformed()
        except (Refused, Invalid) as failure:
            self.failure = failure
        if self._overhead > OVERHEAD and not self.failure:
            self.failure = _malformed(f"More than {OVERHEAD} bytes beside the file.")

    def take(self) -> bytes:
        """All that was found of the file since the last time."""
        found = b"".join(self._pieces)
        self._pieces.clear()
        return found

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise Invalid(f"One part only, named {FIELD}.", reason="extra_part")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._name.decode("ascii").lower()
        if name in self.headers:
            raise _malformed("A header of the part is repeated.")
        self.headers[name] = self._value.strip(b" \t")
        self._name, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        self.described = True
        self.head = self._overhead

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._overhead -= end - start
        self._pieces.append(data[start:end])

    def _on_end(self) -> None:
        self.ended = True


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
        raise Invalid(f"One part only, named {FIELD}.", reason="extra_part")
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


def _no_file() -> Invalid:
    return Invalid(f"A file is needed, as the part named {FIELD}.", pointer=f"/{FIELD}", reason="missing")
