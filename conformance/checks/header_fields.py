"""Every kind of answer is valid by itself, its header fields included, and requests may have many header fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.errors import ErrorCode

from ..inputs.chain_inputs import with_member
from ..judging.auth_bypass_cause import WRONG_KEY
from ..judging.exercised_clauses import EVERY_ANSWER_CLAUSES
from ..judging.expectation import STEERING_HEADER, expectation
from ..judging.judge import BUSY_STATUSES
from ..probing.raw_requests import exchange_raw, raw_request, send_reference_request
from ..probing.requester import Requester
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for
from .framing import requests_of_every_kind

_MANY_FIELDS = 90
"""Fields that a request may have. Common servers accept 100."""

_LINE_BYTES = (2500, 8000)
"""Lengths of request lines. Some servers and firewalls limit the query to 2,048 bytes."""

_REJECTED_AS_TOO_LARGE = frozenset({400, 413, 414, 431})
"""Statuses by which a server rejects a head that is larger than it wishes to process (RFC 9110 §5.4, RFC 6585 §5)."""


@check_for(*EVERY_ANSWER_CLAUSES)
def every_kind_of_answer_is_valid(requester: Requester) -> None:
    """
    Outputs and errors of every kind: status, media type, JSON, members of errors, request id, and the grammar of Date,
    Content-Type, Cache-Control and other standard header fields.
    """
    for request in (*requests_of_every_kind(requester), *_further_requests(requester)):
        requester.send(request)
    output = requester.unique_input("in another version")
    for version, line, body, with_key in (
        ("HTTP/1.0", "Connection: close", output, True),
        ("HTTP/1.0", "Connection: close", b"[]", True),
        ("HTTP/1.0", "Connection: close", output, False),
        ("HTTP/1.0", "Connection: keep-alive", output, True),
        ("HTTP/1.1", "Expect: 100-continue", output, True),
    ):
        lines, label = (line, f"Content-Length: {len(body)}"), f"{version} with {line}"
        request = raw_request(requester, body, *lines, sent=body, label=label, version=version, with_key=with_key)
        is_old = version == "HTTP/1.0"
        received, _, _ = exchange_raw(requester, request, within=requester.settings.deadline, http_1_0=is_old)
        if received.answer is not None:
            requester.record(request, received, None)
    _send_without_accept(requester)


def _send_without_accept(requester: Requester) -> None:
    """Send a request without Accept, which every other request has. It means that any media type is accepted."""
    prepared = requester.prepare(requester.build_request(label="a request without Accept"))
    request = replace(prepared, fields=tuple(each for each in prepared.fields if each[0].lower() != "accept"))
    with requester.raw_connection() as connection:
        requester.record(request, connection.exchange(request), expectation(request, requester.terms))


_ALL_TYPES = '{"a":[true,false,null,-1.5e3,1e999,"\\u0001\\ud83d\\ude00\\"\\\\\\n","日本"],"b":{"":{}}}'.encode()
"""An object with every type of value, and text that an encoder may get wrong."""

_CODE = b'"x":"<script>alert(1)</script> \' OR 1=1 --"'
"""A member that a firewall may take for an attack."""


def _further_requests(requester: Requester) -> Iterable[CheckRequest]:
    """Requests for outputs with other values, for compressed answers, and for each error."""
    build, gzip = requester.build_request, ("Accept-Encoding", "gzip")
    yield build(requester.inputs.rich, label="an input with many arguments")
    yield build(b"{}", label="an object without arguments")
    if requester.inputs.any_object:
        yield build(_ALL_TYPES, label="an object with every type of value")
        yield build('{"a":true,"b":null,"c":"\\u0001é"}'.encode(), label="an object with characters of Latin-1")
    for size in (0, 3000):
        body = requester.unique_input(f"compressed {size}", size)
        yield build(body, fields=(JSON_TYPE, gzip), label="a request with Accept-Encoding: gzip")
    yield build(chunked=True, label="a chunked body")
    yield build(with_member(requester.inputs.base, _CODE), label="a member with SQL and HTML")
    yield build(b"[]", fields=(JSON_TYPE, gzip), label="an array with Accept-Encoding: gzip")
    yield replace(build(label="no Authorization, with Accept-Encoding: gzip"), fields=(JSON_TYPE, gzip))
    yield build(authorization=f"{requester.key.scheme.prefix} {WRONG_KEY}", label="a wrong key")
    yield build(authorization="Basic %%%", label="Basic credentials that are not base64")
    yield build(None, method="TRACE", fields=(), label="TRACE")
    if requester.settings.steerable:
        for code in ErrorCode:
            yield build(fields=(JSON_TYPE, (STEERING_HEADER, code.value)), label=f"`{code.value}` on demand")


# ------------------------------------------------------------------ many fields


@check_for(clauses.FIELD_COUNT, clauses.REQUEST_LINE_LENGTH, clauses.REQUEST_FRAMING)
def many_header_fields_are_accepted(requester: Requester) -> None:
    """
    A request with 90 small header fields is answered like one with few, wherever the key stands among them, and so is one
    with a long query. To reject it as too large is only a warning; to ignore some fields, or to fail, is not.
    """
    reference = send_reference_request(requester)
    if reference.status is None:
        return
    requests = [(clauses.FIELD_COUNT, request) for request in _requests_with_many_fields(requester)]
    requests += [(clauses.REQUEST_LINE_LENGTH, request) for request in _requests_with_long_lines(requester)]
    for size_clause, request in requests:
        received = requester.send_once(request)
        answer = received.answer
        if answer is None or answer.status == reference.status:
            requester.record(request, received, None)
        if answer is None or answer.status == reference.status:
            requester.record_clause(size_clause, request, answer)
        elif answer.status not in BUSY_STATUSES:
            clause = size_clause if answer.status in _REJECTED_AS_TOO_LARGE else clauses.REQUEST_FRAMING
            requester.record_clause(
                clause,
                request,
                answer,
                expected=f"status {reference.status}, as for a request with few header fields",
                actual=f"status {answer.status} to {request.label}",
            )


def _requests_with_many_fields(requester: Requester) -> Iterable[CheckRequest]:
    """Requests with many header fields: different ones after the others, before them, and one field many times."""
    plain = requester.prepare(requester.build_request())
    count = _MANY_FIELDS - len(plain.fields) - 2  # Host and Content-Length are added when it is sent
    different = tuple((f"X-Chainproof-{number}", f"{number}") for number in range(count))
    label = f"a request with {_MANY_FIELDS} header fields"
    yield replace(plain, fields=(*plain.fields, *different), label=label)
    yield replace(plain, fields=(*different, *plain.fields), label=f"{label}, the key last")
    yield replace(plain, fields=((("X-Chainproof", "1"),) * count + plain.fields), label=f"{label}, most of them equal")


def _requests_with_long_lines(requester: Requester) -> Iterable[CheckRequest]:
    """Requests with long queries."""
    for length in _LINE_BYTES:
        path = f"{requester.target.path}?x="
        path += "x" * (length - len(f"POST {path} HTTP/1.1"))
        yield requester.prepare(
            requester.build_request(path=path, label=f"a request with a request line of {length} bytes")
        )
