"""The servers of the tests: a database for each worker, and nothing left behind, however a run ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.conftest import NewDatabase
from tests.e2e.service import ROOT, Service, ServiceIsNotReady
from tests.services import ServerDidNotStart, Servers

# A run of its own, whose two tests wait for each other, so that each has a worker to itself.
NESTED = """
import json, pathlib, time, pytest

@pytest.mark.parametrize("other, mine", ["ab", "ba"])
def test_urls(mine, other, postgres_url, redis_url, pytestconfig):
    urls = [postgres_url, redis_url, pytestconfig.workerinput["keeper"]]
    pathlib.Path(f"{mine}.new").write_text(json.dumps(urls))
    pathlib.Path(f"{mine}.new").rename(f"{mine}.json")
    while pathlib.Path("stay").exists() or not pathlib.Path(f"{other}.json").exists():
        time.sleep(0.02)
"""
STAND_IN = """
import http.server, os, sys

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["TASKWELL_PORT"])), Ready).serve_forever()
"""


def test_each_worker_has_databases_of_its_own_and_a_run_leaves_nothing_behind(tmp_path: Path) -> None:
    with nested_run(tmp_path) as run:
        output, _ = run.communicate(timeout=60)
        assert run.returncode == 0, output
        first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
        assert first[0] != second[0]
        assert first[1] != second[1]
        assert not leftovers(first)


def test_no_server_outlives_a_run_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "stay").touch()
    with nested_run(tmp_path) as run:
        eventually(lambda: run.poll() is not None or (tmp_path / "a.json").exists())
        urls = json.loads((tmp_path / "a.json").read_text())
        assert len(leftovers(urls)) == len(urls)
        run.kill()
        eventually(lambda: not leftovers(urls))


async def test_an_additional_database_is_empty_and_goes_away(new_postgres_database: NewDatabase) -> None:
    async with new_postgres_database() as url:
        dsn = url.replace("+asyncpg", "")
        connection = await asyncpg.connect(dsn)
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert await connection.fetchval(tables) == 0
        # It stays open: the end of the block does not wait for forgotten connections.
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(dsn)
    connection.terminate()


def test_a_server_that_lost_its_port_gets_another_one(servers: Servers) -> None:
    ports = []

    def command(port: int) -> list[str]:
        ports.append(port)
        words = "Address already in use" if len(ports) == 1 else "Ready to accept connections"
        seconds = 0 if len(ports) == 1 else 60
        return [sys.executable, "-S", "-c", f"import time; print({words!r}, flush=True); time.sleep({seconds})"]

    assert servers.serve("server", command) == ports[1]


def test_the_log_of_a_server_that_did_not_start_is_shown(servers: Servers) -> None:
    with pytest.raises(ServerDidNotStart, match="out of luck"):
        servers.serve("server", lambda _: [sys.executable, "-S", "-c", "print('out of luck')"])


async def test_a_service_can_be_killed_and_started_again_and_stopped(tmp_path: Path) -> None:
    async with Service(cwd=tmp_path, command=[sys.executable, "-c", STAND_IN]) as service:
        service.kill()
        await service.start()
        code, seconds = await service.stop()
    assert code == -signal.SIGTERM
    assert seconds < 1
    assert service.log().count("listening") == 2


async def test_a_service_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServiceIsNotReady, match=r"(?s)ended with 3.*no luck"):
        async with Service(cwd=tmp_path, command=[sys.executable, "-c", "print('no luck'); raise SystemExit(3)"]):
            pass


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path)
    yield servers
    servers.end()


@contextmanager
def nested_run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A pytest run in that folder that has the fixtures of this one."""
    (folder / "test_nested.py").write_text(NESTED)
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "tests.conftest", "-n2", "--dist=load"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TEST_"))}
    env |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the other plugins would take seconds
    with subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        try:
            yield run
        finally:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)


def leftovers(urls: list[str]) -> list[str]:
    """Which of these servers and folders are still there."""
    return [url for url in urls if (accepts(url) if "://" in url else Path(url).parent.exists())]


def accepts(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as client:
        return client.connect_ex((str(parts.hostname), parts.port or 0)) == 0


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
