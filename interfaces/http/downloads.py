"""The bytes of a file as an answer: whole or one range, as an attachment that no browser opens in our name."""

import re
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from application.files import OpenedFile
from interfaces.http import byte_ranges
from interfaces.http.preconditions import not_modified
from interfaces.http.problems import ProblemResponse

RANGE_NOT_SATISFIABLE = ("range-not-satisfiable", "The file has no such bytes.")
ATTR_CHARS = "!#$&+-.^_`|~"  # RFC 8187, 3.2.1; letters and digits go without saying


def download(request: Request, opened: OpenedFile) -> Response:
    """200, 206, 304 or 416."""
    file = opened.file
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": attachment(file.original_filename),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
    }
    if not_modified(request, etag):
        return Response(status_code=304, headers=headers)
    span = byte_ranges.requested(request, size=file.file_size, etag=etag)
    if span is None:
        return Content(request, opened, range(file.file_size), status=200, headers=headers)
    if not span:
        refusal = ProblemResponse(request.scope, 416, RANGE_NOT_SATISFIABLE)
        refusal.headers["Content-Range"] = f"bytes */{file.file_size}"
        return refusal
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{file.file_size}"
    return Content(request, opened, span, status=206, headers=headers)


def attachment(filename: str) -> str:
    """`filename*` for the name as it is, and `filename` for programs that know ASCII only (RFC 6266, appendix D)."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe=ATTR_CHARS)}"


class Content(Response):
    """Streams a part of a file. It is opened before anything is sent, so that what goes wrong is still an answer."""

    def __init__(
        self, request: Request, opened: OpenedFile, span: range, *, status: int, headers: dict[str, str]
    ) -> None:
        length = {"Content-Length": str(len(span))}
        super().__init__(None, status, headers | length, media_type=opened.file.content_type)
        self._request, self._opened, self._span = request, opened, span

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        async with self._opened.read(self._span.start, self._span.stop) as chunks:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if await self._request.is_disconnected():  # the server swallows what is sent to nobody
                    return
        await send({"type": "http.response.body", "body": b""})
