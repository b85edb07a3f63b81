"""The reader of uploads, fed with bodies that are right, wrong and hostile, cut in every way."""

import asyncio
import base64
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from itertools import chain, repeat

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from domain.errors import Invalid
from domain.file import DigestMismatch
from interfaces.http.multipart import OVERHEAD, SLICE, MultipartFile
from interfaces.http.problems import Refused

FORM = "multipart/form-data; boundary=limit"
DISPOSITION = b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n'
END = b"\r\n--limit--\r\n"
TRICKY = b"\r\n--limi\r\n--limitless\r\n-\r\r\n\r\n--limit\r-- --limit--\r"
SIZES = [1, 2, 3, 7, 64, 1 << 20]


def body(content: bytes = b"Hello", *, headers: bytes = DISPOSITION, end: bytes = END) -> bytes:
    return b"--limit\r\n" + headers + b"\r\n" + content + end


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256(content).digest()).decode()}:"


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


class Sender:
    """Sends a body piece by piece, and counts how many pieces were asked for."""

    def __init__(self, pieces: Iterable[bytes], *, hangs_up: bool = False) -> None:
        self._pieces = iter(pieces)
        self._hangs_up = hangs_up
        self.sent = 0

    async def __call__(self) -> Message:
        piece = next(self._pieces, None)
        if piece is not None:
            self.sent += 1
            return {"type": "http.request", "body": piece, "more_body": True}
        return {"type": "http.disconnect"} if self._hangs_up else {"type": "http.request", "more_body": False}


def multipart(sender: Sender, content_type: str = FORM, **headers: str) -> MultipartFile:
    fields = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
    return MultipartFile(Request({"type": "http", "method": "POST", "headers": raw}, sender))


async def received(file: MultipartFile) -> tuple[str, str, bytes]:
    """Name, declared type and content, or what is wrong."""
    file.least_size()
    arriving = await file.open()
    return arriving.filename, arriving.declared_type, b"".join([chunk async for chunk in arriving.chunks])


async def verdict(pieces: Iterable[bytes], content_type: str = FORM, **headers: str) -> int | str:
    """The status with which it is refused, or the reason if that is 422, or the file's name."""
    try:
        filename, _, _ = await received(multipart(Sender(pieces), content_type, **headers))
    except Refused as refused:
        return refused.status
    except Invalid as invalid:
        return invalid.reason
    return filename


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "content", [b"", b"Hello", b"\r\n", b"--limit", b"\r\n--limit", TRICKY, bytes(range(256)) * 20]
)
async def test_the_content_arrives_as_it_is_however_it_is_cut(content: bytes, size: int) -> None:
    headers = DISPOSITION + b"Content-Type:text/plain; charset=utf-8\r\nX-More: 1\r\n"
    if content == b"\r\n--limit":
        content += b"x"  # else it would be a boundary
    file = multipart(Sender(cut(body(content, headers=headers), size)))
    assert await received(file) == ("a.txt", "text/plain; charset=utf-8", content)


