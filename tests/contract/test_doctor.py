"""The doctor against real servers: present, absent, hanging, and wrong."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing as ending
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text

from infrastructure.container import Container
from infrastructure.doctor import examination
from infrastructure.doctor.examination import examine
from infrastructure.doctor.finding import Finding
from infrastructure.lifecycle import closing
from infrastructure.settings import Settings
from infrastructure.sql.engine import open_engines
from infrastructure.sql.migrate import downgrade, upgrade
from tests.conftest import NewDatabase
from tests.faults.valkey import Valkey
from tests.ports import free_port
from tests.s3 import bucket_at, make_bucket, settings_of
from tests.smtp_server import CERTIFICATE, PASSWORD, USER, mail_server

SECRET = "0123456789abcdef" * 2
PARTS = ["settings", "secret", "database", "redis", "storage", "mail"]
RULES = b"""<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>end</ID>
<Filter><Prefix></Prefix></Filter><Status>Enabled</Status>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
</LifecycleConfiguration>"""
JOB = "INSERT INTO pgqueuer (priority, status, entrypoint, execute_after) VALUES (0, '{}', 'x', now() - interval '{}')"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("TASKWELL_"):
            monkeypatch.delenv(name)


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """Of a server that takes connections and says nothing."""
    gone = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        gone.set()
        await asyncio.sleep(0)


async def found(**settings: Any) -> list[Finding]:
    chosen = {"_env_file": None, "secret_key": SECRET, "storage_url": "memory:", "database_url": "memory:", **settings}
    container = Container(settings=Settings(**chosen))
    async with closing(container):
        findings = await examine(container)
    assert SECRET not in repr(findings)
    return findings


def of(findings: list[Finding], part: str) -> list[tuple[str, str]]:
    return [(finding.state, finding.what) for finding in findings if finding.part == part]


def wrong(findings: list[Finding]) -> dict[str, str]:
    """Each of them says how to mend it."""
    assert all(finding.mend for finding in findings if finding.state != "ok")
    return {finding.part: finding.what for finding in findings if finding.state == "wrong"}


async def test_at_scale_all_is_well(
    migrated_postgres: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    await execute(migrated_postgres, "TRUNCATE pgqueuer, pgqueuer_log")
    async with mail_server(start_tls=True) as server:
        findings = await found(
            database_url=migrated_postgres,
            redis_url=redis_url,
            storage_url=f"file:{tmp_path}",
            smtp_url=server.url.replace("://", f"://{USER}:p%40ss%3Aw%2Frd%3F@"),
            mail_from="tasks@example.org",
            public_url="https://tasks.example.org",
        )
    assert (server.logins, server.received) == ([True], [])
    assert [(finding.part, finding.state) for finding in findings] == [
        (part, "ok") for part in [*PARTS[:2], *["database"] * 3, "jobs", "redis", "storage", "storage", "mail"]
    ]
    assert of(findings, "mail") == [("ok", "the server answers, with TLS")]
    assert "Valkey 9." in of(findings, "redis")[0][1]


async def test_whoever_is_absent_is_wrong_and_the_others_are_still_examined() -> None:
    port = free_port()
    findings = await found(
        database_url=f"postgresql+asyncpg://me:s3cret@127.0.0.1:{port}/tasks",
        redis_url=f"redis://:s3cret@127.0.0.1:{port}/0",
        **settings_of(f"http://key:s3cret@127.0.0.1:{port}/bucket"),
        smtp_url=f"smtp://me:s3cret@127.0.0.1:{port}",
        mail_from="tasks@example.org",
        public_url="https://tasks.example.org",
    )
    assert wrong(findings) == {
        "database": "fails: ConnectionRefusedError",
        "redis": "fails: ConnectionError",
        "storage": "fails: GenericError",
        "mail": "fails: ConnectionRefusedError",
    }
    assert [finding.part for finding in findings] == PARTS
    assert "s3cret" not in repr(findings)


async def test_whoever_hangs_is_wrong_and_nobody_waits_for_long(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "PATIENCE_SECONDS", 3.0)
    async with asyncio.timeout(30):
        findings = await found(
            database_url=f"postgresql+asyncpg://me@127.0.0.1:{silent_port}/tasks",
            redis_url=f"redis://127.0.0.1:{silent_port}/0",
            **settings_of(f"http://key:secret@127.0.0.1:{silent_port}/bucket"),
            smtp_url=f"smtp://127.0.0.1:{silent_port}",
            mail_from="tasks@example.org",
            public_url="https://tasks.example.org",
        )
    assert list(wrong(findings)) == ["database", "redis", "storage", "mail"]
    assert wrong(findings)["mail"] == "no answer in 3 s"
    assert [finding.part for finding in findings] == PARTS


async def test_a_wrong_password_is_told_apart(migrated_postgres: str, tmp_path: Path) -> None:
    url = make_url(migrated_postgres).set(password="wr0ng").render_as_string(hide_password=False)
    (tmp_path / "file").touch()
    with Valkey(tmp_path) as valkey:
        valkey.do("CONFIG", "SET", "requirepass", "right")
        async with mail_server(tls=True) as server:
            findings = await found(
                database_url=url,
                redis_url=valkey.url.replace("//", "//:wr0ng@"),
                storage_url=f"file:{tmp_path / 'file'}",
                smtp_url=server.url.replace("://", "://me:wr0ng@"),
                mail_from="tasks@example.org",
            )
    assert wrong(findings) == {
        "database": "fails: InvalidPasswordError",
        "redis": "fails: AuthenticationError",
        "storage": "fails: FileExistsError",
        "mail": "fails: SSLCertVerificationError",
    }
    assert "wr0ng" not in repr(findings)


async def test_a_mail_server_that_refuses_the_login_or_has_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    sender = {"mail_from": "tasks@example.org"}
    async with mail_server(tls=True) as server:
        findings = await found(smtp_url=server.url.replace("://", "://me:wr0ng@"), **sender)
        assert wrong(findings) == {"mail": "fails: SMTPAuthenticationError 535"}
    async with mail_server() as server:
        findings = await found(smtp_url=server.url, **sender)
    assert of(findings, "mail") == [("warning", "the server answers without TLS: mails go there in the open")]
    assert of(findings, "settings")[1] == ("warning", "the links in mails lead to http://127.0.0.1:8000/docs")
    assert PASSWORD not in repr(findings)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_redis_that_would_drop_the_counts_of_limits(tmp_path: Path, policy: str) -> None:
    with Valkey(tmp_path) as valkey:
        valkey.do("CONFIG", "SET", "maxmemory-policy", policy)
        findings = await found(redis_url=valkey.url)
    what = f"maxmemory-policy {policy} drops the counts of limits when memory is full"
    assert of(findings, "redis")[-1] == ("warning", what)
    assert wrong(findings) == {}


async def execute(url: str, statement: str) -> None:
    engines = open_engines(url, pool_size=1)
    try:
        async with engines.write.begin() as conn:
            await conn.execute(text(statement))
    finally:
        await engines.aclose()


async def test_a_postgresql_that_is_not_at_this_schema(new_postgres_database: NewDatabase) -> None:
    async with new_postgres_database() as url:
        findings = await found(database_url=url)
        assert of(findings, "database") == [("wrong", "has no tables yet")]
        assert [finding.mend for finding in findings if finding.state == "wrong"] == ["taskwell migrate"]
        await execute(url, "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")
        await execute(url, "INSERT INTO alembic_version VALUES ('0001')")
        findings = await found(database_url=url)
        assert of(findings, "database") == [("wrong", "is at the schema of an earlier version")]
        await execute(url, "UPDATE alembic_version SET version_num = '9999'")
        findings = await found(database_url=url)
        assert of(findings, "database") == [("wrong", "is at a schema that this version does not know")]


async def test_a_postgresql_that_is_read_only_or_too_small(new_postgres_database: NewDatabase) -> None:
    async with new_postgres_database() as url:
        engines = open_engines(url, pool_size=1)
        await upgrade(engines.write)
        await engines.aclose()
        await execute(url, f"ALTER DATABASE {make_url(url).database} SET default_transaction_read_only = on")
        findings = await found(database_url=url, database_pool_size=100_000)
    assert wrong(findings) == {"database": "can't be written: ReadOnlySQLTransactionError"}
    ((state, what),) = [found for found in of(findings, "database") if "connections" in found[1]]
    assert (state, "one `taskwell serve` holds up to 100000" in what) == ("warning", True)


async def test_jobs_that_are_dead_or_late(migrated_postgres: str) -> None:
    await execute(migrated_postgres, "TRUNCATE pgqueuer, pgqueuer_log")
    await execute(migrated_postgres, JOB.format("queued", "1 minute"))
    assert of(await found(database_url=migrated_postgres), "jobs") == [("ok", "1 waiting, none dead")]
    await execute(migrated_postgres, JOB.format("failed", "1 minute"))
    await execute(migrated_postgres, JOB.format("queued", "11 minutes"))
    findings = await found(database_url=migrated_postgres)
    await execute(migrated_postgres, "TRUNCATE pgqueuer, pgqueuer_log")
    assert of(findings, "jobs") == [
        ("warning", "1 dead"),
        ("warning", "2 waiting, some for more than 10 minutes"),
    ]
    assert wrong(findings) == {}


async def test_an_embedded_database_that_the_next_start_will_see_to(migrated_sqlite: Path, tmp_path: Path) -> None:
    path = tmp_path / "taskwell.db"
    url = f"sqlite+aiosqlite:///{path}"
    assert of(await found(database_url=url), "database") == [("warning", "has no tables yet")]
    assert not path.exists()
    shutil.copy(migrated_sqlite, path)
    findings = await found(database_url=url)
    assert of(findings, "database")[1:] == [("ok", "can be written")]
    assert of(findings, "jobs") == [("ok", "0 waiting, none dead")]
    engines = open_engines(url, pool_size=1)
    await downgrade(engines.write, "0001")
    await engines.aclose()
    assert of(await found(database_url=url), "database") == [("warning", "is at the schema of an earlier version")]


async def test_a_folder_that_the_first_start_will_make(tmp_path: Path) -> None:
    findings = await found(storage_url=f"file:{tmp_path / 'files'}")
    assert of(findings, "storage") == [("warning", f"file:{tmp_path / 'files'} does not exist yet")]
    assert wrong(findings) == {}
    assert list(tmp_path.iterdir()) == []


async def test_an_embedded_database_that_somebody_holds(migrated_sqlite: Path, tmp_path: Path) -> None:
    """Longer than the doctor waits."""
    path = tmp_path / "taskwell.db"
    shutil.copy(migrated_sqlite, path)
    with ending(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        findings = await found(database_url=f"sqlite+aiosqlite:///{path}")
    assert wrong(findings) == {"database": "can't be written: OperationalError"}


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        ("x" * 43, 0o600, ("ok", "is kept in var/secret-key")),
        ("x" * 43, 0o644, ("warning", "others may read var/secret-key")),
        ("x" * 9, 0o600, ("wrong", "var/secret-key is too short")),
    ],
    ids=["well", "open", "short"],
)
async def test_the_secret_that_is_kept(tmp_path: Path, content: str, mode: int, expected: tuple[str, str]) -> None:
    settings = {"secret_key": "", "database_url": f"sqlite+aiosqlite:///{tmp_path / 'taskwell.db'}"}
    assert of(await found(**settings), "secret") == [("ok", "is made at the start")]
    assert not (tmp_path / "var").exists()
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "secret-key").write_text(content)
    (tmp_path / "var" / "secret-key").chmod(mode)
    assert of(await found(**settings), "secret") == [expected]


async def test_a_secret_that_can_be_guessed() -> None:
    assert of(await found(secret_key="secret" * 8), "secret") == [("warning", "can be guessed")]
    assert of(await found(), "secret") == [("ok", "is set")]


async def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    folder = {"storage_url": f"file:{tmp_path}"}
    enough, little, none = [
        of(await found(**folder, **limits), "storage")[1]
        for limits in ({"user_quota_bytes": 1}, {"user_quota_bytes": 2**60}, {"max_file_bytes": 2**60})
    ]
    assert [state for state, _ in (enough, little, none)] == ["ok", "warning", "wrong"]
    assert "less than one user may fill" in little[1]
    assert "not enough for one file" in none[1]


async def test_a_bucket_that_keeps_what_a_crash_cut_off(s3_url: str) -> None:
    url = urlsplit(s3_url)._replace(path=f"/{uuid4().hex}/files").geturl()
    make_bucket(url)
    place, part = settings_of(url), f"{settings_of(url)['storage_url']} answers and can be written"
    assert of(await found(**place), "storage") == [
        ("ok", part),
        ("warning", "no rule of the bucket ends uploads that a crash cut off"),
    ]
    await asyncio.to_thread(bucket_at(url).ask, "lifecycle", RULES)
    findings = await found(**place)
    assert of(findings, "storage") == [("ok", part), ("ok", "a rule of the bucket ends uploads that a crash cut off")]
    assert place["s3_secret_access_key"] not in repr(findings)


async def test_a_name_that_is_no_setting_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TASKWELL_DATABSE_URL=memory:\nTASKWELL_HOST=localhost\n")
    monkeypatch.setenv("TASKWELL_WORKRS", "s3cret")
    findings = await found()
    assert of(findings, "settings")[1:] == [
        ("warning", "TASKWELL_DATABSE_URL is no setting"),
        ("warning", "TASKWELL_WORKRS is no setting"),
    ]
    assert "s3cret" not in repr(findings)
