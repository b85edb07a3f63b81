"""Nothing that a client sends forges a line of the log or steers the terminal that shows it."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from infrastructure import logs

HOSTILE = ["/\x1b[2J", "/\x9b31m", "/a\x85b", "/a\x00b", "/a\x0bb", "/a\nb", "/a\r\nb c", "/a\u2028b", "/a\u202eb"]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def logged(capsys: pytest.CaptureFixture[str], form: str, **values: str) -> str:
    logs.configure(level="info", form=form)
    structlog.get_logger().info("answered", **values)
    return capsys.readouterr().err


@pytest.mark.parametrize("path", HOSTILE, ids=ascii)
@pytest.mark.parametrize("form", ["console", "json"])
def test_a_value_stays_in_its_line_and_steers_nothing(path: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, form, path=path)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if form == "json":
        assert json.loads(line)["path"] == path


def test_an_ordinary_value_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, "console", path="/tasks/7", title="Müll 🗑")
    assert "path=/tasks/7" in line
    assert "Müll 🗑" in line
