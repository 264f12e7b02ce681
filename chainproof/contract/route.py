"""
How the bytes get to a target where its own name and port are not the way, and whom TLS trusts there.

None of it changes what is asked: URL, Host header and the name that TLS verifies stay the target's.
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
    """
    A name or address, IPv6 without brackets, and a TCP port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """
    An HTTP proxy that is asked for a tunnel (RFC 9110 §9.3.6).
    """

    address: Address
    authorization: str | None = field(default=None, repr=False)  # it holds a password
    """The value of Proxy-Authorization, or None."""

    def connect_request(self, target: Address) -> bytes:
        """The request for a tunnel to a target, as it goes over the wire."""
        fields = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.authorization is not None:
            fields.append(f"Proxy-Authorization: {self.authorization}")
        return ("\r\n".join(fields) + "\r\n\r\n").encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    The way to a target. The default one is its own host and port, and the system's certificates.
    """

    connect_to: Address | None = None
    """Where connections go instead."""
    ca_file: str | None = None
    """A PEM file of certificates to trust besides."""
    proxy: Proxy | None = None

    def first_hop(self, target: Target) -> Address:
        """Where the TCP connection goes: the proxy, the address to connect to, or the target itself."""
        return self.proxy.address if self.proxy is not None else self.destination(target)

    def destination(self, target: Target) -> Address:
        """Where the bytes end up, by way of a proxy or not."""
        return self.connect_to or Address(target.host, target.port)


def parse_address(text: str) -> Address:
    """
    The address that `HOST:PORT` names, an IPv6 one in brackets. Raises TargetError.
    """
    match = _HOST_AND_PORT.fullmatch(text.strip())
    if match is None or not 0 < int(match["port"]) < 65536:
        raise TargetError(f"expected HOST:PORT such as 127.0.0.1:8080 or [::1]:8080, found {text!r}")
    return Address(match["host"].strip("[]"), int(match["port"]))


def proxy_for(target: Target, environment: Mapping[str, str]) -> Proxy | None:
    """
    The proxy that the environment names for a target (`https_proxy`, `all_proxy`, `no_proxy`, in either case), or None.

    Loopback is never proxied, and plain http goes to loopback alone. Raises TargetError for a proxy that is no http URL.
    """
    proxies = _proxies(environment)
    named = proxies.get("https") or proxies.get("all")
    if target.scheme != "https" or not named or is_loopback(target.host):
        return None
    return None if _bypassed(target, proxies.get("no", "")) else _parse_proxy(named)


def _bypassed(target: Target, exceptions: str) -> bool:
    """
    Whether `no_proxy` names the target: `*`, a host, a domain with or without its dot, each with a port or not.
    """
    for exception in exceptions.lower().split(","):
        name, _, port = exception.strip().partition(":")
        if name == "*":
            return True
        if port in ("", str(target.port)) and name.lstrip("."):
            domain = name.lstrip(".")
            if target.host == domain or target.host.endswith(f".{domain}"):
                return True
    return False


def _proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """
    The proxy variables of an environment by their first word; lower-case names win, as with curl.
    """
    found: dict[str, str] = {}
    for lower in (False, True):
        for name, value in environment.items():
            if name.lower().endswith("_proxy") and name.islower() is lower and value:
                found[name.lower().removesuffix("_proxy")] = value
    return found


def _parse_proxy(url: str) -> Proxy:
    """
    The proxy that a URL names. Its messages leave the URL out: it may hold a password.
    """
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