@pytest.mark.parametrize(
    ("disposition", "expected"),
    [
        (b'form-data; name="file"; filename="a.txt"', "a.txt"),
        (b"form-data; name=file; filename=a.txt", "a.txt"),
        (b'FORM-DATA;Name="file";FileName="a.txt";', "a.txt"),
        (b'form-data; name="file"; filename="a;b=c.txt"', "a;b=c.txt"),
        (b'form-data; name="file"; filename="a\\"b\\\\c.txt"', 'a"b\\c.txt'),
        (b'form-data; name="file"; filename="C:\\dir\\a.txt"', "C:\\dir\\a.txt"),
        (b'form-data; name="file"; filename="a%22b%0D%0A%00c%41%25.txt"', 'a"b\r\n\0c%41%25.txt'),
        ('form-data; name="file"; filename="Grüße 世界.txt"'.encode(), "Grüße 世界.txt"),
        (b"form-data; name=\"file\"; filename*=UTF-8'de'Gr%C3%BC%c3%9fe.txt", "Grüße.txt"),
        (b'form-data; name="file"; filename="Gr.txt"; filename*=utf-8\'\'Gr%C3%BC.txt', "Grü.txt"),
        (b'form-data; name="file"; filename*=utf-8\'\'..%2Fa.txt; filename="a.txt"', "../a.txt"),
        (b"form-data; name=\"file\"; filename*=utf-8''a%00.txt", "a\0.txt"),
        (b"form-data; name=\"file\"; filename*=utf-8''a%FF.txt", "filename_characters"),
        (b"form-data; name=\"file\"; filename*=utf-8''%ED%A0%80.txt", "filename_characters"),
        (b"form-data; name=\"file\"; filename*=iso-8859-1''a.txt", "filename_characters"),
        (b'form-data; name="file"; filename*="a.txt"', "filename_characters"),
        (b"form-data; name=\"file\"; filename*=utf-8''a%2.txt", "filename_characters"),
        ('form-data; name="file"; filename="Grüße.txt"'.encode("latin-1"), "filename_characters"),
        (b'form-data; name="file"; filename*0="a"; filename*1=".txt"', "missing"),
        (b'form-data; name="file"; filename=""', "missing"),
        (b'form-data; name="file"', "missing"),
        (b'form-data; name="other"; filename="a.txt"', "extra_part"),
        (b'form-data; name="FILE"; filename="a.txt"', "extra_part"),
        (b'form-data; name=""; filename="a.txt"', "extra_part"),
        (b'form-data; filename="a.txt"', 400),
        (b'attachment; name="file"; filename="a.txt"', 400),
        (b'form-data; name="file"; filename="a.txt"; filename="b.txt"', 400),
        (b'form-data; name="file"; name="file"; filename="a.txt"', 400),
        (b"form-data; name=\"file\"; filename*=utf-8''a.txt; FILENAME*=utf-8''b.txt", 400),
        (b'form-data; name="file"; filename="a.txt', 400),
        (b'form-data; name="file"; filename="a.txt"b', 400),
        (b'form-data name="file" filename="a.txt"', 400),
        (b"", 400),
    ],
)
async def test_a_name_is_read_in_one_way_only(disposition: bytes, expected: str | int) -> None:
    for size in SIZES:
        headers = b"Content-Disposition: " + disposition + b"\r\n"
        assert await verdict(cut(body(headers=headers), size)) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/mixed; boundary=limit",
        "multipart/form-datax; boundary=limit",
        "text/plain",
        "file",
    ],
)
async def test_what_is_no_form_is_415_before_anything_is_read(content_type: str) -> None:
    sender = Sender([body()])
    with pytest.raises(Refused) as refused:
        multipart(sender, content_type).least_size()
    assert (refused.value.status, refused.value.code, sender.sent) == (415, "unsupported-media-type", 0)


async def test_a_content_coding_is_415() -> None:
    assert await verdict([body()], content_encoding="gzip") == 415


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        f"multipart/form-data; boundary={'x' * 71}",
        "multipart/form-data; boundary=limit; boundary=other",
        'multipart/form-data; boundary="limit',
        'multipart/form-data; boundary="lim\nit"',
        "multipart/form-data; boundary=l\xefmit",
    ],
)
async def test_a_form_without_a_proper_boundary_is_400(content_type: str) -> None:
    assert await verdict([body()], content_type) == 400


async def test_a_boundary_may_have_70_characters_and_be_quoted() -> None:
    limit = "x y" + "z" * 67
    whole = body().replace(b"limit", limit.encode())
    assert await verdict([whole], f'Multipart/Form-Data; charset=utf-8; Boundary="{limit}"') == "a.txt"


