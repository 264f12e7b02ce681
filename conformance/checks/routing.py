"""
Where the operation lives: its path, its method, its hosts.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from chainproof.contract import clauses
from chainproof.contract.openapi import PATH
from chainproof.contract.target import ServerKind, is_loopback
from chainproof.contract.violations import Violation

from ..options import Permission
from ..probing.requester import Requester
from ..transport.not_asked import NotAsked
from ..transport.raw_connection import OPTIONAL_ANSWER_TIMEOUT
from ..transport.request import JSON_TYPE
from . import check_for

_METHODS = (
    *("GET", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK"),
    *("LINK", "UNLINK", "SEARCH", "REPORT", "PURGE", "MERGE", "VIEW", "CHAINPROOF"),
)
"""Methods that IANA has on record or that servers know, and one that nobody does."""

_ALMOST = ("post", "Post", "POSTS", "POS")
"""RFC 9110 §9.1: the method token is case-sensitive."""

_BARE = "/run_remote"
"""The operation's path where the hostname names the environment."""


def other_paths(path: str) -> tuple[str, ...]:
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


def equivalent_paths(path: str) -> tuple[str, ...]:
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


@check_for(clauses.OTHER_METHODS_REJECTED, clauses.ALLOW_HEADER)
def other_methods_are_rejected(requester: Requester) -> None:
    """
    GET, PUT and the rest do not reach the chain, with a body or without one.
    """
    for method in (*_METHODS, *_ALMOST):
        requester.send(requester.build_request(method=method, label=f"{method} with an object"))
    for method in ("GET", "DELETE"):
        request = requester.build_request(None, method=method, fields=(), label=f"{method} without a body")
        requester.send(request)
        label = f"{method} with an object in the query"
        requester.send(replace(request, path=f"{request.path}?body=%7B%7D", label=label))
    _ask_to_connect(requester)


def _ask_to_connect(requester: Requester) -> None:
    """
    CONNECT is for proxies, and no server has to have words for it.
    """
    request = requester.build_request(None, method="CONNECT", fields=(), label="CONNECT")
    request = requester.prepare(replace(request, valid_message=False))
    with requester.raw_connection() as connection:
        connection.send_request(request)
        # Who has no word for it may say none.
        heard = connection.read_answer(
            replace(request, method="GET"), within=min(OPTIONAL_ANSWER_TIMEOUT, requester.settings.deadline)
        )
    if heard.answer is None:
        return
    requester.record(request, heard, None)
    opened = Violation(
        clause=clauses.OTHER_METHODS_REJECTED, expected="anything but a 2xx", actual=f"status {heard.answer.status}"
    )
    requester.record_clause(opened.clause, opened if 200 <= heard.answer.status < 300 else None, request, heard.answer)


@check_for(clauses.OTHER_METHODS_REJECTED)
def method_overrides_are_ignored(requester: Requester) -> None:
    """
    A header, a member of the query or of a form that says POST makes no POST of a GET.
    """
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Method", "X-Original-Method"):
        for method in ("GET", "PUT"):
            fields = ((name, "POST"), JSON_TYPE)
            requester.send(requester.build_request(method=method, fields=fields, label=f"{method} with {name}: POST"))
    for query in ("_method=POST", "method=POST", "httpMethod=POST", "X-HTTP-Method-Override=POST"):
        path = f"{requester.target.path}?{query}"
        requester.send(requester.build_request(method="GET", path=path, label=f"GET with ?{query}"))
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    label = "PUT with _method=POST in a form"
    requester.send(requester.build_request(b"_method=POST", method="PUT", fields=form, label=label))


@check_for(clauses.OTHER_METHODS_REJECTED, clauses.ALLOW_HEADER)
def head_options_and_trace_do_not_run_the_chain(requester: Requester) -> None:
    """
    HEAD, OPTIONS and TRACE say what they like, of the path and of the server, and are no way to run the chain.
    """
    for method in ("HEAD", "OPTIONS"):
        requester.send(requester.build_request(None, method=method, fields=(), label=method))
        if requester.settings.echo and requester.terms.input_schema is None:
            requester.send(requester.build_request(_UNMISTAKABLE, method=method, label=f"{method} with an object"))
    requester.send(requester.build_request(None, method="TRACE", fields=(), label="TRACE"))
    preflight = (("Origin", "https://example.com"), ("Access-Control-Request-Method", "POST"))
    requester.send(requester.build_request(None, method="OPTIONS", fields=preflight, label="a preflight"))
    requester.send(requester.build_request(None, method="OPTIONS", path="*", fields=(), label="OPTIONS *"))


@check_for(clauses.OTHER_PATHS_REJECTED, clauses.ALLOW_HEADER)
def other_paths_are_rejected(requester: Requester) -> None:
    """
    A path is itself: another letter case, a slash at its end, a part of it or something behind it are other paths.
    """
    target = requester.target.path
    for path in dict.fromkeys((*other_paths(target), *equivalent_paths(target))):
        requester.send(requester.build_request(path=path, label=f"POST {path}"))


@check_for(clauses.REGIONAL_HOST, clauses.REGIONAL_HOST_FORMS)
def regional_hosts_reject_environment_paths(requester: Requester) -> None:
    """
    Where the hostname names the environment, path-based routes are not available.
    """
    own = requester.target.host
    if requester.target.path == _BARE:
        authority = requester.target.authority
        requester.send(requester.build_request(path=PATH, host=authority, label=f"POST {PATH} on {authority}"))
        return
    if not requester.settings.steerable and not _BASETEN.fullmatch(own):
        raise NotAsked("needs --steerable, or a Baseten host: no other target is sent another Host header")
    if not _BASETEN.fullmatch(own) and not is_loopback(own):
        raise NotAsked("needs a target on loopback or a Baseten host: the request carries the key")
    requester.require_permission(Permission.FOREIGN_HOSTS)
    identifier = own.partition(".")[0].partition("-")[2] if _BASETEN.fullmatch(own) else "abc123"
    for server in (ServerKind.REGIONAL_CHAIN, ServerKind.REGIONAL_MODEL):
        host = urlsplit(server.url(identifier, "prod-us")).netloc
        heard = requester.send(requester.build_request(host=host, label=f"Host: {host}"))
        if heard.answer is not None and heard.answer.status < 300:
            continue  # it is served however it is spelled
        for spelling in (host.upper(), host.title(), f"{host}:443", f"{host}."):
            requester.send(requester.build_request(host=spelling, label=f"Host: {spelling}"))
