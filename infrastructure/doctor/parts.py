"""The other parts: settings, secret, Redis, storage, mail."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from dotenv import dotenv_values

from application.ports import StorageAway
from infrastructure.container import Container
from infrastructure.doctor.finding import Finding, reason
from infrastructure.kept_secret import SECRET_BYTES
from infrastructure.settings import VAR, Settings

FEWEST_CHARACTERS = 10  # different ones: a secret with less was not drawn at random
REDIS_SECONDS = 2.0
SLOW_REDIS_SECONDS = 0.1  # the service takes a Redis that is slower for one that is away
MIB = 1024 * 1024

T = TypeVar("T")


async def settings(container: Container) -> AsyncIterator[Finding]:
    chosen = container.settings()
    yield Finding("settings", "ok", f"{chosen.database}, cache in {chosen.cache}, files in {chosen.storage}")
    known = {f"TASKWELL_{name.upper()}" for name in Settings.model_fields}
    given = {name.upper() for name in (*dotenv_values(".env"), *os.environ)}
    for name in sorted(name for name in given - known if name.startswith("TASKWELL_")):
        yield Finding("settings", "warning", f"{name} is no setting", "look for its name in the table in the README")
    if chosen.notifier == "smtp" and not chosen.public_url:
        what = f"the links in mails lead to {chosen.home}"
        yield Finding("settings", "warning", what, "set TASKWELL_PUBLIC_URL")


async def secret(container: Container) -> AsyncIterator[Finding]:
    chosen, kept = container.settings(), VAR / "secret-key"
    if given := chosen.secret_key.get_secret_value():
        weak = len(set(given)) < FEWEST_CHARACTERS
        mend = "draw one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        yield Finding("secret", "warning", "can be guessed", mend) if weak else Finding("secret", "ok", "is set")
    elif chosen.database == "memory" or not kept.exists():
        yield Finding("secret", "ok", "is made at the start")
    elif len(kept.read_bytes()) < SECRET_BYTES:
        yield Finding("secret", "wrong", f"{kept} is too short", f"rm {kept}: a new one ends all sessions")
    elif kept.stat().st_mode & 0o077:
        yield Finding("secret", "warning", f"others may read {kept}", f"chmod 600 {kept}")
    else:
        yield Finding("secret", "ok", f"is kept in {kept}")


async def redis(container: Container) -> AsyncIterator[Finding]:
    url = container.settings().redis_url
    if not url:
        yield Finding("redis", "ok", "is not set: cache and limits are in the process")
        return
    from redis.asyncio import Redis  # noqa: PLC0415 # only who has one needs it
    from redis.asyncio.retry import Retry  # noqa: PLC0415 # likewise
    from redis.backoff import NoBackoff  # noqa: PLC0415 # likewise

    patience = REDIS_SECONDS
    once = Retry(NoBackoff(), 0)
    async with Redis.from_url(url, retry=once, socket_timeout=patience, socket_connect_timeout=patience) as client:
        info = await client.info()
        start = time.monotonic()
        await client.ping()
        seconds = time.monotonic() - start
    name, version = ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", info["redis_version"])
    yield Finding("redis", "ok", f"{name} {version} answers")
    if seconds > SLOW_REDIS_SECONDS:
        yield Finding("redis", "warning", f"takes {seconds:.1f} s to answer", "bring it nearer, or relieve it")
    if (policy := info.get("maxmemory_policy", "noeviction")) != "noeviction":
        what = f"maxmemory-policy {policy} drops the counts of limits when memory is full"
        yield Finding("redis", "warning", what, "redis-cli CONFIG SET maxmemory-policy noeviction")


async def storage(container: Container) -> AsyncIterator[Finding]:
    chosen = container.settings()
    if chosen.storage == "filesystem" and not await _asked(chosen.files_folder.exists):
        mend = "taskwell serve makes it; if it is on a disk of its own, mount that first"
        yield Finding("storage", "warning", f"{chosen.storage_url} does not exist yet", mend)
        return
    await container.storage().ping()
    yield Finding("storage", "ok", f"{chosen.storage_url} answers and can be written")
    if chosen.storage == "filesystem":
        yield await _room(chosen)
    elif chosen.storage == "s3":
        yield await _rule(container)


async def mail(container: Container) -> AsyncIterator[Finding]:
    chosen = container.settings()
    if chosen.notifier == "log":
        mend = "" if chosen.embedded else "set TASKWELL_SMTP_URL and TASKWELL_MAIL_FROM"
        yield Finding("mail", "warning" if mend else "ok", "goes to the log: no server is set", mend)
    elif await container.notifier().try_out():
        yield Finding("mail", "ok", "the server answers, with TLS")
    else:
        mend = "smtps://, or a password in TASKWELL_SMTP_URL, insists on TLS"
        yield Finding("mail", "warning", "the server answers without TLS: mails go there in the open", mend)


async def _room(chosen: Settings) -> Finding:
    free = await _asked(lambda: shutil.disk_usage(chosen.files_folder).free)
    what = f"{free // MIB} MiB are free there"
    if free < chosen.max_file_bytes:
        return Finding("storage", "wrong", f"{what}: not enough for one file", "make room")
    if free < chosen.user_quota_bytes:
        return Finding("storage", "warning", f"{what}: less than one user may fill", "make room")
    return Finding("storage", "ok", what)


async def _rule(container: Container) -> Finding:
    mend = "give the bucket a lifecycle rule with AbortIncompleteMultipartUpload"
    try:
        if await container.storage().bucket.ends_dangling_uploads():
            return Finding("storage", "ok", "a rule of the bucket ends uploads that a crash cut off")
    except StorageAway as away:
        what = f"does not tell whether it ends uploads that a crash cut off: {reason(away)}"
        return Finding("storage", "warning", what, f"let the key read the rules of the bucket, and {mend}")
    return Finding("storage", "warning", "no rule of the bucket ends uploads that a crash cut off", mend)


async def _asked(question: Callable[[], T]) -> T:
    """Asked in a thread that nobody has to wait for: a disk that hangs never answers."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def ask() -> None:
        loop.call_soon_threadsafe(answer.set_result, question())

    threading.Thread(target=ask, daemon=True).start()
    return await answer
