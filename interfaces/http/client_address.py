"""Which address a request comes from, when some of the machines on its way are ours."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::\d+)?|([\d.]+):\d+")
SUBNET_BITS = 64  # what one customer gets at least, and may change in as often as he likes (RFC 6177)


def client_address(scope: Scope, trusted: Sequence[Network]) -> Address | None:
    """The last address that none of the trusted machines has; None if the server doesn't know its peer (a Unix socket).

    Each proxy appends its peer to `X-Forwarded-For`, so the header is believed from the right, and only as far as the
    machine that wrote an entry is trusted. What no proxy of ours can have written ends the walk.
    """
    address = _parse((scope.get("client") or ("", 0))[0])
    entries = _forwarded_for(scope)
    while address and any(address in network for network in trusted):
        origin = _parse(next(entries, ""))
        if origin is None:
            break
        address = origin
    return address


def address_key(address: Address | None) -> str:
    """What is counted as one client: an IPv4 address, or the whole subnet of an IPv6 one."""
    if isinstance(address, IPv6Address):
        host_bits = address.max_prefixlen - SUBNET_BITS
        return str(IPv6Address(int(address) >> host_bits << host_bits))
    return str(address or UNKNOWN)


def _forwarded_for(scope: Scope) -> Iterator[str]:
    """The entries of all lines of the header, from right to left."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    for line in reversed(lines):
        yield from reversed(line.split(","))


def _parse(text: str) -> Address | None:
    text = text.strip()
    if match := WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
