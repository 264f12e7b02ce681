"""Routing faults: other paths, methods and hosts are served, or the operation itself is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from chainproof.contract.addresses import PRODUCTION, REGIONAL, address_of
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    ALLOW_HEADER,
    OBJECT_ACCEPTED,
    OTHER_METHODS_REJECTED,
    OTHER_PATHS_REJECTED,
    PATH_LINE_BREAK,
    REGIONAL_HOST,
    REGIONAL_HOST_FORMS,
    REQUEST_FRAMING,
    UNKNOWN_ENVIRONMENT_REJECTED,
    UNKNOWN_METHODS,
)
from chainproof.contract.http_clauses import ABSOLUTE_FORM, HOST_MISSING
from chainproof.contract.openapi import METHOD

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, FaultHook, RequestContext, error, is_operation_path, with_body, with_field, with_header

_faults = FaultRegistrar(stage=FaultStage.ROUTING)
_PATH = PRODUCTION.path().encode()
_BARE_PATH = REGIONAL.path().encode()
_METHOD = METHOD.encode()


def _serve_operation(context: RequestContext, path: bytes) -> Answer:
    """The answer to the request as if its method were POST and its path this one."""
    return context.serve(replace(context.request, method=_METHOD, target=path))


def _serves_path(read_path: Callable[[bytes], bytes]) -> DecideHook:
    """A hook that also runs the operation for paths that *read_path* turns into one of the operation's."""

    def decide(context: RequestContext) -> Answer:
        path = context.request.path
        served = read_path(path)
        if served == path or context.request.method != _METHOD or not is_operation_path(served):
            return context.correct_answer()
        return _serve_operation(context, served)

    return decide


def _start_of_path(path: bytes) -> bytes:
    """The path up to the operation's name."""
    before, name, _ = path.partition(b"/run_remote")
    return before + name


_faults.add_table(
    OTHER_PATHS_REJECTED,
    rows={
        "path-case-insensitive": ("The path is matched without regard to case.", _serves_path(bytes.lower)),
        "path-trailing-slash": (
            "The path is also served with a trailing slash.",
            _serves_path(lambda path: path.removesuffix(b"/")),
        ),
        "path-prefix": ("Any path that starts with the right path is served.", _serves_path(_start_of_path)),
        "path-extension": (
            "The path is also served with an extension such as `.json`.",
            _serves_path(lambda path: re.sub(rb"\.\w+\Z", b"", path)),
        ),
        "path-parameters": (
            "The path is also served with parameters after a semicolon.",
            _serves_path(lambda path: path.partition(b";")[0]),
        ),
        "path-without-prefix": (
            "The path /run_remote is served too.",
            _serves_path(lambda path: _PATH if path == _BARE_PATH else path),
        ),
    },
)
_faults.add_table(
    PATH_LINE_BREAK,
    rows={
        "path-line-break": (
            "The path is also served with an encoded line break behind it.",
            _serves_path(lambda path: path.removesuffix(b"%0A")),
        ),
    },
)


@_faults.on_decide(OTHER_PATHS_REJECTED)
def any_path(context: RequestContext) -> Answer:
    """Any path is served."""
    if context.correct_answer().status != 404 or context.request.method != _METHOD:
        return context.correct_answer()
    return context.serve(replace(with_field(context.request, b"host", b"localhost"), target=_PATH))


def _has_name(path: bytes) -> bool:
    """True for a path of the operation that names an environment or deployment."""
    address = address_of(path.decode("latin-1"))
    return address is not None and address.identifier is not None


_faults.add_table(
    UNKNOWN_ENVIRONMENT_REJECTED,
    rows={
        "any-environment": (
            "Every environment and deployment is served as if it were production.",
            _serves_path(lambda path: _PATH if _has_name(path) else path),
        ),
    },
)


def _serves_method(*methods: bytes) -> DecideHook:
    """A hook that also runs the operation for these methods."""
    return lambda context: (
        _serve_operation(context, context.request.path)
        if context.request.method in methods and is_operation_path(context.request.path)
        else context.correct_answer()
    )


_faults.add_table(OTHER_METHODS_REJECTED, rows={"get-executes": ("GET runs the chain.", _serves_method(b"GET"))})


@_faults.on_decide(OTHER_METHODS_REJECTED)
def any_method_executes(context: RequestContext) -> Answer:
    """Any method except HEAD, OPTIONS and TRACE runs the chain."""
    excluded = context.request.method in (b"HEAD", b"OPTIONS", b"TRACE")
    path = context.request.path
    return context.correct_answer() if excluded or not is_operation_path(path) else _serve_operation(context, path)


@_faults.on_decide(OTHER_METHODS_REJECTED)
def method_override(context: RequestContext) -> Answer:
    """GET with `X-HTTP-Method-Override: POST` runs the chain."""
    path = context.request.path
    override = context.field(b"x-http-method-override") == b"POST" and is_operation_path(path)
    return _serve_operation(context, path) if override else context.correct_answer()


@_faults.on_decide(OTHER_METHODS_REJECTED)
def get_shows_a_page(context: RequestContext) -> Answer:
    """GET is answered 200 with a health status."""
    if context.request.method != b"GET" or not is_operation_path(context.request.path):
        return context.correct_answer()
    return with_body(replace(context.correct_answer(), status=200), b'{"status":"healthy"}', "application/json")


