"""`taskwell worker` as a process: what its port shows, and that no trouble with the port is one for the jobs."""

import asyncio
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import make_url

from application.notices import MailWelcome
from domain.user import User
from infrastructure.clock import utc_now
from infrastructure.pgqueuer.queue import PgqueuerJobQueue
from infrastructure.pgqueuer.records import PgqueuerJobTable
from infrastructure.sql.engine import Engines, open_engines
from infrastructure.sql.job_records import SqlJobRecords
from infrastructure.sql.unit_of_work import SqlUnitOfWork
from tests.conftest import NewDatabase
from tests.e2e.service import Service, clean_environment
from tests.e2e.started import TASKWELL, at_scale, logged_in, migrate, started
from tests.faults.proxy import Proxy
from tests.smtp_server import STALL, mail_server

SOON = 30
WORKER = (*TASKWELL, "worker")


class Database:
    def __init__(self, url: str, engines: Engines) -> None:
        self.url = url
        self.records = SqlJobRecords(engines, PgqueuerJobTable())
        self._engines = engines

    async def enqueue_a_mail(self) -> None:
        work = SqlUnitOfWork(self._engines, PgqueuerJobQueue, on_jobs=lambda: None)
        async with work.write() as tx:
            user = await tx.users.add(User("ada", "ada@example.org", "x", created_at=utc_now()))
            await tx.jobs.enqueue(MailWelcome, user.id)

    async def states(self) -> list[str]:
        """Of the mails; what is scheduled comes and goes."""
        return [job.state for job in await self.records.page() if job.name == MailWelcome.job_name]


@pytest.fixture
async def database(tmp_path: Path, new_postgres_database: NewDatabase) -> AsyncIterator[Database]:
    async with new_postgres_database() as url:
        migrate(tmp_path, at_scale(tmp_path, url, ""))
        engines = open_engines(url, pool_size=2)
        yield Database(url, engines)
        await engines.aclose()


@asynccontextmanager
async def working(folder: Path, database_url: str, **extra: str) -> AsyncIterator[tuple[Service, httpx2.AsyncClient]]:
    env = at_scale(folder, database_url, "") | extra
    async with (
        Service(cwd=folder, env=env, command=WORKER, port_setting="TASKWELL_WORKER_PORT") as service,
        httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=10) as client,
    ):
        yield service, client


def mails_done(log: str) -> int:
    return len(re.findall(f"job done .*job={MailWelcome.job_name}", log))


async def becomes(state: Callable[[], object], expected: object) -> None:
    async with asyncio.timeout(SOON):
        while state() != expected:  # noqa: ASYNC110  another process sets no event
            await asyncio.sleep(0.02)


async def test_a_worker_shows_its_health_and_what_it_has_done(tmp_path: Path, database: Database) -> None:
    async with working(tmp_path, database.url) as (service, client):
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        assert (await client.get("/health/ready")).json()["checks"] == {"database": "ok", "storage": "ok"}
        assert [(await client.get(path)).status_code for path in ("/", "/docs", "/openapi.json", "/tasks")] == [404] * 4
        await database.enqueue_a_mail()
        await becomes(lambda: mails_done(service.log()), 1)
        metrics = (await client.get("/metrics")).text
        assert re.findall(r'^job_attempts_total\{kind="mail-welcome"\} (\S+)$', metrics, re.MULTILINE) == ["1.0"]
        code, _ = await service.stop()
    assert (code, "Traceback" in service.log()) == (0, False), service.log()


async def test_while_a_worker_drains_its_port_says_so_and_a_longer_job_goes_back(
    tmp_path: Path, database: Database
) -> None:
    async with mail_server() as server:
        server.answers["DATA"] = [STALL]
        mail = {"TASKWELL_SMTP_URL": server.url, "TASKWELL_MAIL_FROM": "tasks@example.org"}
        async with working(tmp_path, database.url, TASKWELL_SHUTDOWN_SECONDS="3", **mail) as (service, client):
            await database.enqueue_a_mail()
            await asyncio.wait_for(server.stalled.wait(), SOON)
            assert await database.states() == ["running"]
            stopping = asyncio.create_task(service.stop())
            async with asyncio.timeout(SOON):
                while (answer := await client.get("/health/ready")).status_code == 200:  # noqa: ASYNC110  likewise
                    await asyncio.sleep(0.01)
            assert (answer.status_code, answer.json()["detail"]) == (503, "Stopping.")
            assert (await client.get("/health/live")).status_code == 200
            code, seconds = await stopping
    assert (code, 3 <= seconds < 15, "Traceback" in service.log()) == (0, True, False), service.log()
    assert await database.states() == ["waiting"]


async def test_two_workers_on_one_port_both_work(tmp_path: Path, database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = at_scale(tmp_path, database.url, "") | {"TASKWELL_WORKER_PORT": str(taken.getsockname()[1])}
        log = tmp_path / "worker.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(WORKER, cwd=tmp_path, env=clean_environment() | env, stderr=output)
        try:
            await becomes(lambda: log.read_text().count("worker without a port"), 1)
            await database.enqueue_a_mail()
            await becomes(lambda: mails_done(log.read_text()), 1)
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, SOON) == 0
        finally:
            worker.kill()
            worker.wait()
    assert "Traceback" not in log.read_text()


async def test_without_its_database_a_worker_is_not_ready_until_it_is_back(tmp_path: Path, database: Database) -> None:
    url = make_url(database.url)
    proxy = Proxy(url.host or "", url.port or 0)
    await proxy.open()
    through = url.set(port=proxy.port).render_as_string(hide_password=False)
    async with working(tmp_path, through) as (service, client):
        await proxy.cut()
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["checks"]) == (503, {"database": "away", "storage": "ok"})
        shown = await client.get("/metrics")
        assert (shown.status_code, "\njobs{" in shown.text) == (200, False)
        await database.enqueue_a_mail()
        await proxy.open()
        await becomes(lambda: mails_done(service.log()), 1)
        assert (await client.get("/health/ready")).status_code == 200
        code, _ = await service.stop()
        assert code == 0
    await proxy.cut()


async def test_several_serving_processes_show_what_all_of_them_did(request: pytest.FixtureRequest) -> None:
    async with (
        started("scale", request, TASKWELL_WORKERS="2") as service,
        httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=10) as client,
    ):
        for name in ("ada", "bob", "eve"):
            await logged_in(client, name)
        await becomes(lambda: mails_done(service.log()), 3)
        for _ in range(8):  # whichever process is asked
            metrics = (await client.get("/metrics", headers={"connection": "close"})).text
            assert re.findall(r'^job_attempts_total\{kind="mail-welcome"\} (\S+)$', metrics, re.MULTILINE) == ["3.0"]
