"""Names, types and contents of files, and how they must agree."""

import io
import re
import tracemalloc
import zipfile

import pytest

from domain.errors import Invalid
from domain.file import checked_filename, extension_of, stored_name
from domain.file_content import FileTypeMismatch
from domain.file_type import FILE_TYPES, FileTypeNotAllowed, file_type
from domain.task import TaskId

CONTENT_TYPES = "[Content_Types].xml"


def zipped(*names: str, compression: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in names:
            archive.writestr(name, f"<{name}/>")
        archive.comment = comment
    return file.getvalue()


DOCX = zipped(CONTENT_TYPES, "_rels/.rels", "word/document.xml")
XLSX = zipped(CONTENT_TYPES, "_rels/.rels", "xl/workbook.xml")
GENUINE = {
    "jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01",
    "jpeg": b"\xff\xd8\xff\xdb",
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "webp": b"RIFF\x0a\x0d\x00\x00WEBPVP8 ",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 500,
    "docx": DOCX,
    "xlsx": XLSX,
    "txt": "Grüße, 世界 👋\r\n".encode(),
    "csv": "\ufeffa;b\n1;ü\n".encode(),
    "md": b"# Title\n",
    "zip": zipped("anything"),
}


def inspect(extension: str, content: bytes, size: int = 1 << 20) -> bool:
    """Whether the content passes for this extension, fed in pieces of this size."""
    inspection = FILE_TYPES[extension].inspect()
    try:
        for start in range(0, len(content), size):
            inspection.feed(content[start : start + size])
        inspection.finish()
    except FileTypeMismatch:
        return False
    return True


def test_each_type_has_a_genuine_example() -> None:
    assert GENUINE.keys() == FILE_TYPES.keys()


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
@pytest.mark.parametrize("content_of", GENUINE)
def test_a_content_passes_for_its_own_type_only(content_of: str, size: int) -> None:
    passed = {extension for extension in FILE_TYPES if inspect(extension, GENUINE[content_of], size)}
    alike = [{"jpg", "jpeg"}, {"txt", "csv", "md"}]
    own = next((group for group in alike if content_of in group), {content_of})
    assert passed == own | ({"zip"} if content_of in {"docx", "xlsx"} else set())


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        ("jpg", b"\xff\xd8"),
        ("png", b"\x89PNG"),
        ("png", b" " + GENUINE["png"]),
        ("gif", b"GIF88a"),
        ("webp", b"RIFF\x0a\x00\x00\x00WAVE"),
        ("pdf", b"<html>%PDF-1.7"),
        ("txt", b"a\0b"),
        ("txt", "Grüße".encode("latin-1")),
        ("txt", "Grüße".encode("utf-16")),
        ("txt", "ü".encode()[:1]),
        ("txt", b"\xed\xa0\x80"),  # a surrogate
        ("txt", b"\xc0\x80"),  # NUL, overlong
        ("docx", DOCX[:-1]),
        ("docx", DOCX + b"x"),
        ("docx", b"x" + DOCX),
        ("docx", DOCX[:-22] + XLSX[-22:]),
        ("docx", DOCX.replace(b"PK\x01\x02", b"PK\x01\x03")),
        ("docx", zipped(CONTENT_TYPES, "words/document.xml")),
        ("docx", zipped("word/document.xml")),
        ("docx", zipped(CONTENT_TYPES)),
        ("docx", b"PK\x03\x04"),
        ("docx", b"PK\x03\x04" + b"PK\x05\x06" + b"\xff" * 16 + b"\0\0"),
        ("docx", b"PK\x03\x04" + b"PK\x05\x06" * 50_000),
        ("zip", b"PK\x03\x04 and nothing more"),
    ],
)
def test_a_content_that_only_resembles_its_type_does_not_pass(extension: str, content: bytes) -> None:
    assert not inspect(extension, content)
    assert not inspect(extension, content, 7)


@pytest.mark.parametrize("content", [GENUINE["zip"], zipped(), zipped("a", comment=b"PK\x05\x06 is no end" * 100)])
def test_any_whole_zip_is_a_zip(content: bytes) -> None:
    assert inspect("zip", content)


def test_the_directory_of_an_office_file_may_be_followed_by_records_of_zip64() -> None:
    end = DOCX.rindex(b"PK\x05\x06")
    assert inspect("docx", DOCX[:end] + b"PK\x06\x06" + b"\0" * 72 + DOCX[end:])


@pytest.mark.parametrize("places", [("word/document.xml", CONTENT_TYPES), (CONTENT_TYPES, "word/document.xml")])
def test_an_office_file_may_be_large_and_its_entries_many(places: tuple[str, str]) -> None:
    names = [places[0], *(f"word/media/image{number}.png" for number in range(3000)), places[1]]
    assert inspect("docx", zipped(*names, compression=zipfile.ZIP_STORED), 64 * 1024)


