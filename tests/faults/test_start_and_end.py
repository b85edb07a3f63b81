"""A start that fails, and an end that nobody planned: exit codes, and a port that is free again."""

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.conftest import NewDatabase, execute
from tests.e2e.service import Service, clean_environment
from tests.e2e.started import TASKWELL, at_scale, embedded, migrate, started
from tests.faults.proxy import Proxy

SOON = 30


async def test_processes_end_with_the_one_that_started_them(request: pytest.FixtureRequest) -> None:
    """Otherwise they would hold the port for ever, and no new start could have it."""
    async with started("scale", request, TASKWELL_WORKERS="2") as service:
        os.kill(service.pid, signal.SIGKILL)  # only this one: `kill` ends the whole group
        async with asyncio.timeout(SOON):
            while _accepts(service):  # noqa: ASYNC110  another process sets no event
                await asyncio.sleep(0.05)
        service.kill()
        await service.start()


def _accepts(service: Service) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(service.url.rpartition(":")[2]))) == 0


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_port_in_use_is_told_and_exit_code_1(processes: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    env = embedded(tmp_path)
    if processes == "2":
        env = at_scale(tmp_path, request.getfixturevalue("postgres_url"), request.getfixturevalue("redis_url"))
        migrate(tmp_path, env)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env |= {"TASKWELL_PORT": str(taken.getsockname()[1]), "TASKWELL_WORKERS": processes}
        ended = subprocess.run(
            [*TASKWELL, "serve"],
            cwd=tmp_path,
            env=clean_environment() | env,
            capture_output=True,
            check=False,
            timeout=SOON,
        )
    assert ended.returncode == 1
    assert b"address already in use" in ended.stderr.lower()
    assert b"Traceback" not in ended.stderr


JOBS = """
INSERT INTO pgqueuer (priority, status, entrypoint, payload)
SELECT 0, 'queued', 'mail-welcome', convert_to('[[1], {}, "key"]', 'UTF8') FROM generate_series(1, 2000)
"""


@pytest.mark.parametrize(("command", "port"), [("serve", "TASKWELL_PORT"), ("worker", "TASKWELL_WORKER_PORT")])
async def test_a_database_that_hangs_keeps_no_process_from_its_end(
    command: str, port: str, request: pytest.FixtureRequest, tmp_path: Path, new_postgres_database: NewDatabase
) -> None:
    async with new_postgres_database() as database:
        url = make_url(database)
        proxy = Proxy(url.host or "", url.port or 0)
        await proxy.open()
        through = url.set(port=proxy.port).render_as_string(hide_password=False)
        env = at_scale(tmp_path, through, request.getfixturevalue("redis_url"))
        env |= {"TASKWELL_JOBS_IN_SERVER": "true", "TASKWELL_SHUTDOWN_SECONDS": "1"}
        try:
            await asyncio.to_thread(migrate, tmp_path, env)
            async with Service(cwd=tmp_path, env=env, command=[*TASKWELL, command], port_setting=port) as service:
                await execute(database, JOBS)
                async with asyncio.timeout(SOON):
                    while "job done" not in service.log():  # noqa: ASYNC110  another process sets no event
                        await asyncio.sleep(0.02)
                proxy.hang()
                code, _ = await service.stop(within=10)
        finally:
            await proxy.cut()
    assert code == 0
