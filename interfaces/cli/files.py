"""`taskwell files`: compares what is stored with what is recorded."""

import json
import sys
from dataclasses import asdict

import typer

from application.reconcile import Findings, Wrong
from infrastructure.container import Container
from infrastructure.lifecycle import closing
from infrastructure.settings import Settings

EXAMPLES = 10
WORDS = {
    Wrong.ABANDONED: "Uploads that were given up",
    Wrong.STRAY: "Bytes without a record",
    Wrong.MISSING: "Files without their bytes",
    Wrong.WRONG_SIZE: "Files with more or fewer bytes than recorded",
    Wrong.MISCOUNTED: "Users with wrong counts",
}


async def reconcile(settings: Settings, *, fix: bool) -> Findings:
    container = Container(settings=settings)
    bar = typer.progressbar(length=1, label="Files", file=sys.stderr, hidden=not sys.stderr.isatty())

    def looked(at: int, of: int) -> None:
        bar.length = max(at, of)
        bar.update(at - bar.pos)

    async with closing(container):
        with bar:
            return await container.reconcile_files()(fix=fix, insist=fix, looked=looked)


def as_json(findings: Findings) -> str:
    return json.dumps(asdict(findings) | {"left": findings.left}, indent=2)


def as_text(findings: Findings) -> str:
    lines = [f"Recorded files: {findings.records}. In the storage: {findings.contents}."]
    for kind, found in findings.wrong.items():
        if found.total:
            lines.append(f"{WORDS[kind]}: {found.total}{', mended' if not found.left else ''}")
            lines += [f"  {which}" for which in found.first[:EXAMPLES]]
            lines += ["  …"] * (found.total > EXAMPLES < len(found.first))
    if findings.left:
        lines.append("Mend this with: taskwell files reconcile --fix")
    elif len(lines) == 1:
        lines.append("Nothing is wrong.")
    return "\n".join(lines)
