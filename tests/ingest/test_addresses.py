"""No request may ever reach a machine inside the network, in whatever way its address is written."""

import asyncio
import ipaddress

import pytest
from aiohttp.abc import AbstractResolver
from hypothesis import given
from hypothesis import strategies as st

from ingest.addresses import BadUrl, Guard, RefusedAddress, clean_url, origin_of, parse_host_port, refusal

CLOSED = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
OPEN = ["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:2800:220:1:248:1893:25c8:1946"]


@pytest.mark.parametrize("address", CLOSED)
def test_addresses_inside_are_refused(address: str) -> None:
    assert refusal(address)


@pytest.mark.parametrize("address", OPEN)
def test_public_addresses_are_not(address: str) -> None:
    assert refusal(address) is None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_ipv6_is_always_refused(address: ipaddress.IPv4Address) -> None:
    assert refusal(f"::ffff:{address}")
    assert refusal(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))))
    assert refusal(str(ipaddress.IPv6Address((0x2002 << 112) + (int(address) << 80))))


class Names(AbstractResolver):
    """A resolver that knows what it is told."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host, port=0, family=0):
        return [
            {"hostname": host, "host": a, "port": port, "family": 2, "proto": 6, "flags": 0}
            for a in self.addresses
        ]

    async def close(self) -> None:
        pass


def ask(guard: Guard, host: str, port: int) -> list[str]:
    return [entry["host"] for entry in asyncio.run(guard.resolve(host, port))]


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    assert ask(Guard(inner=Names("8.8.8.8", "8.8.4.4")), "good.example", 80) == ["8.8.8.8", "8.8.4.4"]
    with pytest.raises(RefusedAddress):
        ask(Guard(inner=Names("8.8.8.8", "10.0.0.1")), "mixed.example", 80)


def test_a_host_is_allowed_at_the_port_named_and_no_other() -> None:
    guard = Guard([("intranet.example", 8080)], inner=Names("10.0.0.1"))
    assert ask(guard, "intranet.example", 8080) == ["10.0.0.1"]
    for host, port in (("intranet.example", 80), ("other.example", 8080)):
        with pytest.raises(RefusedAddress):
            ask(guard, host, port)


def test_allowing_an_address_allows_no_name_that_points_to_it() -> None:
    guard = Guard([("127.0.0.1", 8000)], inner=Names("127.0.0.1"))
    guard.check_literal("127.0.0.1", 8000)
    with pytest.raises(RefusedAddress):
        guard.check_literal("127.0.0.1", 8001)
    with pytest.raises(RefusedAddress):
        ask(guard, "rebound.example", 8000)


def test_odd_spellings_of_loopback_are_resolved_and_refused() -> None:
    for host in ("127.1", "0x7f000001", "2130706433", "localhost"):
        with pytest.raises(RefusedAddress):
            ask(Guard(), host, 80)


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("HTTP://Example.ORG:80/a b.jpg#part", "http://example.org/a%20b.jpg"),
        ("https://example.org:443", "https://example.org/"),
        ("https://example.org:8443/?q=a b", "https://example.org:8443/?q=a%20b"),
        ("http://[2606:2800::1]:8080/x", "http://[2606:2800::1]:8080/x"),
    ],
)
def test_urls_have_one_form(url: str, clean: str) -> None:
    assert clean_url(url) == clean
    assert clean_url(clean) == clean


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "scheme"),
        ("gopher://example.org/", "scheme"),
        ("picture.jpg", "scheme"),
        ("http://", "bad_url"),
        ("http://user:pw@example.org/", "bad_url"),
        ("http://example.org:99999/", "bad_url"),
        ("http://[::1/", "bad_url"),
        ("http://example.org/\r\nHost: other", "bad_url"),
        ("http://example.org/" + "a" * 5000, "bad_url"),
    ],
)
def test_what_is_no_web_address_says_why(url: str, reason: str) -> None:
    with pytest.raises(BadUrl) as error:
        clean_url(url)
    assert error.value.reason == reason


@given(st.text())
def test_any_text_is_clean_or_refused(text: str) -> None:
    try:
        clean = clean_url(text)
    except BadUrl:
        return
    assert origin_of(clean)[0] in ("http", "https")
    assert clean_url(clean) == clean


def test_host_and_port() -> None:
    assert parse_host_port("LocalHost:8000") == ("localhost", 8000)
    assert parse_host_port("[::1]:80") == ("::1", 80)
    for text in ("localhost", "localhost:0", "localhost:70000", "http://localhost:80", ":80", ""):
        with pytest.raises(ValueError, match="HOST:PORT"):
            parse_host_port(text)
