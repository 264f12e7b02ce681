"""
Which requests the web page accepts: those of its own pages, and those of programs that are no browsers.

A browser sends requests for any page that is open in it. Pages of other sites may therefore only link to the start page. They
may not read anything, post anything, or make the process work. A host name of theirs may not stand for this machine (DNS
rebinding).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from chainproof.contract.target import is_loopback

_HOST = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<ipv4>\d+(?:\.\d+){3})|(?P<name>[\w.-]+))(?::\d{1,5})?", re.ASCII | re.IGNORECASE
)
_OTHER_SITES = ("cross-site", "same-site")
"""Values of Sec-Fetch-Site. A page on another port of this host is of the same site, but of another origin."""


def objection(method: str, path: str, headers: Mapping[str, str], own_names: frozenset[str]) -> str | None:
    """
    Why a request is rejected; None if it is accepted.

    *path* is the path below that of the start page. *own_names* are the names of this machine, in lower case, besides
    addresses and localhost, to which no other site can give a meaning.
    """
    host = headers.get("Host", "")
    if not _is_own_host(host, own_names):
        return (
            f"expected an address, localhost or a name of this machine as Host, found {host!r}; if browsers reach this page "
            "by that name, start Locust with --web-host-display-name NAME"
        )
    origin = headers.get("Origin")
    if origin is not None and _authority(origin) != host.lower():
        return f"expected a request of this page, found one of the origin {origin!r}"
    if headers.get("Sec-Fetch-Site", "").lower() not in _OTHER_SITES:
        return None
    is_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    if method == "GET" and path == "/" and is_link:
        return None
    return "expected a request of this page, found one of another site; other sites may only link to the start page"


def own_names(*named: str | None) -> frozenset[str]:
    """The names of this machine: its host name, and those in *named*, which may be URLs."""
    hosts = (urlsplit(each).hostname if "://" in each else each.partition(":")[0] for each in named if each)
    return frozenset(each.lower() for each in (socket.gethostname(), *hosts) if each)


def _is_own_host(host: str, names: frozenset[str]) -> bool:
    """Whether a Host field names this machine by an address, as localhost, or by one of its names."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match["name"] or "").lower().removesuffix(".")
    return not name or is_loopback(name) or name in names


def _authority(origin: str) -> str | None:
    """Host and port of an origin, in lower case; None for `null` and other texts."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
