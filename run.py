"""Prepare .venv from the locked requirements, then hand over to the service or to one of the tools below."""

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

if sys.platform != "win32":  # there, two first starts at once may collide
    import fcntl

ROOT = Path(__file__).resolve().parent
PROGRAMS = ROOT / ".venv" / "bin"
STAMP = ROOT / ".venv" / "installed"
IDENTITY = "{}.{} {}".format(*sys.version_info[:2], ROOT)  # an environment fits one Python and one place
LOCKS = ["requirements.lock", "requirements-dev.lock"]  # the second contains the first
TOOLS = {  # any other word is for the `taskwell` program, and none at all means `serve`
    "test": ["pytest"],
    "faults": ["pytest tests/faults -n0"],
    "check": ["ruff check", "ruff format --check", "mypy", "lint-imports"],
    "bench": ["python -m benchmarks"],
    "crash": ["python -m tests.crash"],
}


def main(words: "list[str]") -> None:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit("Taskwell needs Python 3.11, 3.12 or 3.13; this is {}.{}".format(*sys.version_info))
    os.chdir(ROOT)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while installing: no traceback
    word, *arguments = words if words and not words[0].startswith("-") else ["serve", *words]
    prepare(LOCKS if word in TOOLS else LOCKS[:1])
    commands = [command.split() + arguments for command in TOOLS.get(word, [])] or [["taskwell", word, *arguments]]
    if word not in ("check", "faults"):
        program = str(PROGRAMS / commands[0][0])  # to Python too: by the name it is called it finds its packages
        os.execv(program, [program, *commands[0][1:]])  # signals and the exit code are the program's own
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the tools, which may have to tidy up
    codes = [subprocess.call([PROGRAMS / name, *rest]) for name, *rest in commands]
    sys.exit(next((code for code in codes if code and (word, code) != ("faults", 5)), 0))  # 5: pytest found no test


def prepare(locks: "list[str]") -> None:
    """Install what the last of these locks names, unless the stamp says that it is there."""
    with open("run.py") as guard:
        if sys.platform != "win32" and not is_installed(locks[-1]):
            fcntl.flock(guard, fcntl.LOCK_EX)  # a second start waits here for the first
        if not is_installed(locks[-1]):
            install(locks)


def install(locks: "list[str]") -> None:
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        sys.exit("Taskwell needs Python's venv module: apt install python3-venv, or what your system calls it")
    packages = sum("==" in line.split(";")[0] for line in Path(locks[-1]).read_text().splitlines())
    print(f"Taskwell: installing {packages} packages into .venv, once", file=sys.stderr)
    fresh = not (STAMP.exists() and STAMP.read_text().startswith(IDENTITY + "\n"))
    STAMP.unlink(missing_ok=True)  # whoever is interrupted from here on starts afresh
    pip = [str(PROGRAMS / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    steps = [[sys.executable, "-I", "-m", "venv", "--clear", ".venv"]] if fresh else []
    steps += [[*pip, "--require-hashes", "-r", locks[-1]], [*pip, "--no-deps", "--no-build-isolation", "-e", "."]]
    for failure in filter(None, map(subprocess.call, steps)):
        sys.exit(failure)
    STAMP.write_text("\n".join([IDENTITY, *map(fingerprint, locks)]))


def is_installed(lock: str) -> bool:
    return STAMP.exists() and fingerprint(lock) in STAMP.read_text()


def fingerprint(lock: str) -> str:
    files = [Path(name).read_bytes() for name in (lock, "pyproject.toml")]
    return hashlib.sha256(b"\n".join([IDENTITY.encode(), *files])).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