@_faults.on_decide(OTHER_PATHS_REJECTED)
def unknown_paths_are_200(context: RequestContext) -> Answer:
    """Unknown paths are answered 200 with a start page."""
    answer = context.correct_answer()
    return with_body(replace(answer, status=200), b"<html></html>", "text/html") if answer.status == 404 else answer


@_faults.on_decide(ALLOW_HEADER)
def no_allow(context: RequestContext) -> Answer:
    """A 405 has no Allow header."""
    return with_header(context.correct_answer(), "Allow")


@_faults.on_decide(ALLOW_HEADER)
def allow_lacks_post(context: RequestContext) -> Answer:
    """A 405 has `Allow: GET, HEAD`."""
    answer = context.correct_answer()
    return with_header(answer, "Allow", "GET, HEAD") if answer.status == 405 else answer


@_faults.on_decide(ALLOW_HEADER)
def allow_lists_everything(context: RequestContext) -> Answer:
    """The Allow header of a 405 lists the rejected method."""
    answer = context.correct_answer()
    return with_header(answer, "Allow", "GET, POST, PUT, PATCH, DELETE") if answer.status == 405 else answer


def _serve_on_any_host(context: RequestContext) -> Answer:
    """The answer to a path that names an environment or deployment, whatever the Host header; else the correct answer."""
    path = context.request.path
    if path == _BARE_PATH or not is_operation_path(path):
        return context.correct_answer()
    return context.serve(with_field(context.request, b"host", b"localhost"))


@_faults.on_decide(REGIONAL_HOST)
def regional_host_served(context: RequestContext) -> Answer:
    """The path is served on regional hostnames."""
    regional = context.request.host.endswith(b".api.baseten.co")
    return _serve_on_any_host(context) if regional else context.correct_answer()


@_faults.on_decide(REGIONAL_HOST)
def regional_model_host_served(context: RequestContext) -> Answer:
    """The path is served on the regional hostnames of models."""
    regional = context.request.host.startswith(b"model-")
    return _serve_on_any_host(context) if regional else context.correct_answer()


@_faults.on_decide(REGIONAL_HOST_FORMS)
def regional_host_in_capitals_served(context: RequestContext) -> Answer:
    """The path is served on regional hostnames with upper-case letters."""
    host = context.request.host
    has_capitals = host.lower().endswith(b".api.baseten.co") and host != host.lower()
    return _serve_on_any_host(context) if has_capitals else context.correct_answer()


@_faults.on_decide(REQUEST_FRAMING, OBJECT_ACCEPTED)
def query_not_found(context: RequestContext) -> Answer:
    """The path with a query string is answered 400."""
    answer = context.correct_answer()
    return error(answer, 400, "client_error") if b"?" in context.request.target and answer.status == 200 else answer


@_faults.on_decide(ABSOLUTE_FORM)
def absolute_form_not_found(context: RequestContext) -> Answer:
    """A request target in absolute form is answered 400."""
    answer = context.correct_answer()
    absolute = not context.request.target.startswith(b"/") and answer.status == 200
    return error(answer, 400, "client_error") if absolute else answer


@_faults.on_read(UNKNOWN_METHODS)
def method_case_insensitive(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # the signature of every ReadHook
    """The method `post` is accepted as POST."""
    return b"POST" + data[4:] if begins and data[:5].lower() == b"post " else data


@_faults.on_read(HOST_MISSING)
def host_missing(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # as above
    """HTTP/1.1 requests without Host are served."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not begins or not blank or b"\r\nhost:" in head.lower() or b" HTTP/1.1" not in head:
        return data
    return head + b"\r\nHost: localhost" + blank + rest


# ------------------------------------------------------------------ methods that nobody has registered

_STAND_IN = b"SOURCE"
"""A method that the parser knows, in place of one that it would reject."""
_UNKNOWN_METHOD = re.compile(rb"(?!(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|[A-Z]*(?:PROP|LOCK|LINK|COL)[A-Z]*) )"
                             rb"(?!(?:COPY|MOVE|SEARCH|REPORT|MERGE|PURGE|QUERY|VIEW|PRI) )[!#$%&'*+.^_`|~0-9A-Z-]+(?= /)")  # fmt: skip


def _with_known_method(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # the signature of every ReadHook
    """The bytes with a stand-in for an unknown method, so that they reach the decision."""
    return _UNKNOWN_METHOD.sub(_STAND_IN, data, count=1) if begins and _UNKNOWN_METHOD.match(data) else data


def _with_status_for_unknown_methods(status: int) -> DecideHook:
    """Answers requests with an unknown method with a status."""

    def decide(context: RequestContext) -> Answer:
        answer = context.correct_answer()
        return error(answer, status, None) if context.request.method == _STAND_IN else answer

    return decide


for _name, _description, _status in (
    ("unknown-method-500", "A method that nobody has registered is answered 500.", 500),
    (
        "unknown-method-502",
        "A method that nobody has registered is answered 502: the application closes the connection.",
        502,
    ),
):
    _faults.add(
        _name,
        _description,
        FaultHook(
            read=_with_known_method,
            decide=_with_status_for_unknown_methods(_status),
        ),
        UNKNOWN_METHODS,
    )
