"""Examines every configured part, all at once; one that hangs or fails keeps no other from being examined."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from infrastructure.container import Container
from infrastructure.doctor import database, parts
from infrastructure.doctor.finding import Finding, reason

PATIENCE_SECONDS = 12.0  # longer than any adapter waits


@dataclass(frozen=True, slots=True)
class Check:
    part: str
    examine: Callable[[Container], AsyncIterator[Finding]]
    mend: str  # when it fails


CHECKS = (
    Check("settings", parts.settings, "compare them with the table in the README"),
    Check("secret", parts.secret, "see that the serving user may read var/secret-key"),
    Check("database", database.database, "see that it runs, and that TASKWELL_DATABASE_URL has its name and password"),
    Check("redis", parts.redis, "see that it runs, and that TASKWELL_REDIS_URL has its name and password"),
    Check("storage", parts.storage, "see that TASKWELL_STORAGE_URL (and TASKWELL_S3_…) names what can be written to"),
    Check("mail", parts.mail, "see that TASKWELL_SMTP_URL has its name, its way of TLS, user and password"),
)


async def examine(container: Container) -> list[Finding]:
    found = await asyncio.gather(*(_carry_out(check, container) for check in CHECKS))
    return [finding for findings in found for finding in findings]


async def _carry_out(check: Check, container: Container) -> list[Finding]:
    findings: list[Finding] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS) as patience:
            async for finding in check.examine(container):
                findings.append(finding)  # noqa: PERF401  what was found before a failure stays
    except Exception as error:  # noqa: BLE001  whatever it is, it is what is wrong
        what = f"no answer in {PATIENCE_SECONDS:.0f} s" if patience.expired() else f"fails: {reason(error)}"
        findings.append(Finding(check.part, "wrong", what, check.mend))
    return findings
