"""How commands tell an operator what is wrong: in a sentence, with exit code 1."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer
from pydantic import ValidationError

from infrastructure.settings import Settings

UNREADABLE = (ValidationError, UnicodeDecodeError)


def read_settings() -> Settings:
    try:
        settings = Settings()
    except UNREADABLE as error:
        for fault in faults(error):
            say(fault)
        raise typer.Exit(1) from None
    from infrastructure import logs  # noqa: PLC0415 # each command imports only what it needs

    logs.configure(level=settings.log_level, form=settings.log_format)
    return settings


def faults(error: ValidationError | UnicodeDecodeError) -> Iterator[str]:
    """Each begins with the name of a setting, where there is one."""
    if isinstance(error, UnicodeDecodeError):
        yield ".env is not a text in UTF-8"
        return
    for found in error.errors(include_input=False, include_url=False):
        name = "".join(f"TASKWELL_{str(part).upper()} " for part in found["loc"][:1])
        yield f"{name}{found['msg'].removeprefix('Value error, ')}"


@contextmanager
def told() -> Iterator[None]:
    """What an operator can mend is told in a sentence, not in a traceback."""
    from application.ports import DatabaseAway, StorageAway  # noqa: PLC0415 # likewise
    from infrastructure.alone import NotAlone  # noqa: PLC0415 # likewise

    try:
        yield
    except NotAlone as reason:
        refuse(str(reason))
    except OSError as error:
        refuse(f"{error.filename or 'the database'}: {error.strerror}")
    except DatabaseAway as away:
        refuse(f"{away.title} (TASKWELL_DATABASE_URL; {type(away.__cause__).__name__})")
    except StorageAway as away:
        refuse(f"{away.title} (TASKWELL_STORAGE_URL; {type(away.__cause__).__name__})")


def refuse(reason: str) -> NoReturn:
    say(reason)
    raise typer.Exit(1)


def say(reason: str) -> None:
    typer.echo(f"taskwell: {reason}", err=True)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """For people on a terminal; elsewhere a line for each row, its columns separated by tabs."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            typer.echo("\t".join(row))
        return
    from rich.console import Console  # noqa: PLC0415 # likewise
    from rich.table import Column, Table  # noqa: PLC0415 # likewise
    from rich.text import Text  # noqa: PLC0415 # likewise

    table = Table(*(Column(name, overflow="fold") for name in columns))  # on a narrow terminal too, all is shown
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
