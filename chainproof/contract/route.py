"""
The route to a target: proxy, `--connect-to` address and trusted certificates.

A route changes neither the URL, nor the Host header, nor the host name that TLS verifies.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from chainproof.contract.target import Target, TargetError, is_loopback

_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/@ ]+):(?P<port>\d{1,5})")


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
    return Address(match["host"].strip("[]"), int(match["port"]))


def proxy_for(target: Target, environment: Mapping[str, str]) -> Proxy | None:
    """
    The proxy for a target from `https_proxy`, `all_proxy` and `no_proxy` (lower or upper case), or None.

    Loopback targets, and therefore plain http, are never proxied. Raises TargetError if the proxy is not an http URL.
    """
    variables = _proxy_variables(environment)
    url = variables.get("https") or variables.get("all")
    if target.scheme != "https" or not url or is_loopback(target.host):
        return None
    return None if _is_bypassed(target, variables.get("no", "")) else _parse_proxy(url)


def _is_bypassed(target: Target, exceptions: str) -> bool:
    """True if `no_proxy` has the target: as `*`, a host or a domain (with or without leading dot), each with or without port."""
    for exception in exceptions.lower().split(","):
        name, _, port = exception.strip().partition(":")
        if name == "*":
            return True
        if port in ("", str(target.port)) and name.lstrip("."):
            domain = name.lstrip(".")
            if target.host == domain or target.host.endswith(f".{domain}"):
                return True
    return False


def _proxy_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The values of the proxy variables by the start of their name. Lower-case names take precedence, as in curl."""
    variables: dict[str, str] = {}
    for lower in (False, True):
        for name, value in environment.items():
            if name.lower().endswith("_proxy") and name.islower() is lower and value:
                variables[name.lower().removesuffix("_proxy")] = value
    return variables


def _parse_proxy(url: str) -> Proxy:
    """The proxy in a URL. Raises TargetError without the URL in its message, since it may contain a password."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        raise TargetError("expected the proxy in the environment to be a URL such as http://proxy:3128") from None
    if parts.scheme != "http" or not parts.hostname:
        raise TargetError("expected the proxy in the environment to be a URL such as http://proxy:3128")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
    return Proxy(address=Address(parts.hostname, port or 80), authorization=authorization)