HOSTILE = {
    "empty": (b"", 400),
    "not a form": (b'{"file": "a.txt"}', 400),
    "another boundary": (body().replace(b"limit", b"other"), 400),
    "a preamble": (b"preamble\r\n" + body(), 400),
    "only line breaks": (b"\r\n" * 100, 400),
    "no part": (b"--limit--\r\n", "missing"),
    "cut in the boundary": (b"--lim", 400),
    "cut in the headers": (b"--limit\r\nContent-Disp", 400),
    "cut after the headers": (b"--limit\r\n" + DISPOSITION + b"\r\n", 400),
    "cut in the content": (body(end=b""), 400),
    "cut in the last boundary": (body(end=b"\r\n--limit"), 400),
    "cut in the last dashes": (body(end=b"\r\n--limit-"), 400),
    "no headers": (body(headers=b""), 400),
    "no disposition": (body(headers=b"Content-Type: text/plain\r\n"), 400),
    "a repeated header": (body(headers=DISPOSITION + DISPOSITION), 400),
    "a header without a colon": (body(headers=DISPOSITION + b"Broken\r\n"), 400),
    "a header without a name": (body(headers=DISPOSITION + b": x\r\n"), 400),
    "a folded header": (body(headers=DISPOSITION + b" more\r\n"), 400),
    "a header with a bad name": (body(headers=DISPOSITION + b"X Y: z\r\n"), 400),
    "bare line feeds": (body().replace(b"\r\n", b"\n"), 400),
    "too many headers": (body(headers=DISPOSITION + b"".join(b"X-%d: y\r\n" % number for number in range(8))), 400),
    "a huge header": (body(headers=DISPOSITION + b"X-Huge: " + b"y" * OVERHEAD + b"\r\n"), 400),
    "a huge header name": (body(headers=DISPOSITION + b"X" * OVERHEAD + b": y\r\n"), 400),
    "many large headers": (
        body(headers=DISPOSITION + b"".join(b"X-%d: " % number + b"y" * 4000 + b"\r\n" for number in range(5))),
        400,
    ),
    "a transfer encoding": (body(headers=DISPOSITION + b"Content-Transfer-Encoding: base64\r\n"), 400),
    "a second file": (body(end=b"\r\n") + body(), "extra_part"),
    "an extra field": (
        body(end=b'\r\n--limit\r\nContent-Disposition: form-data; name="x"\r\n\r\ny') + END,
        "extra_part",
    ),
    "a field first": (b'--limit\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n' + body(), "extra_part"),
    "a flood of parts": (b"--limit\r\n\r\n\r\n" * 10_000, 400),
    "a flood of files": (body(end=b"\r\n") * 10_000, "extra_part"),
    "a long epilogue": (body() + b"x" * OVERHEAD, 400),
    "endless padding": (body(end=b"\r\n--limit" + b" " * OVERHEAD), 400),
    "a short epilogue": (body() + b"\r\nbye", "a.txt"),
    "padding": (body(end=b"\r\n--limit--  \t\r\n"), "a.txt"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_body_gets_the_same_answer_however_it_is_cut(name: str) -> None:
    content, expected = HOSTILE[name]
    for size in SIZES if len(content) < 3000 else (1000, 1 << 20):
        assert await verdict(cut(content, size)) == expected


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "5,5", "x", "9" * 20, "\xb2"])
async def test_a_content_length_that_is_none_is_400(length: str) -> None:
    assert await verdict([body()], content_length=length) == 400


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("content", [b"", b"Hello", b"\n\r\n\r\n", b"\r\n--limi", TRICKY])
async def test_the_length_of_the_request_tells_the_size_of_the_file(content: bytes, size: int) -> None:
    whole = b"\r\n" + body(content, headers=b"X-More: 1\r\n" + DISPOSITION)
    for sent, told in (
        (whole, len(content)),
        (whole.removesuffix(b"\r\n"), len(content) - 2),  # what comes after the last dashes may be missing,
        (whole + b"bye", len(content) + 3),  # or be more
    ):
        file = multipart(Sender(cut(sent, size)), content_length=str(len(sent)))
        assert (await file.open()).size == max(0, told)
    assert (await multipart(Sender(cut(whole, size))).open()).size is None
    assert (await multipart(Sender(cut(whole, size)), content_length="7").open()).size == 0


