"""The operation is available under its own path, method and hosts only."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

from chainproof.contract import clauses
from chainproof.contract.addresses import (
    ADDRESSES,
    ENVIRONMENT,
    REGIONAL,
    ServerKind,
    address_of,
    neighbours,
    service_host,
    unknown_paths,
)
from chainproof.contract.clauses import Clause
from chainproof.contract.target import is_loopback

from ..judging.judge import BUSY_STATUSES
from ..options import Permission
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.raw_connection import OPTIONAL_ANSWER_TIMEOUT
from ..transport.request import JSON_TYPE
from . import check_for

_METHODS = (
    *("GET", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK"),
    *("LINK", "UNLINK", "SEARCH", "REPORT", "PURGE", "MERGE", "VIEW", "CHAINPROOF"),
)
"""Methods that IANA lists or that servers support, and an unknown one."""

_UNKNOWN_METHODS = ("BREW", "CHAINPROOF-UNKNOWN", "X", "!#$%&'*+-.^_`|~", "A" * 40)
"""Methods that nobody has registered; any token is a valid method (RFC 9110 §9.1)."""

_ALMOST_POST = ("post", "Post", "POSTS", "POS")
"""Methods that differ from POST in letter case or by a letter; methods are case-sensitive (RFC 9110 §9.1)."""


def other_paths(path: str) -> tuple[str, ...]:
    """
    Paths that resemble the operation's path but are different ones.

    Left out are paths of the same operation in another environment, and paths that RFC 3986 or a server's
    normalisation makes equal: encoded, with dots, or with two slashes.
    """
    parents = [path[:end] for end in range(1, len(path)) if path[end] == "/"]
    folder, _, name = path.rpartition("/")
    others = (
        "/",
        *parents,
        *(f"{parent}/" for parent in parents[-1:]),
        *(f"{path}{suffix}" for suffix in _SUFFIXES),
        path[:-1],
        path[:-7],
        path.upper(),
        path.title(),
        f"{folder}/{name.upper()}",
        f"{folder.upper()}/{name}",
        *(path.replace("_", separator) for separator in ("-", "", "/", "%255F")),
        *neighbours(path),
        "/chainproof/run_remote",
        "/chainproof-no-such-path",
        *(f"{prefix}{path}" for prefix in ("/chainproof", "/api", "/v1", path)),
        f"{folder}/x/{name}",
        f"{folder}x/{name}",
        f"{folder}%C0%AF{name}",
        "/*",
        f"{folder}/*",
    )
    return tuple(each for each in dict.fromkeys(others) if each != path and address_of(each) in (None, REGIONAL))


_SUFFIXES = (
    *("/", "/x", "s", "2", ".json", ".html", ".", "-", "_", ";x=1", ":run", "*"),
    *("%20", "%00", "%0A", "%3Fx", "%23x"),
)
"""Suffixes that some servers ignore."""


def equivalent_paths(path: str) -> tuple[str, ...]:
    """Paths that may be treated as the operation's path; any documented answer is right."""
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


_UNIQUE_OBJECT = b'{"chainproof":"%s"}' % (b"x" * 1234)
"""An object that no target returns by chance, nor another body of its length."""


@check_for(clauses.OTHER_METHODS_REJECTED, clauses.UNKNOWN_METHODS, clauses.ALLOW_HEADER)
def other_methods_are_rejected(requester: Requester) -> None:
    """GET, PUT and other methods do not run the chain, with or without a body."""
    for method in (*_METHODS, *_ALMOST_POST):
        requester.submit(requester.build_request(method=method, label=f"{method} with an object"))
    for method in ("GET", "DELETE"):
        request = requester.build_request(None, method=method, fields=(), label=f"{method} without a body")
        requester.submit(request)
        label = f"{method} with an object in the query"
        requester.submit(replace(request, path=f"{request.path}?body=%7B%7D", label=label))
    _send_connect(requester)


def _send_connect(requester: Requester) -> None:
    """Send CONNECT, which is meant for proxies; a server need not answer it."""
    request = requester.build_request(None, method="CONNECT", fields=(), label="CONNECT")
    request = requester.prepare(replace(request, valid_message=False))
    with requester.raw_connection() as connection:
        connection.send_request(request)
        received = connection.read_answer(
            replace(request, method="GET"), within=min(OPTIONAL_ANSWER_TIMEOUT, requester.settings.deadline)
        )
    if received.answer is None:
        return
    requester.record(request, received, None)
    requester.record_clause(
        clauses.OTHER_METHODS_REJECTED,
        request,
        received.answer,
        expected="a status other than 2xx",
        actual=f"status {received.answer.status}" if received.answer.is_success else None,
    )


