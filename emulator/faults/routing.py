"""
Faults of the router: paths, methods and hosts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    ALLOW_LISTED,
    HTTP_ADVICE,
    HTTP_STRICTNESS,
    OBJECT_ACCEPTED,
    OTHER_METHODS_REFUSED,
    OTHER_PATHS_REFUSED,
    REGIONAL_HOST,
    REGIONAL_HOST_SPELLING,
    REQUEST_FRAMING,
)
from chainproof.contract.openapi import METHOD, PATH

from .fault import Entry, Stage
from .hooks import Asked, Decide, error, saying, stating, with_field

_at = Entry(stage=Stage.ROUTING)
_PATH = PATH.encode()
_METHOD = METHOD.encode()


def _here(asked: Asked) -> Answer:
    """
    What is said to the request as if it were for the operation.
    """
    return asked.serve(replace(asked.request, method=_METHOD, target=_PATH))


def _serves_path(matches: Callable[[bytes], object]) -> Decide:
    """
    A router that takes other paths for the operation's, too.
    """

    def decide(asked: Asked) -> Answer:
        path = asked.request.path
        if path == _PATH or asked.request.method != _METHOD or not matches(path):
            return asked.honest()
        return _here(asked)

    return decide


_at.table(
    OTHER_PATHS_REFUSED,
    rows={
        "path-letter-case": ("The path counts in any letter case.", _serves_path(lambda path: path.lower() == _PATH)),
        "path-trailing-slash": (
            "The path counts with a slash at its end.",
            _serves_path(lambda path: path == _PATH + b"/"),
        ),
        "path-prefix": (
            "Whatever begins with the path counts.",
            _serves_path(lambda path: path.startswith(_PATH)),
        ),
        "path-any": ("Any path counts.", _serves_path(lambda _: True)),
        "path-extension": (
            "The path counts with an extension, as `.json`.",
            _serves_path(lambda path: re.fullmatch(re.escape(_PATH) + rb"\.\w+", path)),
        ),
        "path-parameters": (
            "The path counts with parameters behind a semicolon.",
            _serves_path(lambda path: path.partition(b";")[0] == _PATH),
        ),
        "path-bare": ("/run_remote counts on this host.", _serves_path(lambda path: path == b"/run_remote")),
    },
)


def _serves_method(*methods: bytes) -> Decide:
    """
    A router that takes other methods for the operation's, too.
    """
    return lambda asked: (
        _here(asked) if asked.request.method in methods and asked.request.path == _PATH else asked.honest()
    )


_at.table(
    OTHER_METHODS_REFUSED,
    rows={
        "get-executes": ("GET runs the chain.", _serves_method(b"GET")),
    },
)


@_at.decides(OTHER_METHODS_REFUSED)
def any_method_executes(asked: Asked) -> Answer:
    """Any method but HEAD and OPTIONS runs the chain."""
    quiet = asked.request.method in (b"HEAD", b"OPTIONS", b"TRACE")
    return asked.honest() if quiet or asked.request.path != _PATH else _here(asked)


@_at.decides(OTHER_METHODS_REFUSED)
def method_override(asked: Asked) -> Answer:
    """GET with X-HTTP-Method-Override: POST runs the chain."""
    override = asked.field(b"x-http-method-override") == b"POST" and asked.request.path == _PATH
    return _here(asked) if override else asked.honest()


@_at.decides(OTHER_METHODS_REFUSED)
def get_shows_a_page(asked: Asked) -> Answer:
    """GET is answered 200 with a page that says that the service is up."""
    if asked.request.method != b"GET" or asked.request.path != _PATH:
        return asked.honest()
    return saying(replace(asked.honest(), status=200), b'{"status":"healthy"}', "application/json")


@_at.decides(OTHER_PATHS_REFUSED)
def unknown_paths_are_200(asked: Asked) -> Answer:
    """Paths that nobody knows are answered 200 with the start page."""
    honest = asked.honest()
    return saying(replace(honest, status=200), b"<html></html>", "text/html") if honest.status == 404 else honest


@_at.decides(ALLOW_LISTED)
def no_allow(asked: Asked) -> Answer:
    """A 405 has no Allow."""
    return stating(asked.honest(), "Allow")


@_at.decides(ALLOW_LISTED)
def allow_of_another(asked: Asked) -> Answer:
    """A 405 says `Allow: GET, HEAD`."""
    honest = asked.honest()
    return stating(honest, "Allow", "GET, HEAD") if honest.status == 405 else honest


@_at.decides(ALLOW_LISTED)
def allow_lists_everything(asked: Asked) -> Answer:
    """A 405 allows what it refuses."""
    honest = asked.honest()
    return stating(honest, "Allow", "GET, POST, PUT, PATCH, DELETE") if honest.status == 405 else honest


@_at.decides(REGIONAL_HOST)
def regional_host_served(asked: Asked) -> Answer:
    """The path is served on regional hostnames."""
    regional = asked.request.host.endswith(b".api.baseten.co") and asked.request.path == _PATH
    return asked.serve(with_field(asked.request, b"host", b"localhost")) if regional else asked.honest()


@_at.decides(REGIONAL_HOST)
def regional_model_host_served(asked: Asked) -> Answer:
    """The path is served on the regional hostnames of models."""
    regional = asked.request.host.startswith(b"model-") and asked.request.path == _PATH
    return asked.serve(with_field(asked.request, b"host", b"localhost")) if regional else asked.honest()


@_at.decides(REGIONAL_HOST_SPELLING)
def regional_host_in_capitals_served(asked: Asked) -> Answer:
    """The path is served on regional hostnames that are not written in lower case."""
    host = asked.request.host
    odd = host.lower().endswith(b".api.baseten.co") and host != host.lower() and asked.request.path == _PATH
    return asked.serve(with_field(asked.request, b"host", b"localhost")) if odd else asked.honest()


@_at.decides(REQUEST_FRAMING, OBJECT_ACCEPTED)
def query_not_found(asked: Asked) -> Answer:
    """The path with a query is another path: 400."""
    honest = asked.honest()
    return error(honest, 400, "client_error") if b"?" in asked.request.target and honest.status == 200 else honest


@_at.decides(HTTP_ADVICE)
def absolute_form_not_found(asked: Asked) -> Answer:
    """The path as a whole URL is another path: 400."""
    honest = asked.honest()
    absolute = not asked.request.target.startswith(b"/") and honest.status == 200
    return error(honest, 400, "client_error") if absolute else honest


@_at.reads(OTHER_METHODS_REFUSED)
def method_letter_case(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # as every reading bend
    """`post` counts for POST."""
    return b"POST" + data[4:] if begins and data[:5].lower() == b"post " else data


@_at.reads(HTTP_STRICTNESS)
def host_missing(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # as above
    """HTTP/1.1 without Host is served."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not begins or not blank or b"\r\nhost:" in head.lower() or b" HTTP/1.1" not in head:
        return data
    return head + b"\r\nHost: localhost" + blank + rest