@pytest.mark.parametrize(("length", "least"), [(0, 0), (OVERHEAD, 0), (OVERHEAD + 1, 1), (10**12, 10**12 - OVERHEAD)])
async def test_of_the_length_at_most_the_overhead_is_not_the_file(length: int, least: int) -> None:
    assert multipart(Sender([]), content_length=str(length)).least_size() == least


async def test_the_largest_overhead_passes_and_one_byte_more_does_not() -> None:
    rest = OVERHEAD - len(body(b""))
    assert await verdict([body() + b"x" * rest]) == "a.txt"
    assert await verdict([body() + b"x" * (rest + 1)]) == 400


@pytest.mark.parametrize("size", [5, 1 << 20])
async def test_digests_of_the_file_and_of_the_body_are_compared(size: int) -> None:
    signed = body(headers=DISPOSITION + b"Content-Digest: sha-512=:AAAA:, " + digest(b"Hello").encode() + b"\r\n")
    arriving = await multipart(Sender(cut(signed, size))).open()
    assert arriving.sha256 == sha256(b"Hello").hexdigest()
    assert await verdict(cut(body(), size), content_digest=digest(body())) == "a.txt"
    assert await verdict(cut(body(), size), content_digest=digest(b"Hello")) == "digest"
    assert await verdict(cut(body() + b"epilogue", size), content_digest=digest(body())) == "digest"


@pytest.mark.parametrize("header", ["sha-256=:AAAA:", "sha-256=abc", "sha-256", "sha-256=", f"x=1, {digest(b'')[:-1]}"])
async def test_a_digest_that_cannot_be_one_does_not_match(header: str) -> None:
    with pytest.raises(DigestMismatch):
        await received(multipart(Sender([body()]), content_digest=header))
    with pytest.raises(DigestMismatch):
        await received(multipart(Sender([body(headers=DISPOSITION + f"Content-Digest: {header}\r\n".encode())])))


@pytest.mark.parametrize("header", ["", "sha-512=:AAAA:", "md5=:AAAA:;x=1", "SHA-256=:AAAA:"])
async def test_a_digest_of_another_kind_is_not_looked_at(header: str) -> None:
    assert await verdict([body()], content_digest=header) == "a.txt"


async def test_a_sender_that_hangs_up_is_no_end_of_the_body() -> None:
    for whole in (b"--limit\r\nContent-", body(end=b""), body()):
        with pytest.raises(ClientDisconnect):
            await received(multipart(Sender([whole], hangs_up=True)))


async def test_others_get_their_turn_while_a_large_piece_is_parsed() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    assert await verdict([body(TRICKY * 10_000)]) == "a.txt"
    waiting.cancel()
    assert turns > len(TRICKY) * 10_000 // SLICE


async def test_nothing_is_read_ahead() -> None:
    sender = Sender(cut(body(b"x" * 1000), 100))
    file = multipart(sender)
    file.least_size()
    assert sender.sent == 0
    chunks = (await file.open()).chunks
    assert isinstance(chunks, AsyncIterator)
    assert sender.sent == 1
    for asked in (1, 2, 3):
        await anext(chunks)
        assert sender.sent == asked


@pytest.mark.parametrize(
    ("piece", "times"),
    [(b"x" * 65_536, 1000), (b"\r\n--limi" * 7000, 1000), (TRICKY * 1000, 10)],
    ids=["plain", "almost", "tricky"],
)
async def test_memory_stays_flat(piece: bytes, times: int) -> None:
    file = multipart(Sender(chain([body(end=b"")[:-5]], repeat(piece, times), [END])))
    arriving = await file.open()
    size = 0
    tracemalloc.start()
    try:
        async for chunk in arriving.chunks:
            size += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == times * len(piece)
    assert peak < 1024 * 1024
