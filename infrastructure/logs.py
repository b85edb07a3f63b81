"""Log lines: for people on a console or as JSON for machines, the same for our own and those of libraries."""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from typing import Any

import structlog

NOISY = ("alembic", "aiosqlite", "pgqueuer")
CONTROLS = re.compile(r"[^\t\n\r -~\xa0-\U0010ffff]|[\u2028-\u202e\u2066-\u2069]")


def configure(*, level: str, form: str) -> None:
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_exceptions,
    ]
    if form == "console":
        shared.append(_show_controls)
    renderer: Any = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.INFO), force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _show_controls(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A path or a title must not steer the terminal that shows the log. Ends of lines are quoted by the renderer."""
    for name, value in event.items():
        if isinstance(value, str) and CONTROLS.search(value):
            event[name] = CONTROLS.sub("\N{REPLACEMENT CHARACTER}", value)
    return event


def _name_exceptions(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where exceptions came from and of which types; neither their texts nor variables, which could hold anything."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given is True else given
    if error is not None:
        event["exception"] = "\n" + "".join(_lines(error))
    return event


def _lines(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _lines(cause)
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