@check_for(clauses.UNKNOWN_METHODS, clauses.OTHER_METHODS_REJECTED)
def unknown_methods_are_rejected(requester: Requester) -> None:
    """A method that nobody has registered is rejected as such: it does not crash the target or the gateway."""
    for method in _UNKNOWN_METHODS:
        request = requester.build_request(method=method, label=f"the method {method}")
        # A server may reject what it cannot parse in its own form.
        judged = [requester.send(replace(request, valid_message=False)).answer for _ in range(2)]
        failed = [
            answer for answer in judged if answer is None or (answer.status >= 500 and answer.status not in (501, 505))
        ]
        # One failure may have another reason: a target may be busy at any time.
        actual = "no answer" if judged[0] is None else f"status {judged[0].status}"
        is_violated = len(failed) == len(judged)
        requester.record_clause(
            clauses.UNKNOWN_METHODS,
            request,
            judged[0],
            expected="a 4xx or 501",
            actual=actual if is_violated else None,
        )


@check_for(clauses.OTHER_METHODS_REJECTED)
def method_overrides_are_ignored(requester: Requester) -> None:
    """No header, query or form field that names POST turns another method into POST."""
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Method", "X-Original-Method"):
        for method in ("GET", "PUT"):
            fields = ((name, "POST"), JSON_TYPE)
            requester.submit(requester.build_request(method=method, fields=fields, label=f"{method} with {name}: POST"))
    for query in ("_method=POST", "method=POST", "httpMethod=POST", "X-HTTP-Method-Override=POST"):
        path = f"{requester.target.path}?{query}"
        requester.submit(requester.build_request(method="GET", path=path, label=f"GET with ?{query}"))
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    label = "PUT with _method=POST in a form"
    requester.submit(requester.build_request(b"_method=POST", method="PUT", fields=form, label=label))


@check_for(clauses.OTHER_METHODS_REJECTED, clauses.ALLOW_HEADER, title="HEAD, OPTIONS and TRACE do not run the chain")
def head_options_and_trace_do_not_run_the_chain(requester: Requester) -> None:
    """HEAD, OPTIONS and TRACE may be answered in any way that does not run the chain."""
    for method in ("HEAD", "OPTIONS"):
        requester.submit(requester.build_request(None, method=method, fields=(), label=method))
        if requester.settings.echo and requester.terms.input_schema is None:
            requester.submit(
                requester.build_request(
                    requester.inputs.embed(_UNIQUE_OBJECT) or requester.inputs.base,
                    method=method,
                    label=f"{method} with an object",
                )
            )
    requester.submit(requester.build_request(None, method="TRACE", fields=(), label="TRACE"))
    preflight = (("Origin", "https://example.com"), ("Access-Control-Request-Method", "POST"))
    requester.submit(requester.build_request(None, method="OPTIONS", fields=preflight, label="a preflight"))
    requester.submit(requester.build_request(None, method="OPTIONS", path="*", fields=(), label="OPTIONS *"))


@check_for(clauses.OTHER_PATHS_REJECTED, clauses.PATH_LINE_BREAK, clauses.ALLOW_HEADER)
def other_paths_are_rejected(requester: Requester) -> None:
    """
    A path with other letter case, a trailing slash, missing parts or a suffix is another path, also if a header field names
    the right one.
    """
    target = requester.target.path
    for path in dict.fromkeys((*other_paths(target), *equivalent_paths(target))):
        requester.submit(requester.build_request(path=path, label=f"POST {path}"))
    for name in ("X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Path"):
        label = f"POST /chainproof-no-such-path with {name}: {target}"
        fields = (JSON_TYPE, (name, target))
        requester.submit(requester.build_request(path="/chainproof-no-such-path", fields=fields, label=label))


@check_for(clauses.UNKNOWN_ENVIRONMENT_REJECTED)
def unknown_environments_and_deployments_are_rejected(requester: Requester) -> None:
    """A path with the name of an environment or the id of a deployment that does not exist is not served."""
    if requester.target.path == REGIONAL.path():
        raise CheckSkipped("needs a target whose path names the environment: this one rejects all such paths")
    for path in unknown_paths():
        requester.send(requester.build_request(path=path, label=f"POST {path}"))


