"""Ports for servers, chosen by the kernel."""

import socket
from contextlib import ExitStack


def free_port() -> int:
    """A port that nobody used a moment ago; whoever loses the race for it tries again."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
