"""A SeaweedFS of the test's own: to be held up, killed, and brought back with what it had."""

import signal
import subprocess
from pathlib import Path
from typing import Self

from tests.ports import free_ports
from tests.seaweedfs import PORTS, remove_sockets, stores_files, weed_command

START_SECONDS = 60
SECRET = "only for tests"


class Weed:
    """`with Weed(tmp_path) as weed:` runs it in this folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports(PORTS)
        self.url = f"http://taskwell:{SECRET}@127.0.0.1:{self._ports[0]}/files"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        remove_sockets(self._ports)

    def start(self) -> None:
        """Also again after `kill`, on the same ports."""
        command = weed_command(self._folder, self._ports, SECRET)
        with (self._folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not stores_files(self._process, self._ports, START_SECONDS):
            self.kill()
            raise TimeoutError("SeaweedFS did not start")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """It holds its connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)
