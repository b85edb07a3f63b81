"""What ships stays readable in an afternoon, its core stands on its own, and its dependencies are few and pinned."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CORE, EDGE = ("domain", "application"), ("infrastructure", "interfaces")
LONGEST_FILE, MEDIAN_FILE = 250, 80  # lines
MOST_PACKAGES = 60
LOCKS = ["requirements.lock", "requirements-dev.lock"]
BUILD_BACKEND = {"setuptools", "wheel"}
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}
PYTHON = {
    "python_version": "3.12",
    "python_full_version": "3.12.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}


@cache
def sources() -> dict[Path, str]:
    found = [path for package in (*CORE, *EDGE) for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT): path.read_text() for path in found}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path, text in sources().items():
        yield path, ast.parse(text)


def test_each_module_says_what_it_is() -> None:
    assert [str(path) for path, tree in trees() if tree.body and not ast.get_docstring(tree)] == []


def test_packages_are_empty() -> None:
    assert [str(path) for path, text in sources().items() if path.name == "__init__.py" and text] == []
    folders = {path.parent for path in sources()}
    assert [str(folder) for folder in folders if folder / "__init__.py" not in sources()] == []


def test_a_file_is_a_chapter() -> None:
    sizes = {str(path): text.count("\n") for path, text in sources().items() if text}
    assert {path: size for path, size in sizes.items() if size > LONGEST_FILE} == {}
    assert median(sizes.values()) < MEDIAN_FILE


def test_nothing_prints() -> None:
    calls = [(path, node) for path, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert len(calls) > 100
    assert [(str(path), node.lineno) for path, node in calls if ast.unparse(node.func) in {"print", "pprint"}] == []


def test_the_core_imports_the_standard_library_only() -> None:
    foreign = [
        (str(path), name)
        for path, tree in trees()
        if path.parts[0] in CORE
        for name in imports(tree)
        if name not in sys.stdlib_module_names and name not in CORE
    ]
    assert foreign == []


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "no relative imports"
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


def test_dependencies_point_inwards() -> None:
    """The contracts are in pyproject.toml."""
    program = Path(sys.executable).with_name("lint-imports")
    linted = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@cache
def locked(name: str) -> dict[Requirement, list[str]]:
    """The options behind each requirement of a lock."""
    text = re.sub(r"(?m)^\s*#.*\n?", "", (ROOT / name).read_text())
    entries = [line.split(" --") for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return {Requirement(words[0].strip()): [option.strip() for option in words[1:]] for words in entries}


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_and_hashed(name: str) -> None:
    assert len(locked(name)) > 30
    for requirement, options in locked(name).items():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert options, requirement
        assert [option for option in options if not re.fullmatch("hash=sha256:[0-9a-f]{64}", option)] == [], requirement


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_says_where_packages_come_from(name: str) -> None:
    """An index, and with it a host, is the installing machine's to choose."""
    text = (ROOT / name).read_text()
    assert re.findall(r"\w+://\S*|(?m:^-\S*)|\b(?:[a-z0-9-]+\.)+(?:org|com|net|io|dev)\b|localhost| @ ", text) == []


def test_the_lock_for_developing_contains_the_one_for_running() -> None:
    first, second = ({str(requirement) for requirement in locked(name)} for name in LOCKS)
    assert first - second == set()


def test_few_packages_are_needed_to_run() -> None:
    needed = {
        requirement.name
        for requirement in locked(LOCKS[0])
        if requirement.marker is None or requirement.marker.evaluate({**LINUX, **PYTHON})
    }
    assert len(needed - BUILD_BACKEND) <= MOST_PACKAGES
