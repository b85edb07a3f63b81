"""`taskwell serve`: uvicorn around the application, in one process or several."""

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from typing_extensions import override
from uvicorn.supervisors import Multiprocess

from infrastructure.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

APP = "interfaces.cli.serve:create_app"
EDGE: dict[str, Any] = {
    "http": "interfaces.http.protocol:BoundedHttp",
    "ws": "none",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,  # the limiter believes the proxies that the settings name, and nobody else
}


class Server(uvicorn.Server):
    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End with exit code 0 when told to, instead of dying of the signal once more after everything is closed."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()


def serve(settings: Settings) -> None:
    if settings.embedded:
        os.umask(0o077)  # database, files and the secret are nobody else's on this machine
    config = uvicorn.Config(
        APP,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        lifespan="on",
        timeout_graceful_shutdown=settings.shutdown_seconds,
        **EDGE,
    )
    if settings.workers == 1:
        server = Server(config)
        with suppress(SystemExit):  # it could not start, and has said why; its exit codes are not ours
            server.run()
        sys.stdout.flush()
        sys.stderr.flush()
        # Everything is closed. The interpreter's own tidying up would only take some of the time that is left.
        os._exit(0 if server.started else 1)
    sys.exit(_serve_in_processes(config))


def _serve_in_processes(config: uvicorn.Config) -> int:
    metrics = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="taskwell-metrics-")
    try:
        supervisor = Multiprocess(config, sockets=[config.bind_socket()])
        supervisor.run()
    except SystemExit:  # likewise
        return 1
    finally:
        shutil.rmtree(metrics, ignore_errors=True)
    return 0 if all(process.exitcode in {0, -15} for process in supervisor.processes) else 1


def create_app() -> "FastAPI":
    """The application; as one process of several it ends when the one that started it is gone, and frees the port."""
    from interfaces.http.app import create_app as create  # noqa: PLC0415 # the process that starts others needs none

    if multiprocessing.parent_process():
        threading.Thread(target=_end_with_parent, daemon=True).start()
    return create()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
