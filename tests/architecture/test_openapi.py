"""The document that tells clients of the routes: in the repository, complete, and about errors too."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.architecture.test_routes import UNLIMITED, app

ROOT = Path(__file__).parents[2]
SNAPSHOT = ROOT / "docs" / "openapi.json"  # written by: python3 run.py openapi > docs/openapi.json


def document() -> dict[str, Any]:
    return app().openapi()


def written() -> str:
    return json.dumps(document(), indent=2)


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_in_the_repository_is_that_of_this_version() -> None:
    assert SNAPSHOT.read_text() == written() + "\n"


def test_no_words_are_lost_where_docstrings_are_stripped() -> None:
    build = "import tests.architecture.test_openapi as test; print(test.written())"
    stripped = subprocess.run(
        [sys.executable, "-OO", "-c", build], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert stripped.returncode == 0, stripped.stderr
    assert set(lines(written())) - set(lines(stripped.stdout)) == set()


def lines(text: str) -> list[str]:
    return [line.strip().rstrip(",") for line in text.splitlines()]


def test_every_operation_has_a_name_of_its_own() -> None:
    names = Counter(operation["operationId"] for _, operation in operations())
    assert [name for name, times in names.items() if times > 1] == []


def test_every_error_in_the_document_is_a_problem() -> None:
    schema = document()["components"]["schemas"]["Problem"]
    assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= set(schema["required"])
    for name, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response.get("content", ())) == ["application/problem+json"], (name, status)
                assert response["content"]["application/problem+json"]["schema"] == {
                    "$ref": "#/components/schemas/Problem"
                }, (name, status)


def test_the_document_names_every_status_that_can_be_answered() -> None:
    missing = {
        name: expected_statuses(name, operation) - set(operation["responses"]) for name, operation in operations()
    }
    assert {name: sorted(statuses) for name, statuses in missing.items() if statuses} == {}


def expected_statuses(name: str, operation: dict[str, Any]) -> set[str]:
    """What follows from the parts of an operation alone; the contract says the rest."""
    _, path = name.split()
    parameters = {parameter["in"]: parameter["name"] for parameter in operation.get("parameters", [])}
    expected = set() if path in UNLIMITED else {"429"}
    expected |= {"401"} if "security" in operation else set()
    expected |= {"404"} if "path" in parameters else set()
    expected |= {"422"} if "query" in parameters else set()
    expected |= {"400", "413", "415", "422"} if "requestBody" in operation else set()
    expected |= {"412"} if parameters.get("header", "").lower() == "if-match" else set()
    expected |= {"503"} if "security" in operation or path == "/health/ready" else set()
    return expected
