"""`taskwell files`: compares what is stored with what is recorded."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from application.reconcile import BY_AN_OPERATOR, WHATEVER_IT_FINDS, Findings, Wrong
from interfaces.cli.schema import need_schema
from interfaces.cli.told import read_settings, refuse, told

if TYPE_CHECKING:
    from infrastructure.container import Container

EXAMPLES = 10
WORDS = {
    Wrong.ABANDONED: "Uploads that were given up",
    Wrong.STRAY: "Bytes without a record",
    Wrong.MISSING: "Files without their bytes",
    Wrong.WRONG_SIZE: "Files with more or fewer bytes than recorded",
    Wrong.MISCOUNTED: "Users with wrong counts",
}

group = typer.Typer(no_args_is_help=True, help="Look after the stored files.")


@group.callback()
def files() -> None:
    """With it, the one command of this group has to be named."""


@group.command(help="Compare stored bytes, records and counts. Exit 1 when something is wrong and left as it is.")
def reconcile(
    fix: Annotated[bool, typer.Option("--fix", help="Mend it; without this, nothing is changed.")] = False,
    insist: Annotated[bool, typer.Option("--insist", help="Also where almost all is lost or stray.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, and nothing else.")] = False,
) -> None:
    from infrastructure.container import Container  # noqa: PLC0415 # other commands need none of it

    settings = read_settings()
    if "memory" in (settings.database, settings.storage):
        refuse("there is nothing to reconcile: what is in memory is gone with its process")
    with told():  # it may run beside the service: see docs/adr/0011-the-reconciler-asks-before-it-takes.md
        findings = asyncio.run(_reconcile(Container(settings=settings), fix=fix, insist=insist))
    typer.echo(_json(findings) if as_json else as_text(findings, tried=fix))
    raise typer.Exit(1 if findings.left else 0)


async def _reconcile(container: "Container", *, fix: bool, insist: bool) -> Findings:
    from infrastructure.lifecycle import closing  # noqa: PLC0415 # likewise

    bar = typer.progressbar(length=1, label="Files", file=sys.stderr, hidden=not sys.stderr.isatty())

    def looked(at: int, of: int) -> None:
        bar.length = max(at, of)
        bar.update(at - bar.pos)

    async with closing(container):
        await need_schema(container)
        with bar:
            belief = WHATEVER_IT_FINDS if insist else BY_AN_OPERATOR
            return await container.reconcile_files()(fix=fix, belief=belief, looked=looked)


def _json(findings: Findings) -> str:
    return json.dumps(asdict(findings) | {"left": findings.left}, indent=2)


def as_text(findings: Findings, *, tried: bool = False) -> str:
    lines = [f"Recorded files: {findings.records}. In the storage: {findings.contents}."]
    for kind, found in findings.wrong.items():
        if found.total:
            lines.append(f"{WORDS[kind]}: {found.total}{', mended' if not found.left else ''}")
            lines += [f"  {which}" for which in found.first[:EXAMPLES]]
            lines += ["  …"] * (found.total > EXAMPLES < len(found.first))
    if findings.left and tried:
        lines.append("Is this the storage of this database, and mounted? Only if all this is true: --fix --insist")
    elif findings.left:
        lines.append("Mend this with: taskwell files reconcile --fix")
        if findings.wrong[Wrong.MISSING].left or findings.wrong[Wrong.WRONG_SIZE].left:
            lines.append("It forgets files whose bytes are lost: see first that this is their storage, and mounted.")
    elif len(lines) == 1:
        lines.append("Nothing is wrong.")
    return "\n".join(lines)
