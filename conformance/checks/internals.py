"""
What an answer must keep to itself.
"""

from __future__ import annotations

from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.header_fields import HeaderField

from ..probing.requester import Requester
from . import check_for
from .credentials import request_without_key

_PROVOCATIONS: tuple[tuple[bytes | None, str], ...] = (
    (b"{", "an object cut short"),
    (b"[]", "an empty array"),
    (b"null", "null"),
    (b"0", "a number"),
    (b'"x"', "a string"),
    (b"", "an empty body"),
    (None, "no body"),
    (b'{"\xff":1}', "an object with a byte that is not UTF-8"),
    (b'{"__class__":{"__init__":null},"x":"\\ud800"}', "an object with a lone surrogate"),
    (b'{"__proto__":{"toString":null},"constructor":null}', "an object with the names of prototypes"),
    (b'{"x":"\\u0000"}', "an object with an escaped NUL"),
    (b'{"x":"\' or 1=1; --","y":"${7*7}{{7*7}}<%= 7 %>"}', "an object with another language in it"),
    (b'{"x":"../../../../../../nowhere","y":"file:///nowhere"}', "an object with a path in it"),
    (b"<x/>", "XML"),
    (b"[" * 3000 + b"]" * 3000, "an array nested 3000 deep"),
    (b"\x00\x01\x02", "control characters"),
)
"""Bodies that end in an exception where nobody thought of them, with what they are."""


@check_for(clauses.NO_CREDENTIAL_LEAK, clauses.NO_INTERNALS, clauses.ERROR_CODE_CAUSE)
def errors_do_not_expose_keys_or_internals(requester: Requester) -> None:
    """
    Whatever goes wrong, the answer shows neither the caller's key nor the inside of the chain.
    """
    path = requester.target.path
    for body, label in _PROVOCATIONS:
        requester.send(requester.build_request(body, label=label))
    requester.send(requester.build_request(path="/chainproof-no-such-path", label="POST /chainproof-no-such-path"))
    requester.send(requester.build_request(path=f"{path}/%00", label="POST of a path with a NUL"))
    requester.send(requester.build_request(path=f"{path}/%ff", label="POST of a path that is not UTF-8"))
    requester.send(requester.build_request(method="PUT", label="PUT with an object"))


_ODD: tuple[tuple[str, HeaderField], ...] = (
    ("a Cookie that is none", ("Cookie", '=;=;"')),
    ("a traceparent that is none", ("traceparent", "00-x-y-z")),
    ("an X-Forwarded-For that is none", ("X-Forwarded-For", "chainproof, ,,")),
    ("a date that is none", ("If-Modified-Since", "chainproof")),
    ("a Range that is none", ("Range", "bytes=9-1")),
    ("a credential that is no base64", ("Authorization", "Basic %%%")),
    ("a credential that is base64 of a NUL", ("Authorization", "Basic AA==")),
    ("a credential that is base64 of no text", ("Authorization", "Basic //79")),
)
"""Fields that are not as whoever parses them expects, with what they are."""


@check_for(clauses.NO_INTERNALS, clauses.NO_CREDENTIAL_LEAK, clauses.OBJECT_ACCEPTED)
def malformed_headers_do_not_cause_stack_traces(requester: Requester) -> None:
    """
    Nor where header fields are not as anybody expects them.
    """
    for label, field in _ODD:
        request = requester.build_request(label=label)
        kept = tuple(each for each in request.fields if each[0] != field[0])
        request = replace(request, fields=(*kept, field))
        if field[0] == "Cookie":
            # Some servers parse cookies before anybody asks for them, and refuse what they cannot.
            requester.send_nonstandard(request, clauses.OBJECT_ACCEPTED)
        else:
            requester.send(request)
    request = requester.build_request(label="bytes beyond ASCII in a field")
    fields = (*request.fields, ("X-Chainproof", "\xc3\xa4\xff"))
    requester.send(replace(request, fields=fields, valid_message=False))


@check_for(clauses.NO_CREDENTIAL_LEAK)
def answers_do_not_repeat_the_api_key(requester: Requester) -> None:
    """
    HEAD, OPTIONS and TRACE, another path and a preflight do not repeat the key: not a half of it, nor in another code.
    """
    for method in ("HEAD", "OPTIONS", "TRACE", "GET"):
        requester.send(requester.build_request(None, method=method, fields=(), label=f"{method} without a body"))
    requester.send(requester.build_request(path="/", label="POST /"))
    requester.send(requester.build_request(path=f"{requester.target.path}?chainproof", label="a query"))
    preflight = (
        ("Origin", "https://example.com"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type"),
    )
    request = request_without_key(requester, label="a preflight", body=None)
    requester.send(replace(request, method="OPTIONS", fields=preflight))
