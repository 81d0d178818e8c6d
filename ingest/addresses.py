"""Which addresses a crawler may talk to. A web page must never make us ask a machine inside the network.

A name is resolved once, every address it has is checked, and the connection goes to those very addresses: the
resolver below is the one that the connection uses, so there is no second look-up to play tricks with.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

SCHEMES = {"http": 80, "https": 443}
MAX_URL = 4096
_IPV4_IN_IPV6 = [
    ipaddress.ip_network(net)
    for net in ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]
# Not global, though some Python versions call a few of them so.
_CLOSED = [
    ipaddress.ip_network(net)
    for net in ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "fec0::/10")
]


class BadUrl(ValueError):
    """An address that is never asked. `reason` is `scheme` or `bad_url`; the message is one line."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class RefusedAddress(Exception):
    """A host that resolves to an address inside some network; the message says which."""


def clean_url(url: str) -> str:
    """The URL in the form that is stored and asked: no fragment, lower-case host, no default port.

    Raises:
        BadUrl: not http(s), no host, a user name or password in it, a bad port, control characters, too long.
    """
    url = url.strip()
    if len(url) > MAX_URL:
        raise BadUrl("bad_url", f"longer than {MAX_URL} characters")
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise BadUrl("bad_url", "control characters in it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadUrl("bad_url", str(error)) from None
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        raise BadUrl("scheme", f"only http and https are asked, not {scheme[:20] or 'a bare name'}")
    if not parts.hostname:
        raise BadUrl("bad_url", "no host in it")
    if parts.username is not None or parts.password is not None:
        raise BadUrl("bad_url", "a user name or password in it")
    host = parts.hostname.lower()
    if ":" in host:
        host = f"[{host}]"
    place = host if port in (None, SCHEMES[scheme]) else f"{host}:{port}"
    path = re.sub(r"\s", lambda m: "%20" if m[0] == " " else "", parts.path) or "/"
    return urlunsplit((scheme, place, path, parts.query.replace(" ", "%20"), ""))


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a clean URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or SCHEMES[parts.scheme]


def refusal(address: str) -> str | None:
    """Why this IP address is not talked to, or None where it may be.

    Raises:
        ValueError: not an IP address.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and any(ip in net for net in _IPV4_IN_IPV6):
        return "loopback" if ip.is_loopback else "IPv4 inside IPv6"
    for name in ("loopback", "link_local", "multicast", "unspecified", "private", "reserved"):
        if getattr(ip, f"is_{name}"):
            return name.replace("_", "-")
    if not ip.is_global or any(ip in net for net in _CLOSED if net.version == ip.version):
        return "not a public"
    return None


class Guard(AbstractResolver):
    """Resolves names for the connector and lets only public addresses through.

    Args:
        allowed: `(host, port)` pairs that may be talked to wherever they are, as the user named them.
    """

    def __init__(
        self, allowed: Iterable[tuple[str, int]] = (), inner: AbstractResolver | None = None
    ) -> None:
        self.allowed = {(host.lower().strip("[]"), port) for host, port in allowed}
        self._inner = inner

    def check_literal(self, host: str, port: int) -> None:
        """Refuse a host that is itself an IP address: the connector never asks a resolver for those.

        Raises:
            RefusedAddress
        """
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return
        self._check(host, port, host)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of `host`, or none: one bad address refuses the name.

        Raises:
            RefusedAddress
            OSError: the name does not resolve.
        """
        if self._inner is None:
            self._inner = ThreadedResolver()
        found = await self._inner.resolve(host, port, family)
        for entry in found:
            self._check(host, port, entry["host"])
        return found

    async def close(self) -> None:
        """Close the resolver underneath."""
        if self._inner is not None:
            await self._inner.close()

    def _check(self, host: str, port: int, address: str) -> None:
        if (host.lower(), port) in self.allowed:
            return
        reason = refusal(address)
        if reason:
            raise RefusedAddress(f"{host}:{port} is a {reason} address ({address})")


def parse_host_port(text: str) -> tuple[str, int]:
    """`HOST:PORT` (an IPv6 address in brackets).

    Raises:
        ValueError: something else.
    """
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})", text.strip())
    if not match or not 0 < int(match[2]) < 65536:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8000")
    return match[1].lower().strip("[]"), int(match[2])
