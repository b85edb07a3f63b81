"""The documents name what is there: files, tests, settings, and the code that they show."""

import re
from pathlib import Path

import pytest

from infrastructure.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# Names of a worked example or of the tutorials, which are not meant to be here.
EXAMPLES = {
    "tests/test_main.py",
    "tests/api/test_snooze.py",
    "TASKWELL_LIMIT_EXPORT",
    "infrastructure/webhook.py",
    "tests/contract/test_webhook.py",
    "application/repeats.py",
    "tests/contract/test_repeats.py",
    "TASKWELL_CHAT_WEBHOOK",
    "application/thumbnails.py",
    "infrastructure/pillow.py",
    "infrastructure/pillow_program.py",
    "tests/api/test_thumbnails.py",
}
FOLDERS = "interfaces|application|domain|infrastructure|tests|docs|benchmarks"
SETTINGS = {f"TASKWELL_{name.upper()}" for name in Settings.model_fields}
NAME = re.compile(r"TASKWELL_[A-Z0-9_]+[A-Z0-9]")
NAMES_IN_A_FILE = re.compile(rf"((?:`[\w.]+`(?:, | and )?)+) in `((?:{FOLDERS})/[\w/.-]+\.py)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_and_path_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    links = [document.parent / link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in link]
    paths = [ROOT / path for path in re.findall(rf"`((?:{FOLDERS})/[\w/.-]*)`", text) if path not in EXAMPLES]
    assert [str(path) for path in (*links, *paths) if not path.exists()] == []


def test_what_a_document_names_in_a_file_is_there() -> None:
    found = [
        (document.name, name.rpartition(".")[2], ROOT / path)
        for document in DOCUMENTS
        for names, path in NAMES_IN_A_FILE.findall(document.read_text())
        for name in re.findall(r"[\w.]+", names.replace(" and ", " "))
    ]
    assert len(found) > 20
    assert [one for one in found if not re.search(rf"\b{one[1]}\b", one[2].read_text())] == []


def test_every_test_that_security_names_is_there() -> None:
    named = re.findall(r"`(\w+/[\w/]+\.py)`(?: \(([^)]*)\))?", (ROOT / "SECURITY.md").read_text())
    tests = [(ROOT / "tests" / path, test) for path, tests in named for test in re.findall(r"test_\w+", tests) or [""]]
    assert len(tests) > 20
    assert [(path.name, test) for path, test in tests if f"def {test}" not in path.read_text()] == []


def test_every_setting_is_documented_and_no_other() -> None:
    table = (ROOT / "README.md").read_text().split("\n## Settings\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in NAME.findall(row)} == SETTINGS
    named = {name for document in DOCUMENTS for name in NAME.findall(document.read_text())}
    assert named - SETTINGS - EXAMPLES == set()


def test_the_use_case_that_the_readme_shows_is_the_one_that_runs() -> None:
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    assert len(shown.splitlines()) == 8
    assert shown in (ROOT / "application" / "tasks.py").read_text()
