"""The how-tos, done as they stand: their pieces are pasted into a copy of the tree, and their tests run there."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import server_url

ROOT = Path(__file__).parents[2]
NEEDED = ("application", "domain", "infrastructure", "interfaces", "tests")
SECONDS = 120
PIECE = re.compile(r"(?P<before>[^\n]+)\n\n```python\n(?P<code>.*?)```", re.DOTALL)
FILE = re.compile(r"`((?:\w+/)+\w+\.py)`")
PLACE = re.compile(r"\b(below|under|in place of|at the end of)(?: the \w+)? `([^`]+)`", re.IGNORECASE)
IMPORT = re.compile(r"`(\w+)` among (?:the imports|those) from `([\w.]+)`")
TESTS = re.compile(r"run\.py test ((?:tests/\S+ ?)+)")
HOW_TOS = [path for path in sorted(ROOT.glob("docs/how-to/*.md")) if TESTS.search(path.read_text())]


class Parted(Exception):
    """The document speaks of code that is not there, or not as it says."""


def paste(document: str, tree: Path) -> dict[Path, bool]:
    """Do what the line before each piece says, which names a file or means the last. Return which files were new."""
    pasted: dict[Path, bool] = {}
    path = tree
    for piece in PIECE.finditer(document):
        before, code = piece["before"], piece["code"]
        if named := FILE.findall(before):
            path = tree / named[-1]
        pasted.setdefault(path, not path.exists())
        if path.exists():
            code = _with_piece(path.read_text(), before, code)
            for name, module in IMPORT.findall(before):
                code = _with_imports(code, f"from {module} import {name}\n")
        path.write_text(code)
    return pasted


def _with_piece(text: str, before: str, code: str) -> str:
    if before.startswith("Imports for"):
        return _with_imports(text, code)
    if not (place := PLACE.search(before)):
        return f"{text}\n\n{code}"
    where, (first, last) = place[1].lower(), _lines_of(text, place[2])
    lines = text.splitlines(keepends=True)
    if where == "in place of":
        lines[first - 1 : last] = [code]
    else:
        lines.insert(last - (where == "at the end of"), code)  # the last line is a closing bracket
    return "".join(lines)


def _with_imports(text: str, code: str) -> str:
    lines = text.splitlines(keepends=True)
    lines.insert(ast.parse(text).body[0].end_lineno or 0, code)  # below the docstring
    return "".join(lines)


def _lines_of(text: str, anchor: str) -> tuple[int, int]:
    """From where to where there is this comment, or the statement that reads so, or that defines this name."""
    if anchor.startswith("#"):
        found = [(at, at) for at, line in enumerate(text.splitlines(), 1) if line.strip() == anchor]
    else:
        statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]
        meant = [node for node in statements if anchor in {_defined(node), ast.get_source_segment(text, node)}]
        found = [(_first_line(node), node.end_lineno or node.lineno) for node in meant]
    if len(found) != 1:
        raise Parted(f"{len(found)} times: {anchor}")
    return found[0]


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return decorators[0].lineno if decorators else node.lineno


def _defined(node: ast.stmt) -> str | None:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
    return None


def _run(tree: Path, *command: str, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in NEEDED:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("how_to", HOW_TOS, ids=lambda path: path.stem)
def test_a_how_to_works_as_it_stands(
    how_to: Path, tree: Path, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = how_to.read_text()
    pasted = paste(document, tree)
    new = [str(path) for path, is_new in pasted.items() if is_new]
    _run(tree, "ruff", "check", "--no-cache", *new)
    _run(tree, "ruff", "format", "--no-cache", "--check", *new)
    _run(tree, "mypy", f"--cache-dir={tmp_path_factory.getbasetemp() / 'mypy'}", *map(str, pasted))
    tests = [path for paths in TESTS.findall(document) for path in paths.split()]
    servers = {f"TEST_{name.upper()}_URL": server_url(pytestconfig, name) for name in ("postgres", "redis")}
    said = _run(tree, "pytest", "-n0", "-pno:cacheprovider", *tests, **servers)
    assert re.search(r"^\d+ passed in ", said.splitlines()[-1]), said
