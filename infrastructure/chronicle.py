"""What the reconciler did, for operators: a log line for each record that had to go, and counters."""

import structlog
from prometheus_client import Counter

from application.reconcile import Findings, Wrong
from domain.file import TaskFile

RECONCILED = Counter("reconciled_total", "What the reconciler found wrong and mended, by kind.", ["kind"])

log = structlog.get_logger()


class LoggedChronicle:
    def removed(self, file: TaskFile, why: Wrong) -> None:
        log.error("file lost", file=file.id, task=file.task_id, reason=why.value)

    def finished(self, findings: Findings) -> None:
        for kind, found in findings.wrong.items():
            RECONCILED.labels(kind.value).inc(found.mended)
            if found.mended:
                log.info("reconciled", kind=kind.value, count=found.mended)
            if found.left:
                log.error("not reconciled", kind=kind.value, count=found.left, advice="taskwell files reconcile")
