"""What operators hear of the reconciler: counters, a line for each lost file, and what it did not dare to mend."""

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from application.reconcile import Findings, Found, Wrong
from domain.file import FileId, TaskFile
from domain.task import TaskId
from domain.user import UserId
from infrastructure.chronicle import LoggedChronicle
from tests.examples import NOON

FILE = TaskFile(TaskId(7), UserId(3), "secret.txt", "task_7_x.txt", "text/plain", 10, "0" * 64, NOON, FileId(9))


def counted() -> dict[Wrong, float]:
    return {kind: REGISTRY.get_sample_value("reconciled_total", {"kind": kind}) or 0 for kind in Wrong}


def test_a_lost_file_is_an_error_that_names_its_id_and_no_name() -> None:
    with capture_logs() as lines:
        LoggedChronicle().removed(FILE, Wrong.MISSING)
    (line,) = lines
    assert (line["log_level"], line["file"], line["task"], line["reason"]) == ("error", 9, 7, "missing_contents")
    assert "txt" not in str(line)


@pytest.mark.parametrize("mended", [0, 3, 5])
def test_what_was_mended_is_counted_and_what_was_left_is_an_error(mended: int) -> None:
    findings, before = Findings(), counted()
    findings.wrong[Wrong.STRAY] = Found(total=5, mended=mended, first=["task_7_x.txt"])
    with capture_logs() as lines:
        LoggedChronicle().finished(findings)
    assert counted() == before | {Wrong.STRAY: before[Wrong.STRAY] + mended}
    told = {(line["log_level"], line["kind"]): line["count"] for line in lines}
    expected = {("info", "stray_contents"): mended, ("error", "stray_contents"): 5 - mended}
    assert told == {level: count for level, count in expected.items() if count}
    assert "txt" not in str(lines)
