"""Run the real program as a process of its own, look at it from outside, stop or kill it, and never leave it behind."""

import asyncio
import os
import signal as signals
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx2

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SERVE = (sys.executable, "-m", "interfaces.cli.main", "serve")
READY_SECONDS = 60
PORTS_TRIED = 3
# Kills the process group as soon as its standard input closes: when the test's process is gone, in whatever way.
WATCHDOG = "import os, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), 9)"


class ServiceIsNotReady(Exception):
    """It ended at once or took too long; the text is its log."""


class Service:
    """The program under test: `async with Service(cwd=tmp_path, env={...}) as service:` is ready inside the block."""

    def __init__(
        self, *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, command: Sequence[str | Path] = SERVE
    ) -> None:
        self.url = ""
        self._cwd = cwd
        self.environment = clean_environment() | dict(env or {})
        self._command = command
        number, name = tempfile.mkstemp(prefix="taskwell-service-", suffix=".log")
        os.close(number)
        self._log_file = Path(name)
        self._log_at_end = ""
        self._processes: list[subprocess.Popen[bytes]] = []  # the service and its watchdog, or nothing

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end()

    async def start(self) -> None:
        """Start it, also again after `stop` or `kill` (then on another port), and wait until it is ready."""
        for tries_left in reversed(range(PORTS_TRIED)):
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            before = len(self.log())
            self._spawn(port)
            try:
                await self._until_ready()
            except ServiceIsNotReady:
                self.kill()
                if not tries_left or "address already in use" not in self.log()[before:].lower():
                    raise
            else:
                return

    async def stop(self, signal: int = signals.SIGTERM, *, within: float = 30) -> tuple[int, float]:
        """Send the signal and return the exit code and the seconds until the end; too long fails with the log."""
        service = self._processes[0]
        started = time.monotonic()
        service.send_signal(signal)
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(service.wait, within)  # the test may be talking to the service meanwhile
        seconds = time.monotonic() - started
        code = service.poll()
        self.kill()
        assert code is not None, f"signal {signal} did not end the service within {within} s:\n{self.log()}"
        return code, seconds

    def kill(self) -> None:
        """End the whole process group at once, as a crash of the machine would."""
        if self._processes:
            with suppress(ProcessLookupError):
                os.killpg(self._processes[0].pid, signals.SIGKILL)
        for process in self._processes:
            process.communicate()
        self._processes = []

    @property
    def pid(self) -> int:
        return self._processes[0].pid

    def log(self) -> str:
        """What it wrote so far, over all starts."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else self._log_at_end

    def _spawn(self, port: int) -> None:
        with self._log_file.open("ab") as log:
            service = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self.environment | {"TASKWELL_PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WATCHDOG, str(service.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._processes = [service, watchdog]

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        async with httpx2.AsyncClient(base_url=self.url, timeout=2, trust_env=False) as client:
            while self._processes[0].poll() is None and time.monotonic() < deadline:
                with suppress(httpx2.TransportError):
                    if (await client.get("/health/ready")).status_code == httpx2.codes.OK:
                        return
                await asyncio.sleep(0.02)
        how = "is not ready" if self._processes[0].poll() is None else f"ended with {self._processes[0].returncode}"
        raise ServiceIsNotReady(f"the service {how}:\n{self.log()}")

    def _end(self) -> None:
        self.kill()
        self._log_at_end = self.log()
        self._log_file.unlink(missing_ok=True)


def clean_environment() -> dict[str, str]:
    """Nothing of the developer's own settings; what is left is for finding programs, and packages in `run.py`."""
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR") or name[:4] == "PIP_"
    }
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"}