@check_for(clauses.REGIONAL_HOST, clauses.REGIONAL_HOST_FORMS)
def regional_hosts_reject_environment_paths(requester: Requester) -> None:
    """Where the host names the environment, paths that name one are not available."""
    name = service_host(requester.target.host)
    if name is None and not is_loopback(requester.target.host):
        raise CheckSkipped(
            "needs a loopback target or a host of Baseten's: on other hosts, other paths may run other environments, and "
            "other Host headers do not get the key"
        )
    if requester.target.path == REGIONAL.path():
        _send_environment_paths(requester, name.environment if name else "production")
        return
    if name is None and not requester.settings.steerable:
        raise CheckSkipped("needs --steerable or a host of Baseten's: other Host headers are not sent to this target")
    requester.require_permission(Permission.FOREIGN_HOSTS)
    _send_regional_hosts(requester, name.identifier if name else "abc123")


def _send_environment_paths(requester: Requester, environment: str) -> None:
    """Send every path that names an environment or deployment to a regional target."""
    host = requester.target.authority
    for address in ADDRESSES:
        if not address.regional:
            named = address.identifier
            path = address.path(named.unknown if named and address is not ENVIRONMENT else environment)
            requester.submit(requester.build_request(path=path, host=host, label=f"POST {path} on {host}"))


def _send_regional_hosts(requester: Requester, identifier: str) -> None:
    """Send the target's path to regional hosts of the same chain or model."""
    for server in (ServerKind.REGIONAL_CHAIN, ServerKind.REGIONAL_MODEL):
        host = urlsplit(server.url(identifier, "prod-us")).netloc
        received = requester.send(requester.build_request(host=host, label=f"Host: {host}"))
        if received.answer is not None and received.answer.status < 300:
            continue  # the target ignores the Host header
        for variant in (host.upper(), host.title(), f"{host}:443", f"{host}."):
            requester.submit(requester.build_request(host=variant, label=f"Host: {variant}"))


# ------------------------------------------------------------------ the target's own name


@check_for(clauses.HOST_FORMS, clauses.HOST_TRAILING_DOT)
def every_form_of_the_own_host_name_is_recognised(requester: Requester) -> None:
    """
    The target's own name in the Host header, in any letter case, with the default port and with a trailing dot, is
    answered like the name itself.
    """
    name = _own_name(requester)
    authority = requester.target.authority
    port = authority.rpartition(":")[2] if authority.rpartition("]")[2].count(":") else ""
    suffix = f":{port}" if port else ""
    usual = _status_with_host(requester, name + suffix)
    if usual is None or usual >= 300:
        requester.require_accepted_input()
        raise CheckSkipped(f"needs a target that accepts requests with Host: {name}{suffix}")
    default_port = 443 if requester.target.scheme == "https" else 80
    forms = [(clauses.HOST_FORMS, host + suffix) for host in (name.upper(), name.title())]
    forms += [] if port else [(clauses.HOST_FORMS, f"{name}:{default_port}")]
    forms += [(clauses.HOST_TRAILING_DOT, f"{name}.{suffix}")]
    for clause, host in forms:
        _check_own_host(requester, clause, host, usual)


def _own_name(requester: Requester) -> str:
    """The target's name; `localhost` for a loopback address. Raises CheckSkipped if it is another address."""
    host = requester.target.host
    if not _IP_ADDRESS.fullmatch(host):
        return host
    if is_loopback(host):
        return "localhost"
    raise CheckSkipped("needs a target with a name: an address has only one form")


_IP_ADDRESS = re.compile(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.%A-Za-z0-9]*")


def _status_with_host(requester: Requester, host: str) -> int | None:
    """The status of the answer to a valid request with a Host header; None if the target is busy or does not answer."""
    request = requester.build_request(host=host, label=f"Host: {host}")
    for _ in range(3):
        received = requester.send_once(request)
        requester.record(request, received, None)
        if received.answer is not None and received.answer.status not in BUSY_STATUSES:
            return received.answer.status
    return None


def _check_own_host(requester: Requester, clause: Clause, host: str, usual: int) -> None:
    """Check that a form of the own name is answered like the name itself."""
    status = _status_with_host(requester, host)
    if status is None:
        return
    request = requester.build_request(host=host, label=f"Host: {host}")
    requester.record_clause(
        clause,
        request,
        expected=f"status {usual}, as for the name in its usual form",
        actual=f"status {status}" if status != usual else None,
    )
