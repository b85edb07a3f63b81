"""`taskwell files reconcile`, as an operator runs it: beside the service and without it."""

import asyncio
import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from application.reconcile import Findings, Wrong
from domain.file import stored_name
from domain.task import TaskId
from interfaces.cli.files import as_text
from tests.e2e.service import Service, clean_environment
from tests.e2e.started import TASKWELL, embedded, logged_in, migrate, started

SECONDS = 60
HOUR = {"TASKWELL_RECONCILE_MIN_AGE_SECONDS": "3600"}
NEVER = {"TASKWELL_RECONCILE_MIN_AGE_SECONDS": str(366 * 86_400)}  # what the service does by itself is not in the way


def reconcile(service: Service | dict[str, str], *options: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    env = service.environment | HOUR if isinstance(service, Service) else clean_environment() | service
    command = [*TASKWELL, "files", "reconcile", *options]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=SECONDS)


async def reconciled(service: Service, *options: str, cwd: Path) -> tuple[int, dict[str, Any]]:
    ended = await asyncio.to_thread(reconcile, service, *options, "--json", cwd=cwd)
    return ended.returncode, json.loads(ended.stdout)


def totals(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {kind: (found["total"], found["mended"]) for kind, found in report["wrong"].items() if found["total"]}


def plant(folder: Path, *, hours_old: int) -> Path:
    path = folder / stored_name(TaskId(1), "txt")
    path.write_bytes(b"stray")
    long_ago = path.stat().st_mtime - hours_old * 3600
    os.utime(path, (long_ago, long_ago))
    return path


@pytest.mark.parametrize("kind", ["embedded", "scale"])
async def test_beside_a_running_service_it_finds_and_mends(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with (
        started(kind, request, **NEVER) as service,
        httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=30) as client,
    ):
        await logged_in(client)
        task = (await client.post("/tasks", json={"title": "Files"})).json()["id"]
        files = [
            (await client.post(f"/tasks/{task}/files", files={"file": ("a.txt", text)})).raise_for_status().json()
            for text in (b"one", b"two", b"three")
        ]
        assert await reconciled(service, "--fix", cwd=tmp_path) == (0, empty_report(contents=3, records=3))
        folder = tmp_path / "files"
        for path in folder.iterdir():  # more than half of them, which it does not believe by itself
            if path.read_bytes() != b"two":
                path.unlink()
        stray, young = plant(folder, hours_old=2), plant(folder, hours_old=0)
        wrong = {"stray_contents": 1, "missing_contents": 2}
        code, report = await reconciled(service, cwd=tmp_path)
        assert (code, totals(report)) == (1, {kind: (total, 0) for kind, total in wrong.items()})
        assert (stray.exists(), report["left"], report["wrong"]["stray_contents"]["first"]) == (True, 3, [stray.name])
        code, report = await reconciled(service, "--fix", cwd=tmp_path)
        assert (code, totals(report)) == (0, {kind: (total, total) for kind, total in wrong.items()})
        assert (stray.exists(), young.exists()) == (False, True)
        assert await reconciled(service, cwd=tmp_path) == (0, empty_report(contents=2, records=1))
        listed = (await client.get(f"/tasks/{task}/files")).json()["items"]
        assert [file["id"] for file in listed] == [files[1]["id"]]
        assert (await client.get(f"/files/{files[0]['id']}")).status_code == 404
        assert (await client.get("/tasks/stats")).json()["files"]["count"] == 1


def empty_report(*, contents: int, records: int) -> dict[str, Any]:
    kinds = ("abandoned_uploads", "stray_contents", "missing_contents", "wrong_sizes", "miscounted_users")
    nothing: dict[str, Any] = {"total": 0, "mended": 0, "first": []}
    return {"contents": contents, "records": records, "wrong": dict.fromkeys(kinds, nothing), "left": 0}


def test_without_a_service_it_tells_what_it_found(tmp_path: Path) -> None:
    env = embedded(tmp_path)
    migrate(tmp_path, env)
    (tmp_path / "files").mkdir()
    stray = plant(tmp_path / "files", hours_old=1)
    look = reconcile(env, cwd=tmp_path)
    assert (look.returncode, stray.exists()) == (1, True)
    assert f"Bytes without a record: 1\n  {stray.name}\n" in look.stdout
    mended = reconcile(env, "--fix", cwd=tmp_path)
    assert (mended.returncode, stray.exists()) == (0, False)
    assert "Bytes without a record: 1, mended\n" in mended.stdout
    again = reconcile(env, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == "Recorded files: 0. In the storage: 0.\nNothing is wrong.\n"


def test_before_records_are_lost_it_says_so() -> None:
    for kind, warned in ((Wrong.STRAY, False), (Wrong.MISSING, True), (Wrong.WRONG_SIZE, True)):
        findings = Findings()
        findings.wrong[kind].add(7, mended=False)
        told = as_text(findings).splitlines()
        assert told.count("Mend this with: taskwell files reconcile --fix") == 1
        assert told[-1].startswith("It forgets files whose bytes are lost") is warned
        findings.wrong[kind].mended = 1
        assert "Mend this" not in as_text(findings)


def test_wrong_usage_and_what_can_not_be_reached_have_codes_of_their_own(tmp_path: Path) -> None:
    env = embedded(tmp_path)
    assert reconcile(env, "--mend", cwd=tmp_path).returncode == 2
    for wrong, reason in ((env, "the database is not at"), ({"TASKWELL_DATABASE_URL": "memory:"}, "there is nothing")):
        refused = reconcile(env | wrong, "--json", cwd=tmp_path)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith(f"taskwell: {reason}")
    assert list(tmp_path.iterdir()) == []
    migrate(tmp_path, env)
    (tmp_path / "files").touch()
    away = reconcile(env, cwd=tmp_path)
    assert (away.returncode, away.stdout) == (1, "")
    assert away.stderr.startswith("taskwell: The file storage does not answer. (TASKWELL_STORAGE_URL")


def test_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    env = embedded(tmp_path)
    migrate(tmp_path, env)
    (tmp_path / "files").mkdir()
    plant(tmp_path / "files", hours_old=0)
    ours, terminal = pty.openpty()
    try:
        command = [*TASKWELL, "files", "reconcile", "--json"]
        environment = clean_environment() | env
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=terminal, timeout=SECONDS, check=True
        )
        os.close(terminal)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
    assert "100%" in shown
    assert json.loads(ended.stdout)["contents"] == 1
