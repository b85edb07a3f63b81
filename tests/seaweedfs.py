"""How to run SeaweedFS: master, volume server, filer and S3 in one process."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path

ROLES = ("s3", "master", "volume", "filer")
PORTS = 2 * len(ROLES)


def weed_command(folder: Path, ports: Sequence[int], secret: str) -> list[str | Path]:
    """For a server that knows the access key `taskwell` with this secret; the first of the ports is that of S3."""
    data, config = folder / "weed", folder / "s3.json"
    data.mkdir(exist_ok=True)
    key = {"accessKey": "taskwell", "secretKey": secret}
    config.write_text(json.dumps({"identities": [{"name": "taskwell", "credentials": [key], "actions": ["Admin"]}]}))
    names = [f"-{role}.port{kind}" for role, kind in product(ROLES, ("", ".grpc"))]
    options = [f"{name}={port}" for name, port in zip(names, ports, strict=True)]
    options += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", "-filer", "-s3", f"-s3.config={config}"]
    options += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.localSocket={folder / 's3.sock'}"]
    options += [
        "-master.telemetry=false",
        "-master.electionTimeout=1s",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=64",
    ]
    return [Path(sys.executable).with_name("weed"), "server", *options]


def stores_files(process: subprocess.Popen[bytes], ports: Sequence[int], seconds: float) -> bool:
    """Wait until S3 answers and the master gives room for a file, or the process ends."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            for url in (f"http://127.0.0.1:{ports[2]}/dir/assign", f"http://127.0.0.1:{ports[0]}/status"):
                urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - a URL of ours
            return True
        time.sleep(0.05)
    return False


def remove_sockets(ports: Sequence[int]) -> None:
    """It makes them outside of its folder, and does not always remove them."""
    for path in Path("/tmp").glob("seaweedfs-*.sock"):  # noqa: S108 - that is where they are
        if path.stem.rpartition("-")[2] in map(str, ports):
            path.unlink(missing_ok=True)
