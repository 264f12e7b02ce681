"""Answers contain neither the caller's key nor internals of the chain, such as stack traces."""

from __future__ import annotations

from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.header_fields import HeaderField

from ..probing.requester import Requester
from ..transport.request import JSON_TYPE
from . import check_for
from .credentials import request_without_key

_PROVOCATIONS: tuple[tuple[bytes | None, str], ...] = (
    (b"{", "a truncated object"),
    (b"[]", "an empty array"),
    (b"null", "null"),
    (b"0", "a number"),
    (b'"x"', "a string"),
    (b"", "an empty body"),
    (None, "no body"),
    (b'{"\xff":1}', "an object with invalid UTF-8"),
    (b'{"__class__":{"__init__":null},"x":"\\ud800"}', "an object with a lone surrogate"),
    (b'{"__proto__":{"toString":null},"constructor":null}', "an object with JavaScript prototype names"),
    (b'{"x":"\\u0000"}', "an object with an escaped NUL"),
    (b'{"x":"\' or 1=1; --","y":"${7*7}{{7*7}}<%= 7 %>"}', "an object with SQL and template code"),
    (b'{"x":"../../../../../../nowhere","y":"file:///nowhere"}', "an object with file paths"),
    (b"<x/>", "XML"),
    (b"[" * 3000 + b"]" * 3000, "an array nested 3000 deep"),
    (b"\x00\x01\x02", "control characters"),
)
"""Bodies that often raise an unhandled exception, with their labels."""


@check_for(clauses.NO_CREDENTIAL_LEAK, clauses.NO_INTERNALS, clauses.ERROR_CODE_CAUSE)
def errors_do_not_expose_keys_or_internals(requester: Requester) -> None:
    """No error contains the caller's key or internals of the chain."""
    path = requester.target.path
    for body, label in _PROVOCATIONS:
        is_object = body is not None and body.startswith(b"{") and body.endswith(b"}")
        content = requester.inputs.embed(body) or body if is_object and body is not None else body
        requester.submit(requester.build_request(content, label=label))
    requester.submit(requester.build_request(path="/chainproof-no-such-path", label="POST /chainproof-no-such-path"))
    requester.submit(requester.build_request(path=f"{path}/%00", label="POST to a path with a NUL"))
    requester.submit(requester.build_request(path=f"{path}/%ff", label="POST to a path with invalid UTF-8"))
    requester.submit(requester.build_request(method="PUT", label="PUT with an object"))
    text = (("Content-Type", "text/plain"),)
    requester.submit(requester.build_request(fields=text, label="an object as text/plain"))


_MALFORMED_HEADERS: tuple[tuple[str, HeaderField], ...] = (
    ("an invalid Cookie", ("Cookie", '=;=;"')),
    ("an invalid traceparent", ("traceparent", "00-x-y-z")),
    ("an invalid X-Forwarded-For", ("X-Forwarded-For", "chainproof, ,,")),
    ("an invalid If-Modified-Since", ("If-Modified-Since", "chainproof")),
    ("an invalid Range", ("Range", "bytes=9-1")),
    ("Basic credentials that are not base64", ("Authorization", "Basic %%%")),
    ("Basic credentials with an encoded NUL", ("Authorization", "Basic AA==")),
    ("Basic credentials with encoded non-text bytes", ("Authorization", "Basic //79")),
)
"""Header fields that do not parse, with their labels."""

_REJECTABLE_HEADERS: tuple[HeaderField, ...] = (
    ("Accept", "application/json;q=x"),
    ("Accept-Encoding", "gzip;q=x"),
    ("Accept-Language", "chainproof;q=x"),
    ("Range", "chainproof"),
    ("Forwarded", "for="),
    ("X-Forwarded-Port", "chainproof"),
    ("Origin", "http://["),
    ("Date", "chainproof"),
    ("If-None-Match", "chainproof"),
    ("Priority", "u=x;;"),
    ("baggage", "chainproof"),
    ("X-B3-TraceId", "chainproof"),
    ("Request-Timeout-Ms", "chainproof"),
)
"""Header fields that do not parse. A target may ignore or reject them, but should not crash."""

_REJECTABLE_QUERIES = ("x=%zz", "x=%ff", "x=%00", "a[=b", "=&&=")
"""Queries that are not valid, or that some parsers cannot decode."""


@check_for(clauses.NO_INTERNALS, clauses.NO_CREDENTIAL_LEAK, clauses.OBJECT_ACCEPTED)
def malformed_headers_do_not_cause_stack_traces(requester: Requester) -> None:
    """Header fields that do not parse cause neither stack traces nor rejections."""
    for label, field in _MALFORMED_HEADERS:
        request = requester.build_request(label=label)
        other_fields = tuple(each for each in request.fields if each[0] != field[0])
        request = replace(request, fields=(*other_fields, field))
        if field[0] == "Cookie":
            # Some servers parse cookies eagerly, and reject invalid ones.
            requester.send_nonstandard(request, clauses.OBJECT_ACCEPTED)
        else:
            requester.submit(request)
    for name, value in _REJECTABLE_HEADERS:
        request = requester.build_request(fields=(JSON_TYPE, (name, value)), label=f"an invalid {name}")
        requester.send_nonstandard(request, clauses.OBJECT_ACCEPTED)
    for query in _REJECTABLE_QUERIES:
        request = requester.build_request(path=f"{requester.target.path}?{query}", label=f"the query ?{query}")
        requester.send_nonstandard(request, clauses.OBJECT_ACCEPTED)
    request = requester.build_request(label="non-ASCII bytes in a header field")
    fields = (*request.fields, ("X-Chainproof", "\xc3\xa4\xff"))
    requester.submit(replace(request, fields=fields, valid_message=False))


@check_for(clauses.NO_CREDENTIAL_LEAK, title="answers do not repeat the API key")
def answers_do_not_repeat_the_api_key(requester: Requester) -> None:
    """
    HEAD, OPTIONS, TRACE, another path, switches for debugging and a preflight do not repeat the key, not even in part or
    encoded.
    """
    for method in ("HEAD", "OPTIONS", "TRACE", "GET"):
        requester.submit(requester.build_request(None, method=method, fields=(), label=f"{method} without a body"))
    requester.submit(requester.build_request(path="/", label="POST /"))
    requester.submit(requester.build_request(path=f"{requester.target.path}?chainproof", label="a query"))
    for name in ("X-Debug", "X-Trace", "X-Verbose"):
        requester.submit(requester.build_request(fields=(JSON_TYPE, (name, "1")), label=f"a request with {name}: 1"))
    debug = "debug=1&trace=1&verbose=1"
    requester.submit(requester.build_request(path=f"{requester.target.path}?{debug}", label=f"the query ?{debug}"))
    preflight = (
        ("Origin", "https://example.com"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type"),
    )
    request = request_without_key(requester, label="a preflight", body=None)
    requester.submit(replace(request, method="OPTIONS", fields=preflight))
