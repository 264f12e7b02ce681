"""
Where the operation lives: its path, its method, its hosts.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from chainproof.contract import clauses
from chainproof.contract.spec import PATH
from chainproof.contract.targets import Server

from ..examination import Examination
from . import upholds

_METHODS = ("GET", "PUT", "PATCH", "DELETE", "QUERY", "CHAINPROOF")

_BARE = "/run_remote"
"""The operation's path where the hostname names the environment."""


def near_misses(path: str) -> tuple[str, ...]:
    """
    Paths that are nearly the operation's. None is that of a sister operation: what is there is another environment's.
    """
    parents = [path[:end] for end in range(1, len(path)) if path[end] == "/"]
    return (
        "/",
        *parents,
        *(f"{parent}/" for parent in parents[-1:]),
        f"{path}/",
        f"{path}/x",
        f"{path}s",
        path[:-1],
        path.upper(),
        path.replace("_", "-"),
        *([_BARE] if path != _BARE else []),
        "/chainproof/run_remote",
        "/chainproof-no-such-path",
    )


_BASETEN = re.compile(r"(?:model|chain)-[a-z0-9]+\.api\.baseten\.co")
"""Hosts of Baseten's where the environment is in the path."""


@upholds(clauses.OTHER_METHODS_REFUSED, clauses.ALLOW_LISTED)
def other_methods_are_refused(examination: Examination) -> None:
    """
    GET, PUT and the rest do not reach the chain, with a body or without one, nor by a header that overrides the method.
    """
    for method in _METHODS:
        examination.ask(examination.request(method=method, label=f"{method} with an object"))
    examination.ask(examination.request(None, method="GET", fields=(), label="GET without a body"))
    override = (("X-HTTP-Method-Override", "POST"), ("Content-Type", "application/json"))
    examination.ask(examination.request(method="GET", fields=override, label="GET with X-HTTP-Method-Override: POST"))
    for method in ("HEAD", "OPTIONS"):
        examination.ask(examination.request(None, method=method, fields=(), label=method))


@upholds(clauses.OTHER_PATHS_REFUSED)
def other_paths_are_refused(examination: Examination) -> None:
    """
    A path is itself: another letter case, a slash at its end, a part of it or something behind it are other paths. Doubled
    slashes are left alone, since proxies merge them.
    """
    for path in near_misses(examination.target.path):
        examination.ask(examination.request(path=path, label=f"POST {path}"))


@upholds(clauses.REGIONAL_HOST)
def regional_hosts_do_not_have_the_path(examination: Examination) -> None:
    """
    Where the hostname names the environment, path-based routes are not available.
    """
    own = examination.target.host
    if examination.target.path == _BARE:
        authority = examination.target.authority
        examination.ask(examination.request(path=PATH, host=authority, label=f"POST {PATH} on {authority}"))
        return
    if not examination.settings.steerable and not _BASETEN.fullmatch(own):
        pytest.skip("the target is neither steerable nor one of Baseten's hosts: another Host header is not sent to it")
    for server in (Server.REGIONAL_CHAIN, Server.REGIONAL_MODEL):
        host = urlsplit(
            server.url(own.partition(".")[0].partition("-")[2] if _BASETEN.fullmatch(own) else "abc123", "prod-us")
        ).netloc
        examination.ask(examination.request(host=host, label=f"Host: {host}"))
