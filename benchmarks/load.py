"""A client that asks one thing over and over on a fixed number of connections: it must not be the slow part."""

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """`seconds` holds the time of each request."""

    requests_per_second: float
    seconds: list[float]
    statuses: dict[int, int]

    def percentile(self, share: float) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * share)]


async def load(port: int, request: bytes, *, clients: int, seconds: float) -> Load:
    """Send the request (with its blank line) again on each connection as soon as its answer is complete."""
    times: list[float] = []
    statuses: dict[int, int] = {}
    until = time.perf_counter() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (started := time.perf_counter()) < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - started)
            status = int(head[9:12])
            statuses[status] = statuses.get(status, 0) + 1
        writer.close()
        await writer.wait_closed()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return Load(len(times) / (time.perf_counter() - started), times, statuses)
