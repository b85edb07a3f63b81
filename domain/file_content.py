"""Does the content look like its type? Judged as it streams by, in bounded memory; nothing is decoded or unpacked."""

import codecs
import re
import struct
from collections.abc import Iterator
from typing import Protocol

from domain.errors import UnsupportedType


class FileTypeMismatch(UnsupportedType):
    code = "file-type-mismatch"
    title = "The file's name, its declared type and its content do not agree."


class Inspection(Protocol):
    """Watches one file. Both raise `FileTypeMismatch`, as soon as it is certain."""

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> None: ...


class Magic:
    """A file that starts like `pattern`, which looks at the first 12 bytes."""

    HEAD = 12

    def __init__(self, pattern: bytes) -> None:
        self._pattern = re.compile(pattern, re.DOTALL)
        self._head = b""
        self._judged = False

    def feed(self, chunk: bytes) -> None:
        if not self._judged:
            self._head += chunk[: self.HEAD - len(self._head)]
            if len(self._head) == self.HEAD:
                self.finish()

    def finish(self) -> None:
        self._judged = True
        if not self._pattern.match(self._head):
            raise FileTypeMismatch


class Utf8Text:
    """UTF-8 without NUL; a character may be split over chunks."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes) -> None:
        if b"\0" in chunk:
            raise FileTypeMismatch
        self._decode(chunk)

    def finish(self) -> None:
        self._decode(b"", final=True)

    def _decode(self, chunk: bytes, *, final: bool = False) -> None:
        try:
            self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            raise FileTypeMismatch from None  # the cause would carry the content


class Zip:
    """A zip whose directory, at the end, names something in each of the given places (APPNOTE.TXT, 4.3.12, 4.3.16).

    Only so much of the end is kept as holds the directory of several thousand files; an office document has dozens.
    """

    TAIL = 512 * 1024
    ENTRY = struct.Struct("<4s24x3H12x")
    END = struct.Struct("<4s6xH4xLH")
    COMMENT_MAX = 0xFFFF

    def __init__(self, *places: bytes) -> None:
        self._places = places
        self._start = Magic(rb"PK\x03\x04" if places else rb"PK(\x03\x04|\x05\x06)")
        self._tail = bytearray()
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        self._start.feed(chunk)
        self._size += len(chunk)
        self._tail += chunk[-self.TAIL :]
        if len(self._tail) > 2 * self.TAIL:
            del self._tail[: -self.TAIL]

    def finish(self) -> None:
        tail = bytes(self._tail)
        count, offset = self._end_record(tail)
        if self._places:
            missing = set(self._places)
            for name in self._names(tail, count, offset - (self._size - len(tail))):
                missing -= {place for place in missing if name.startswith(place)}
                if not missing:
                    return
            raise FileTypeMismatch

    def _end_record(self, tail: bytes) -> tuple[int, int]:
        """How many entries the directory has, and where in the file it starts."""
        at = len(tail)
        first = max(0, at - self.COMMENT_MAX - self.END.size)
        while (at := tail.rfind(b"PK\x05\x06", first, at)) >= 0:
            if at + self.END.size <= len(tail):
                _, count, offset, comment = self.END.unpack_from(tail, at)
                if at + self.END.size + comment == len(tail):
                    return count, offset
        raise FileTypeMismatch

    def _names(self, tail: bytes, count: int, at: int) -> Iterator[bytes]:
        for _ in range(count):
            if not 0 <= at <= len(tail) - self.ENTRY.size:
                raise FileTypeMismatch
            signature, name, extra, comment = self.ENTRY.unpack_from(tail, at)
            if signature != b"PK\x01\x02":
                raise FileTypeMismatch
            at += self.ENTRY.size
            yield tail[at : at + name]
            at += name + extra + comment
