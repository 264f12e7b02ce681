"""
Where the operation lives: its path, its method, its hosts.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from chainproof.contract import clauses
from chainproof.contract.openapi import PATH
from chainproof.contract.target import Server, is_loopback
from chainproof.contract.violations import Departure

from ..options import Intrusion
from ..probing.requester import Examination
from ..transport.raw_connection import WORDLESS
from ..transport.request import JSON_TYPE
from . import upholds

_METHODS = (
    *("GET", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK"),
    *("LINK", "UNLINK", "SEARCH", "REPORT", "PURGE", "MERGE", "VIEW", "CHAINPROOF"),
)
"""Methods that IANA has on record or that servers know, and one that nobody does."""

_ALMOST = ("post", "Post", "POSTS", "POS")
"""RFC 9110 §9.1: the method token is case-sensitive."""

_BARE = "/run_remote"
"""The operation's path where the hostname names the environment."""


def near_misses(path: str) -> tuple[str, ...]:
    """
    Paths that are nearly the operation's. None is that of a sister operation: what is there is another environment's. None
    is one that RFC 3986 or a server's own tidiness makes the same: encoded, with dots, or with two slashes.
    """
    parents = [path[:end] for end in range(1, len(path)) if path[end] == "/"]
    folder, _, name = path.rpartition("/")
    misses = (
        "/",
        *parents,
        *(f"{parent}/" for parent in parents[-1:]),
        *(f"{path}{behind}" for behind in _BEHIND),
        path[:-1],
        path[:-7],
        path.upper(),
        path.title(),
        f"{folder}/{name.upper()}",
        f"{folder.upper()}/{name}",
        *(path.replace("_", other) for other in ("-", "", "/", "%255F")),
        *([_BARE] if path != _BARE else []),
        "/chainproof/run_remote",
        "/chainproof-no-such-path",
        *(f"{before}{path}" for before in ("/chainproof", "/api", "/v1", path)),
        f"{folder}/x/{name}",
        f"{folder}x/{name}",
        "/*",
        f"{folder}/*",
    )
    return tuple(miss for miss in dict.fromkeys(misses) if miss != path and not _SISTER.fullmatch(miss))


_SISTER = re.compile(r"/(?:production|development|environments/[^/]+|deployment/[^/]+)/run_remote")
"""The operation in an environment, this one or another."""


_BEHIND = (
    *("/", "/x", "s", "2", ".json", ".html", ".", "-", "_", ";x=1", ":run", "*"),
    *("%20", "%00", "%0A", "%3Fx", "%23x"),
)
"""What may stand behind a path that some would cut off, and some would not see."""


def equivalents(path: str) -> tuple[str, ...]:
    """
    Paths that may be taken for the operation's: whatever they are answered with is right.
    """
    folder, _, name = path.rpartition("/")
    return (
        path.replace("_", "%5F"),
        path.replace("r", "%72", 1),
        f"{folder}%2F{name}",
        f"/{path}",
        f"{folder}//{name}",
        f"{folder}/./{name}",
        f"/chainproof/..{path}",
        f"{folder}/chainproof/../{name}",
    )


_BASETEN = re.compile(r"(?:model|chain)-[a-z0-9]+\.api\.baseten\.co")
"""Hosts of Baseten's where the environment is in the path."""


_UNMISTAKABLE = b'{"chainproof":"%s"}' % (b"x" * 1234)
"""An object that nobody returns by chance, not even in length."""


@upholds(clauses.OTHER_METHODS_REFUSED, clauses.ALLOW_LISTED)
def other_methods_are_refused(examination: Examination) -> None:
    """
    GET, PUT and the rest do not reach the chain, with a body or without one.
    """
    for method in (*_METHODS, *_ALMOST):
        examination.ask(examination.request(method=method, label=f"{method} with an object"))
    for method in ("GET", "DELETE"):
        request = examination.request(None, method=method, fields=(), label=f"{method} without a body")
        examination.ask(request)
        label = f"{method} with an object in the query"
        examination.ask(replace(request, path=f"{request.path}?body=%7B%7D", label=label))
    _ask_to_connect(examination)


