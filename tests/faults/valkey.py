"""A Valkey of the test's own: to be held up, killed, filled, and brought back with what it had then."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import ConnectionError as NotThere
from redis.exceptions import ResponseError

from tests.ports import free_port
from tests.services import valkey_command

START_SECONDS = 30


class Valkey:
    """`with Valkey(tmp_path) as valkey:` runs it in this folder, where it also keeps what it saves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Also again after `kill`, on the same port, with what was saved last."""
        command = [*valkey_command(self._port), "--dir", self._folder]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                self.do("PING")
            except (NotThere, ResponseError):  # not yet, or still loading
                time.sleep(0.01)
            else:
                return
        self.kill()
        raise TimeoutError("Valkey did not start")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """It holds its connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def do(self, *command: str | bytes | int) -> object:
        """What it answers; it must not be paused."""
        with Redis.from_url(self.url, socket_timeout=START_SECONDS) as client:
            return client.execute_command(*command)
