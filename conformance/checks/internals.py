"""
What an answer must keep to itself.
"""

from __future__ import annotations

from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.header_fields import Field

from ..probing.requester import Examination
from . import upholds
from .credentials import asking

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


@upholds(clauses.NO_SECRET, clauses.NO_INTERNALS, clauses.ERROR_CODE_CAUSE)
def errors_keep_secrets_and_internals(examination: Examination) -> None:
    """
    Whatever goes wrong, the answer shows neither the caller's key nor the inside of the chain.
    """
    path = examination.target.path
    for body, label in _PROVOCATIONS:
        examination.ask(examination.request(body, label=label))
    examination.ask(examination.request(path="/chainproof-no-such-path", label="POST /chainproof-no-such-path"))
    examination.ask(examination.request(path=f"{path}/%00", label="POST of a path with a NUL"))
    examination.ask(examination.request(path=f"{path}/%ff", label="POST of a path that is not UTF-8"))
    examination.ask(examination.request(method="PUT", label="PUT with an object"))


_ODD: tuple[tuple[str, Field], ...] = (
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


@upholds(clauses.NO_INTERNALS, clauses.NO_SECRET, clauses.OBJECT_ACCEPTED)
def odd_fields_end_in_no_trace(examination: Examination) -> None:
    """
    Nor where header fields are not as anybody expects them.
    """
    for label, field in _ODD:
        request = examination.request(label=label)
        kept = tuple(each for each in request.fields if each[0] != field[0])
        request = replace(request, fields=(*kept, field))
        if field[0] == "Cookie":
            # Some servers parse cookies before anybody asks for them, and refuse what they cannot.
            examination.ask_oddly(request, clauses.OBJECT_ACCEPTED)
        else:
            examination.ask(request)
    request = examination.request(label="bytes beyond ASCII in a field")
    fields = (*request.fields, ("X-Chainproof", "\xc3\xa4\xff"))
    examination.ask(replace(request, fields=fields, message_valid=False))


@upholds(clauses.NO_SECRET)
def whoever_asks_does_not_hear_a_key(examination: Examination) -> None:
    """
    HEAD, OPTIONS and TRACE, another path and a preflight do not repeat the key: not a half of it, nor in another code.
    """
    for method in ("HEAD", "OPTIONS", "TRACE", "GET"):
        examination.ask(examination.request(None, method=method, fields=(), label=f"{method} without a body"))
    examination.ask(examination.request(path="/", label="POST /"))
    examination.ask(examination.request(path=f"{examination.target.path}?chainproof", label="a query"))
    preflight = (
        ("Origin", "https://example.com"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type"),
    )
    request = asking(examination, label="a preflight", body=None)
    examination.ask(replace(request, method="OPTIONS", fields=preflight))
