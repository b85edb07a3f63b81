"""What the limiter adds to `GET /tasks/{id}`: the same program with and without it, in turns."""

from statistics import median

from benchmarks.load import load
from benchmarks.started import a_task, answered, environment, get, port_of
from tests.e2e.service import Service

SECONDS, ROUNDS = 3.0, 5


async def main() -> None:
    with environment() as env:
        off = env | {"TASKWELL_RATE_LIMITS_ENABLED": "false"}
        async with Service(env=env) as limited, Service(env=off) as unlimited:
            token, task = await a_task(limited.url)
            request, ports = get(f"/tasks/{task}", token), (port_of(limited.url), port_of(unlimited.url))
            for port in ports:
                await load(port, request, clients=32, seconds=1)
            for clients in (1, 32):
                await _compare(ports, request, clients)


async def _compare(ports: tuple[int, int], request: bytes, clients: int) -> None:
    pairs = [[await answered(port, request, clients=clients, seconds=SECONDS) for port in ports] for _ in range(ROUNDS)]
    print(f"  GET /tasks/{{id}}, {clients} clients, {ROUNDS} rounds of {SECONDS:.0f} s in turns")
    for name, side in (("with limits", 0), ("without", 1)):
        rate = median(pair[side].requests_per_second for pair in pairs)
        halves = median(pair[side].percentile(0.5) for pair in pairs) * 1000
        tails = median(pair[side].percentile(0.99) for pair in pairs) * 1000
        print(f"    {name:12} {rate:7.0f} requests/s, median {halves:5.2f} ms, p99 {tails:5.2f} ms")
    added = sorted(1e6 * clients * (1 / a.requests_per_second - 1 / b.requests_per_second) for a, b in pairs)
    work = median(1e6 * (1 / a.requests_per_second - 1 / b.requests_per_second) for a, b in pairs)
    print(f"    added to a request: {median(added):.0f} µs (from {added[0]:.0f} to {added[-1]:.0f})", end="")
    print(f", {work:.0f} µs of work" if clients > 1 else "")