def _ask_to_connect(examination: Examination) -> None:
    """
    CONNECT is for proxies, and no server has to have words for it.
    """
    request = examination.request(None, method="CONNECT", fields=(), label="CONNECT")
    request = examination.prepared(replace(request, message_valid=False))
    with examination.conversation() as conversation:
        conversation.say(request)
        # Who has no word for it may say none.
        heard = conversation.hear(replace(request, method="GET"), within=min(WORDLESS, examination.settings.deadline))
    if heard.answer is None:
        return
    examination.enter(request, heard, None)
    opened = Departure(
        clause=clauses.OTHER_METHODS_REFUSED, expected="anything but a 2xx", actual=f"status {heard.answer.status}"
    )
    examination.hold(opened.clause, opened if 200 <= heard.answer.status < 300 else None, request, heard.answer)


@upholds(clauses.OTHER_METHODS_REFUSED)
def no_method_hides_in_another(examination: Examination) -> None:
    """
    A header, a member of the query or of a form that says POST makes no POST of a GET.
    """
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Method", "X-Original-Method"):
        for method in ("GET", "PUT"):
            fields = ((name, "POST"), JSON_TYPE)
            examination.ask(examination.request(method=method, fields=fields, label=f"{method} with {name}: POST"))
    for query in ("_method=POST", "method=POST", "httpMethod=POST", "X-HTTP-Method-Override=POST"):
        path = f"{examination.target.path}?{query}"
        examination.ask(examination.request(method="GET", path=path, label=f"GET with ?{query}"))
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    label = "PUT with _method=POST in a form"
    examination.ask(examination.request(b"_method=POST", method="PUT", fields=form, label=label))


@upholds(clauses.OTHER_METHODS_REFUSED, clauses.ALLOW_LISTED)
def asking_about_the_path_runs_nothing(examination: Examination) -> None:
    """
    HEAD, OPTIONS and TRACE say what they like, of the path and of the server, and are no way to run the chain.
    """
    for method in ("HEAD", "OPTIONS"):
        examination.ask(examination.request(None, method=method, fields=(), label=method))
        if examination.settings.echo and examination.terms.takes is None:
            examination.ask(examination.request(_UNMISTAKABLE, method=method, label=f"{method} with an object"))
    examination.ask(examination.request(None, method="TRACE", fields=(), label="TRACE"))
    preflight = (("Origin", "https://example.com"), ("Access-Control-Request-Method", "POST"))
    examination.ask(examination.request(None, method="OPTIONS", fields=preflight, label="a preflight"))
    examination.ask(examination.request(None, method="OPTIONS", path="*", fields=(), label="OPTIONS *"))


@upholds(clauses.OTHER_PATHS_REFUSED, clauses.ALLOW_LISTED)
def other_paths_are_refused(examination: Examination) -> None:
    """
    A path is itself: another letter case, a slash at its end, a part of it or something behind it are other paths.
    """
    target = examination.target.path
    for path in dict.fromkeys((*near_misses(target), *equivalents(target))):
        examination.ask(examination.request(path=path, label=f"POST {path}"))


@upholds(clauses.REGIONAL_HOST, clauses.REGIONAL_HOST_SPELLING)
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
    if not _BASETEN.fullmatch(own) and not is_loopback(own):
        pytest.skip("the key goes along: another Host header is sent to loopback or to Baseten's hosts alone")
    examination.require(Intrusion.FOREIGN_HOSTS)
    identifier = own.partition(".")[0].partition("-")[2] if _BASETEN.fullmatch(own) else "abc123"
    for server in (Server.REGIONAL_CHAIN, Server.REGIONAL_MODEL):
        host = urlsplit(server.url(identifier, "prod-us")).netloc
        heard = examination.ask(examination.request(host=host, label=f"Host: {host}"))
        if heard.answer is not None and heard.answer.status < 300:
            continue  # it is served however it is spelled
        for spelling in (host.upper(), host.title(), f"{host}:443", f"{host}."):
            examination.ask(examination.request(host=spelling, label=f"Host: {spelling}"))
