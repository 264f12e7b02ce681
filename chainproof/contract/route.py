"""
The route to a target: proxy, `--connect-to` address and trusted certificates.

A route changes neither the URL, nor the Host header, nor the host name that TLS verifies.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from chainproof.contract.target import Target, TargetError, is_loopback, without_needless_zone

_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.~-]+)?\]|[^:\[\]/@ ]+):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address (IPv6 without brackets), and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy, used with CONNECT (RFC 9110 §9.3.6)."""

    address: Address
    authorization: str | None = field(default=None, repr=False)  # contains a password
    """The value of Proxy-Authorization, or None."""

    def connect_request(self, target: Address) -> bytes:
        """The bytes of the CONNECT request for a target."""
        fields = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.authorization is not None:
            fields.append(f"Proxy-Authorization: {self.authorization}")
        return ("\r\n".join(fields) + "\r\n\r\n").encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How to connect to a target. The default is its own host and port, and the system's certificates."""

    connect_to: Address | None = None
    """The address to connect to instead of the target's."""
    ca_file: str | None = None
    """A PEM file of additional certificates to trust."""
    proxy: Proxy | None = None

    def first_hop(self, target: Target) -> Address:
        """The address of the TCP connection: the proxy, `connect_to`, or the target."""
        return self.proxy.address if self.proxy is not None else self.destination(target)

    def destination(self, target: Target) -> Address:
        """The address that a proxy, if any, connects to."""
        return self.connect_to or Address(target.host, target.port)


def parse_address(text: str) -> Address:
    """The address in `HOST:PORT`, with IPv6 in brackets. Raises TargetError."""
    match = _HOST_AND_PORT.fullmatch(text.strip())
    if match is None or not 0 < int(match["port"]) < 65536:
        raise TargetError(f"expected HOST:PORT such as 127.0.0.1:8080 or [::1]:8080, found {text!r}")
    return Address(without_needless_zone(match["host"].strip("[]")), int(match["port"]))


def proxy_for(target: Target, environment: Mapping[str, str]) -> Proxy | None:
    """
    The proxy for a target from `https_proxy`, `all_proxy` and `no_proxy`, read as curl 7.88 reads them; None without one.

    Unlike curl, loopback targets, and therefore plain http, are never proxied. Raises TargetError if the proxy is not an http
    URL.
    """
    url = _variable(environment, "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    if target.scheme != "https" or not url or is_loopback(target.host):
        return None
    return None if _is_exception(target.host, _variable(environment, "no_proxy", "NO_PROXY")) else _parse_proxy(url)


def _variable(environment: Mapping[str, str], *names: str) -> str:
    """The value of the first variable that is not empty."""
    return next((environment[name] for name in names if environment.get(name)), "")


def _is_exception(host: str, exceptions: str) -> bool:
    """
    True if `no_proxy` names a host: it is `*`, or a list of domains, addresses and IPv4 networks.

    Commas and blanks separate its items. A domain contains its subdomains, with or without a dot in front. A port is never a
    part of a match, and IPv6 addresses are compared as text.
    """
    items = [item for item in re.split(r"[ \t,]+", exceptions.lower()) if item]
    address = _ipv4_address(host)
    if address is not None:
        return exceptions == "*" or any(_is_in_network(address, item) for item in items)
    name = _shortest_ipv6(host) if ":" in host else host.lower().removesuffix(".")
    domains = {item.removesuffix(".").removeprefix(".") for item in items} - {""}
    return exceptions == "*" or any(f".{name}".endswith(f".{domain}") for domain in domains)


def _ipv4_address(text: str) -> ipaddress.IPv4Address | None:
    """The address in a text; None if it has none."""
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None


def _is_in_network(address: ipaddress.IPv4Address, item: str) -> bool:
    """True if an item of `no_proxy` is an address or network that contains an address. The length 0 stands for 32."""
    text, _, suffix = item.partition("/")
    network = _ipv4_address(text)
    digits = re.match(r"[+-]?\d+", suffix)
    length = int(digits[0]) if digits else 0
    if network is None or not 0 <= length <= 32:
        return False
    return int(address) >> (32 - (length or 32)) == int(network) >> (32 - (length or 32))


def _shortest_ipv6(host: str) -> str:
    """An IPv6 address without zone, as curl writes it."""
    address = ipaddress.IPv6Address(host.partition("%")[0])
    return f"::ffff:{address.ipv4_mapped}" if address.ipv4_mapped is not None else address.compressed


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/{1,3}")
_PROXY = re.compile(
    r"(?:(?P<user>[^\s/?#@]*)@)?"
    r"(?P<host>\[[^\s\]/?#@]+\]|[^\s\[\]/?#@:]+)(?::(?P<port>\d*))?(?:[/?#]\S*)?"
)
DEFAULT_PROXY_PORT = 1080
"""As curl's."""


def _parse_proxy(url: str) -> Proxy:
    """The proxy in a URL. Raises TargetError without the URL in its message, since it may contain a password."""
    scheme = _SCHEME.match(url)
    match = _PROXY.fullmatch(url, scheme.end() if scheme else 0)
    port = int(match["port"] or DEFAULT_PROXY_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise TargetError(
            "expected the proxy in the environment to be a URL such as http://proxy:3128, found another text"
        )
    if scheme and scheme[1].lower() != "http":
        raise TargetError(
            f"expected the proxy in the environment to be an http URL such as http://proxy:3128, found the scheme {scheme[1]}: "
            "name an http proxy in https_proxy, or use --connect-to"
        )
    authorization = None
    if match["user"] is not None:
        name, _, password = match["user"].partition(":")
        pair = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
        authorization = f"Basic {base64.b64encode(pair).decode('ascii')}"
    return Proxy(address=Address(without_needless_zone(match["host"].strip("[]")), port), authorization=authorization)
