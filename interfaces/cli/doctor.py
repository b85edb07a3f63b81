"""`taskwell doctor`: a line for each thing that is well, doubtful or wrong with what is configured."""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Never

import typer

from infrastructure.settings import Settings
from interfaces.cli.told import UNREADABLE, faults, show_table

if TYPE_CHECKING:
    from infrastructure.doctor.finding import Finding

COLUMNS = ("part", "state", "what", "mend")


def doctor(as_json: Annotated[bool, typer.Option("--json", help="JSON, and nothing else.")] = False) -> None:
    from infrastructure import logs  # noqa: PLC0415 # each command imports only what it needs
    from infrastructure.doctor.finding import Finding  # noqa: PLC0415 # likewise

    logs.configure(level="error", form="console")
    try:
        settings = Settings()
    except UNREADABLE as error:
        mend = "see the table in the README"
        _tell([Finding("settings", "wrong", fault, mend) for fault in faults(error)], as_json=as_json)
    asyncio.run(_examine(settings, as_json=as_json))


async def _examine(settings: Settings, *, as_json: bool) -> Never:
    from infrastructure.container import Container  # noqa: PLC0415 # likewise
    from infrastructure.doctor.examination import examine  # noqa: PLC0415 # likewise

    _tell(await examine(Container(settings=settings)), as_json=as_json)


def _tell(findings: "list[Finding]", *, as_json: bool) -> Never:
    well = all(finding.state != "wrong" for finding in findings)
    rows = [asdict(finding) for finding in findings]
    if as_json:
        typer.echo(json.dumps({"well": well, "findings": rows}, indent=2))
    else:
        show_table(COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
    sys.stdout.flush()
    os._exit(0 if well else 1)  # nothing is closed or waited for: what hangs would keep us
