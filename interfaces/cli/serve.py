"""`taskwell serve`: uvicorn around the application, in one process or several."""

import os
import shutil
import sys
import tempfile
from types import FrameType

import uvicorn
from typing_extensions import override
from uvicorn.supervisors import Multiprocess

from infrastructure.settings import Settings

APP = "interfaces.http.app:create_app"


class Server(uvicorn.Server):
    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End with exit code 0 when told to, instead of dying of the signal once more after everything is closed."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()


def serve(settings: Settings) -> None:
    config = uvicorn.Config(
        APP,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the limiter believes the proxies that the settings name, and nobody else
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    if settings.workers == 1:
        server = Server(config)
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
    finally:
        shutil.rmtree(metrics, ignore_errors=True)
    return 0 if all(process.exitcode in {0, -15} for process in supervisor.processes) else 1
