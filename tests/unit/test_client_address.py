"""Whose address a request is counted under."""

from ipaddress import ip_network

import pytest
from starlette.types import Scope

from interfaces.http.client_address import Network, address_key, client_address

PROXIES: list[Network] = [ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48")]


def scope(peer: str | None, *forwarded_for: str) -> Scope:
    return {
        "client": None if peer is None else (peer, 1234),
        "headers": [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded_for],
    }


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        pytest.param("192.0.2.1", [], "192.0.2.1", id="no header"),
        pytest.param("192.0.2.1", ["198.51.100.7"], "192.0.2.1", id="from a peer that is no proxy"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="a proxy of its own accord"),
        pytest.param("10.0.0.1", ["198.51.100.7"], "198.51.100.7", id="one proxy"),
        pytest.param("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7", id="the client's own entries"),
        pytest.param("10.0.0.1", ["1.1.1.1", "198.51.100.7,10.0.0.2"], "198.51.100.7", id="two proxies, two lines"),
        pytest.param("10.0.0.1", ["198.51.100.7", "10.0.0.2"], "198.51.100.7", id="a line for each proxy"),
        pytest.param("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3", id="none but proxies"),
        pytest.param("10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1", id="garbage ends the walk"),
        pytest.param("10.0.0.1", ["198.51.100.7, \xff, 10.0.0.2"], "10.0.0.2", id="garbage behind a proxy"),
        pytest.param("10.0.0.1", [""], "10.0.0.1", id="an empty header"),
        pytest.param("10.0.0.1", ["198.51.100.7,"], "10.0.0.1", id="an empty entry"),
        pytest.param("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7", id="with a port"),
        pytest.param("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7", id="IPv6 with a port"),
        pytest.param("10.0.0.1", ["[2001:db8::7]"], "2001:db8::7", id="IPv6 in brackets"),
        pytest.param("10.0.0.1", ["2001:db8::7"], "2001:db8::7", id="IPv6"),
        pytest.param("10.0.0.1", ["[]"], "10.0.0.1", id="empty brackets"),
        pytest.param("10.0.0.1", ["127.1"], "10.0.0.1", id="short for an address"),
        pytest.param("2001:db8:ffff::1", ["198.51.100.7"], "198.51.100.7", id="an IPv6 proxy"),
        pytest.param("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7", id="IPv4 as IPv6"),
        pytest.param("testclient", ["198.51.100.7"], "None", id="a peer without an address"),
        pytest.param(None, ["198.51.100.7"], "None", id="no peer"),
    ],
)
def test_the_header_is_believed_from_the_right_as_far_as_proxies_wrote_it(
    peer: str | None, forwarded_for: list[str], expected: str
) -> None:
    assert str(client_address(scope(peer, *forwarded_for), PROXIES)) == expected


def test_without_proxies_the_header_is_not_believed() -> None:
    assert str(client_address(scope("127.0.0.1", "198.51.100.7"), [])) == "127.0.0.1"


def test_other_headers_are_not_believed() -> None:
    request = scope("10.0.0.1")
    request["headers"] = [(b"x-real-ip", b"198.51.100.7"), (b"forwarded", b"for=198.51.100.7")]
    assert str(client_address(request, PROXIES)) == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
        ("2001:db8:1:3::", "2001:db8:1:3::"),
        ("fe80::1%eth0", "fe80::"),
        (None, "unknown"),
    ],
)
def test_an_address_is_counted_by_its_key(peer: str | None, key: str) -> None:
    assert address_key(client_address(scope(peer), [])) == key
