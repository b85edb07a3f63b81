"""`taskwell doctor`, as an operator types it."""

import json
import socket
import subprocess
from pathlib import Path

from tests.e2e.service import clean_environment
from tests.e2e.started import TASKWELL, embedded

SOON = 60


def doctor(folder: Path, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [*TASKWELL, "doctor", *words]
    return subprocess.run(
        command, cwd=folder, env=clean_environment() | env, capture_output=True, text=True, timeout=SOON, check=False
    )


def test_when_all_is_well_it_says_so(tmp_path: Path) -> None:
    told = doctor(tmp_path, embedded(tmp_path), "--json")
    assert (told.returncode, told.stderr) == (0, "")
    answer = json.loads(told.stdout)
    assert answer["well"] is True
    mend = "taskwell serve will see to it"
    assert {"part": "database", "state": "warning", "what": "has no tables yet", "mend": mend} in answer["findings"]
    assert [finding["part"] for finding in answer["findings"] if finding["state"] == "wrong"] == []


def test_what_hangs_neither_holds_it_up_nor_hides_the_rest(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        env = embedded(tmp_path) | {
            "TASKWELL_DATABASE_URL": f"postgresql+asyncpg://me:s3cret@127.0.0.1:{port}/tasks",
            "TASKWELL_REDIS_URL": f"redis://:s3cret@127.0.0.1:{port}/0",
        }
        told = doctor(tmp_path, env)
    assert (told.returncode, told.stderr) == (1, "")
    header, *rows = [line.split("\t") for line in told.stdout.splitlines()]
    assert header == ["part", "state", "what", "mend"]
    assert [row[0] for row in rows if row[1] == "wrong"] == ["database", "redis"]
    assert [row[0] for row in rows if row[0] in {"storage", "mail"}] == ["storage", "mail"]
    assert "s3cret" not in told.stdout


def test_settings_that_are_refused_are_all_that_it_tells(tmp_path: Path) -> None:
    env = {"TASKWELL_PORT": "s3cret", "TASKWELL_WORKERS": "0"}
    told = doctor(tmp_path, env, "--json")
    assert (told.returncode, told.stderr) == (1, "")
    answer = json.loads(told.stdout)
    assert [(finding["part"], finding["state"]) for finding in answer["findings"]] == [("settings", "wrong")] * 2
    assert [finding["what"].split()[0] for finding in answer["findings"]] == ["TASKWELL_PORT", "TASKWELL_WORKERS"]
    assert "s3cret" not in told.stdout
    assert doctor(tmp_path, {}, "--jsn").returncode == 2


def test_settings_that_are_no_text_are_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"TASKWELL_MAIL_FROM=\xff")
    told = doctor(tmp_path, {})
    assert (told.returncode, told.stderr) == (1, "")
    assert "\t.env is not a text in UTF-8\t" in told.stdout