def test_what_a_zip_costs_is_bounded() -> None:
    """64 MiB of a hostile file: its end claims a directory of 65,535 entries, which fills all that is kept of it."""
    entry = b"PK\x01\x02" + b"\0" * 42
    chunk = entry * (1024 * 1024 // len(entry))
    size = 64 * len(chunk)
    end = b"PK\x05\x06" + b"\0" * 4 + b"\xff\xff" * 2 + b"\0" * 4 + (size - 500 * 1024).to_bytes(4, "little") + b"\0\0"
    inspection = FILE_TYPES["docx"].inspect()
    inspection.feed(b"PK\x03\x04")
    tracemalloc.start()
    try:
        for _ in range(64):
            inspection.feed(chunk)
        inspection.feed(end)
        with pytest.raises(FileTypeMismatch):
            inspection.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("extension", "declared"),
    [
        ("png", ""),
        ("png", "application/octet-stream"),
        ("png", "image/png"),
        ("png", " IMAGE/PNG "),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpg"),
        ("jpg", "image/pjpeg"),
        ("pdf", "application/x-pdf"),
        ("csv", "text/plain; charset=utf-8"),
        ("csv", "application/vnd.ms-excel"),
        ("md", "text/plain"),
        ("md", "text/x-markdown"),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("zip", "application/x-zip-compressed"),
    ],
)
def test_the_usual_names_of_a_type_are_accepted(extension: str, declared: str) -> None:
    assert file_type(extension, declared, allowed=FILE_TYPES) is FILE_TYPES[extension]


@pytest.mark.parametrize(
    ("extension", "declared"),
    [
        ("png", "image/jpeg"),
        ("jpg", "image/png"),
        ("txt", "text/html"),
        ("txt", "text/csv"),
        ("pdf", "pdf"),
        ("docx", "application/msword"),
        ("docx", "application/zip"),
        ("png", "application/octet-stream+image/png"),
        ("png", "image/png\0"),
    ],
)
def test_another_declared_type_does_not_agree(extension: str, declared: str) -> None:
    with pytest.raises(FileTypeMismatch):
        file_type(extension, declared, allowed=FILE_TYPES)


def test_a_declared_type_has_at_most_100_characters() -> None:
    longest = "image/png;" + "x" * 90
    assert file_type("png", longest, allowed=FILE_TYPES) is FILE_TYPES["png"]
    with pytest.raises(Invalid):
        file_type("png", longest + "x", allowed=FILE_TYPES)


@pytest.mark.parametrize("extension", ["zip", "exe", "html", "svg", "", "PNG"])
def test_only_what_is_allowed_is_allowed(extension: str) -> None:
    with pytest.raises(FileTypeNotAllowed):
        file_type(extension, "", allowed={"png", "txt"})


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.txt", "txt"),
        ("A.PNG", "png"),
        ("a.tar.gz", "gz"),
        ("invoice.pdf.exe", "exe"),
        ("a.png\u202etxt.exe", "exe"),
        ("a", ""),
        ("a.", ""),
        (".txt", ""),
        ("a.txt ", "txt "),
        ("a.pdf\u200b", "pdf\u200b"),
    ],
)
def test_the_extension_is_what_follows_the_last_dot(name: str, extension: str) -> None:
    assert extension_of(name) == extension


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a.txt",
        "x" * 251 + ".txt",
        "👋" * 255,
        "Grüße 世界 👋.txt",
        "\u200e\u05e9\u05dc\u200f.txt",  # marks of a direction
        "\u0646\u200c\u0647.txt",  # joiners
        "👩\u200d💻.txt",
        "..a",
        "con.txt",
        '"; rm -rf',
    ],
)
def test_a_name_may_be_any_text(name: str) -> None:
    assert checked_filename(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 256,
        "../a.txt",
        "a/b.txt",
        "/",
        "C:\\a.txt",
        "..",
        ".",
        "a\0.txt",
        "a\n.txt",
        "a\x7f.txt",
        "a\x85.txt",
        "a\u2028.txt",
        "a\u2029.txt",
        *(f"a{chr(code)}gpj.txt" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
        "\ud800.txt",
    ],
)
def test_a_path_a_control_character_or_a_long_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_filename(name)
    assert refused.value.pointer == "/file"


def test_a_stored_name_is_unique_and_says_nothing_of_the_user() -> None:
    names = {stored_name(TaskId(7), "png") for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(r"task_7_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.png", name) for name in names)
