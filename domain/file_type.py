"""The kinds of files that can be allowed, by extension: what they are called, and what their content looks like."""

from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import partial

from domain.errors import Invalid, UnsupportedType
from domain.file_content import FileTypeMismatch, Inspection, Magic, Utf8Text, Zip

DECLARED_TYPE_MAX = 100
UNDECLARED = frozenset({"", "application/octet-stream"})
OFFICE = "application/vnd.openxmlformats-officedocument"


class FileTypeNotAllowed(UnsupportedType):
    code = "file-type-not-allowed"
    title = "Files with this extension are not allowed."


@dataclass(frozen=True, slots=True)
class FileType:
    """`content_type` is what we call it; `aliases` is what browsers, tools and systems call it too."""

    content_type: str
    inspect: Callable[[], Inspection]
    aliases: frozenset[str] = frozenset()

    def agrees(self, declared_type: str) -> bool:
        """Whether this is the type declared, its parameters aside. Raise `Invalid` if that is too long to be one."""
        if len(declared_type) > DECLARED_TYPE_MAX:
            raise Invalid(f"A type of at most {DECLARED_TYPE_MAX} characters.", pointer="/file", reason="content_type")
        declared = declared_type.partition(";")[0].strip().lower()
        return declared in UNDECLARED or declared == self.content_type or declared in self.aliases


_JPEG = FileType("image/jpeg", partial(Magic, rb"\xff\xd8\xff"), frozenset({"image/jpg", "image/pjpeg"}))
_CSV_ALIASES = (
    "text/plain text/x-csv text/comma-separated-values application/csv application/x-csv application/vnd.ms-excel"
)

FILE_TYPES = {
    "jpg": _JPEG,
    "jpeg": _JPEG,
    "png": FileType("image/png", partial(Magic, rb"\x89PNG\r\n\x1a\n"), frozenset({"image/x-png"})),
    "gif": FileType("image/gif", partial(Magic, rb"GIF8[79]a")),
    "webp": FileType("image/webp", partial(Magic, rb"RIFF....WEBP")),
    "pdf": FileType("application/pdf", partial(Magic, rb"%PDF-"), frozenset({"application/x-pdf"})),
    "doc": FileType(
        "application/msword",
        partial(Magic, rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        frozenset({"application/x-msword", "application/vnd.ms-word", "application/doc"}),
    ),
    "docx": FileType(f"{OFFICE}.wordprocessingml.document", partial(Zip, b"[Content_Types].xml", b"word/")),
    "xlsx": FileType(f"{OFFICE}.spreadsheetml.sheet", partial(Zip, b"[Content_Types].xml", b"xl/")),
    "txt": FileType("text/plain", Utf8Text),
    "csv": FileType("text/csv", Utf8Text, frozenset(_CSV_ALIASES.split())),
    "md": FileType("text/markdown", Utf8Text, frozenset({"text/plain", "text/x-markdown"})),
    "zip": FileType("application/zip", Zip, frozenset({"application/x-zip-compressed", "application/x-zip"})),
}


def file_type(extension: str, declared_type: str, *, allowed: Container[str]) -> FileType:
    """Raise `FileTypeNotAllowed`, or `FileTypeMismatch` if the sender declares another type than the extension says."""
    if extension not in allowed:
        raise FileTypeNotAllowed
    kind = FILE_TYPES[extension]
    if not kind.agrees(declared_type):
        raise FileTypeMismatch
    return kind
