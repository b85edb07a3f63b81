"""100 MB up and down on one connection, beside a Starlette that only streams, in turns.

The floor of an upload takes a raw body, without multipart, to a file, with sha256 and one fsync; the floor of a
download is Starlette's FileResponse. Both sides run on the same uvicorn, with uvloop and httptools, and the client is
a blocking socket in a thread.
"""

import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.load import load
from benchmarks.started import a_task, environment, get, port_of
from tests.e2e.service import ROOT, Service
from tests.ports import free_port

SIZE, ROUNDS = 100 * 1024 * 1024, 15
CONTENT = (b"%PDF-" + os.urandom(1024 * 1024) * 100)[:SIZE]
BOUNDARY = "b" * 32  # as long as those of usual clients
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()
ROOMY = {
    "TASKWELL_MAX_FILE_BYTES": str(SIZE),
    "TASKWELL_USER_QUOTA_BYTES": str(2 * SIZE),
    "TASKWELL_LIMIT_UPLOAD": "1000000/hour",
    "TASKWELL_JOBS_IN_SERVER": "true",  # which free the bytes of what is deleted
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """`location` is where the file can be had that was made by it."""

    seconds: float
    location: str


async def main() -> None:
    with environment() as env, tempfile.TemporaryDirectory() as folder, _floor(Path(folder)) as floor:
        async with Service(env=env | ROOMY) as service:
            port = port_of(service.url)
            token, task = await a_task(service.url)
            await _answers(floor)
            await asyncio.to_thread(_measure, port, floor, token, task)


def _measure(port: int, floor: int, token: str, task: int) -> None:
    files = [_upload(port, token, task)]

    def replace() -> float:
        _exchange(port, [_request("DELETE", files.pop().location, token)])  # there is room for two
        files.append(_upload(port, token, task))
        return files[0].seconds

    _compare(
        "upload of 100 MB", replace, lambda: _exchange(floor, [_request("POST", "/file", token, SIZE), CONTENT]).seconds
    )
    _compare(
        "download of 100 MB",
        lambda: _exchange(port, [_request("GET", files[0].location, token)]).seconds,
        lambda: _exchange(floor, [_request("GET", "/file", token)]).seconds,
    )


def _upload(port: int, token: str, task: int) -> Exchange:
    size = len(HEAD) + SIZE + len(TAIL)
    return _exchange(port, [_request("POST", f"/tasks/{task}/files", token, size), HEAD, CONTENT, TAIL])


def _compare(what: str, ours: Callable[[], float], floor: Callable[[], float]) -> None:
    ours(), floor()  # for what only the first has to pay
    pairs = [(ours(), floor()) for _ in range(ROUNDS)]
    ratios = sorted(theirs / mine for mine, theirs in pairs)
    print(f"{what}, one connection, {ROUNDS} rounds")
    for name, side in (("Taskwell", 0), ("floor", 1)):
        print(f"  {name:8} {SIZE / 1e6 / median(pair[side] for pair in pairs):7.0f} MB/s")
    print(f"  ratio    {median(ratios):7.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


def _request(method: str, path: str, token: str, size: int = 0) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {size}\r\n"
    return f"{head}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nConnection: close\r\n\r\n".encode()


def _exchange(port: int, pieces: list[bytes]) -> Exchange:
    """Until the end of the connection. The answer is a good one, and whole."""
    buffer = memoryview(bytearray(1024 * 1024))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        began = time.perf_counter()
        for piece in pieces:
            connection.sendall(piece)
        start, size = b"", 0
        while read := connection.recv_into(buffer):
            start, size = start or bytes(buffer[:read]), size + read
        seconds = time.perf_counter() - began
    head, end, _ = start.partition(b"\r\n\r\n")
    text = head.decode("latin-1").lower()
    length = re.search(r"^content-length: (\d+)", text, re.MULTILINE)
    assert text[9] == "2", text
    assert not length or int(length[1]) == size - len(head) - len(end), text
    location = re.search(r"^location: .*(/files/\d+)", text, re.MULTILINE)
    return Exchange(seconds, location[1] if location else "")


@contextmanager
def _floor(folder: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.files_floor:create_app", "--port", str(port)]
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    process = subprocess.Popen([*command, *options], cwd=ROOT, env=os.environ | {"FLOOR_FOLDER": str(folder)})
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


async def _answers(port: int) -> None:
    for _ in range(100):
        try:
            await load(port, get("/"), clients=1, seconds=0.1)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            return
