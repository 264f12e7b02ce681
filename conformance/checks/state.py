"""No request affects another one: answers are not mixed up, no data is left over, bad requests have no lasting effect."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import orjson

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.header_fields import HeaderField

from ..inputs.chain_inputs import padded
from ..judging.expectation import Expectation
from ..judging.judge import BUSY_STATUSES
from ..options import Permission
from ..probing.check_context import NEEDS_ECHO
from ..probing.concurrency import run_in_threads
from ..probing.raw_requests import raw_request, send_reference_request
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.request import JSON_TYPE, CheckRequest, chunked
from . import check_for

_BURST_SIZE = 12
_ROUNDS = 6
_CLOSE_NOTICE_TIME: Seconds = 0.02
"""Time that a target may take to notice a closed connection."""
_REJECTIONS_IN_A_ROW = 8
"""Rejected requests in a row that must not lock a client out."""


# ------------------------------------------------------------------ mixed-up answers


@check_for(clauses.ANSWER_MATCHES_REQUEST, clauses.ECHO_EXACT)
def similar_requests_get_their_own_answers(requester: Requester) -> None:
    """
    Bodies of equal length, beginning or end, with equal queries and header fields: a cache with any of these as its
    key would mix up answers.
    """
    _require_echo(requester)
    for name, body in _similar_bodies(requester):
        request = requester.build_request(body, label=f"similar bodies: {name}")
        requester.send(request)
        requester.send(replace(request, path=f"{request.path}?version=1"))
        requester.send(replace(request, fields=request.fields + _EQUAL_FIELDS))


_EQUAL_FIELDS: tuple[HeaderField, ...] = (
    *((name, "chainproof") for name in ("X-Request-Id", "X-Correlation-Id", "Request-Id", "X-Session-Id")),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793"),
    ("If-None-Match", '"chainproof"'),
    ("Cache-Control", "max-age=3600"),
)
"""Fields that are equal in different requests. None of them says that the requests are the same, as an idempotency key does."""


def _similar_bodies(requester: Requester) -> Iterable[tuple[str, bytes]]:
    """Pairs of almost equal bodies, each followed by the first one again."""
    rng = requester.rng("alike")
    for size in (0, 200, 5000):
        for name, form in (
            ("the same beginning", '{"padding":"%(padding)s","token":"%(token)s"}'),
            ("the same end", '{"token":"%(token)s","padding":"%(padding)s"}'),
            ("the same beginning and end", '{"padding":"%(padding)s","token":"%(token)s","more":"%(padding)s"}'),
        ):
            for _ in range(3):
                substitutions = {"padding": "x" * size, "token": f"{rng.getrandbits(64):016x}"}
                yield name, (form % substitutions).encode()
    for name, values in _SIMILAR_VALUES.items():
        for value in (*values, values[0]):
            yield name, b'{"value":%b}' % value


_SIMILAR_VALUES: dict[str, tuple[bytes, ...]] = {
    "equal except for letter case": (b'"chainproof"', b'"Chainproof"', b'"CHAINPROOF"'),
    "equal except for whitespace": (b'"a b"', b'"a  b"', b'" a b"', b'"a\\tb"'),
    "values that compare equal": (b"1", b"true", b'"1"', b"[1]", b"[true]"),
    "values that are false in a condition": (b"0", b"false", b"null", b'""', b"[]", b"{}", b'"0"'),
    "values with the same text": (b'"null"', b"null", b'"true"', b"true", b'"[]"', b"[]"),
}
"""Values that a careless comparison treats as equal."""


@check_for(clauses.ANSWER_MATCHES_REQUEST)
def slow_and_fast_requests_get_their_own_answers(requester: Requester) -> None:
    """Long and short bodies at the same time over many connections, several of each, some with compressed answers."""
    _require_echo(requester)
    for number in range(requester.share(_ROUNDS, first=1)):
        requests = [
            requester.build_request(
                requester.unique_input(f"mixed {number} {size} {which}", size),
                fields=(JSON_TYPE, ("Accept-Encoding", "gzip")) if which % 2 else (JSON_TYPE,),
                label="concurrent long and short bodies",
            )
            for which in range(4)
            for size in (0, 700, 6_000, 200_000 if which == 0 else 50)
        ]
        run_in_threads(requester.send, requests, threads=_BURST_SIZE)


@check_for(clauses.ANSWER_MATCHES_REQUEST, clauses.ECHO_EXACT)
def no_data_leaks_from_one_request_into_later_ones(requester: Requester) -> None:
    """
    After an object with many members, a smaller one comes back without any of them, on the same connection and on
    another.
    """
    _require_echo(requester)
    rng = requester.rng("behind")
    for number in range(4):
        members = {f"member{each}": f"{rng.getrandbits(64):016x}" for each in range(40)}
        small = {"token": f"{rng.getrandbits(64):016x}"}
        bodies = (orjson.dumps(members), orjson.dumps(small), b"{}", orjson.dumps({"member1": number}))
        for body in bodies:
            requester.send(requester.build_request(body, label="a small object after a large one"))
        with requester.raw_connection() as connection:
            for body in bodies:
                request = requester.prepare(
                    requester.build_request(body, label="a small object after a large one, on the same connection")
                )
                received = connection.exchange(request)
                requester.record(request, received, None)
                if connection.is_closed or received.closes_connection or received.answer is None:
                    break


def _require_echo(requester: Requester) -> None:
    """Skip the check if the chain does not return its input."""
    if not requester.settings.echo:
        raise CheckSkipped(NEEDS_ECHO)


# ------------------------------------------------------------------ lasting effects


@check_for(clauses.REQUEST_ISOLATION)
def bad_requests_do_not_affect_later_ones(requester: Requester) -> None:
    """After each disturbance a valid request gets the same answer as before, at once and a moment later."""
    before = send_reference_request(requester)
    expected = before.same_status(clauses.REQUEST_ISOLATION)
    if expected is None:
        raise CheckSkipped("needs a target that answers equal requests with the same status")
    expected = replace(expected, expected=f"status {before.status}, as before")
    attempts = requester.share(2, first=1)
    for label, disturb in _disturbances(requester) if attempts else ():
        disturb(requester)
        for number in range(attempts):
            body = requester.unique_input(f"{label} {number}")
            _check_same_status(
                requester, requester.build_request(body, label=f"a plain request after {label}"), expected
            )


def _check_same_status(requester: Requester, request: CheckRequest, expected: Expectation) -> None:
    """
    Send the request and compare its status with the one before. Other clauses are not checked: an error that was
    there before is not caused by the disturbance.
    """
    for _ in range(3):
        received = requester.send_once(request)
        if received.answer is None or received.answer.status not in BUSY_STATUSES:
            break
    answer = received.answer
    if answer is not None and (expected.is_met_by(answer) or answer.status in BUSY_STATUSES):
        requester.record(request, received, None)
        requester.record_clause(clauses.REQUEST_ISOLATION, request, answer)
        return
    requester.record_clause(
        clauses.REQUEST_ISOLATION, request, answer, expected=expected.expected, actual=received.in_words
    )


Disturbance = Callable[[Requester], None]


def _disturbances(requester: Requester) -> Iterable[tuple[str, Disturbance]]:
    """Requests that a server may mishandle, each sent without judging its answer, which other checks do."""
    build = requester.build_request
    without_key = (JSON_TYPE,)

    def embedded(text: bytes) -> bytes:
        return requester.inputs.embed(text) or padded(requester.inputs.base, len(text))

    yield "a malformed body", _sending(build(b'{"a":'))
    yield "an array", _sending(build(b"[1,2,3]"))
    yield "invalid UTF-8", _sending(build(b'{"a":"\xff"}'))
    yield "no body", _sending(build(None, fields=()))
    yield "another media type", _sending(build(fields=(("Content-Type", "text/plain"),)))
    yield "an unauthenticated request", _sending(replace(build(), fields=without_key))
    yield (
        f"{_REJECTIONS_IN_A_ROW} unauthenticated requests",
        _sending(*([replace(build(), fields=without_key)] * _REJECTIONS_IN_A_ROW)),
    )
    yield f"{_REJECTIONS_IN_A_ROW} malformed bodies", _sending(*([build(b"{")] * _REJECTIONS_IN_A_ROW))
    yield "another method", _sending(build(None, method="GET", fields=()), build(method="DELETE"))
    yield "another path", _sending(build(path=f"{requester.target.path}/x"))
    yield (
        "deep nesting",
        _sending(build(b"[" * 20_000 + b"]" * 20_000), build(embedded(b'{"a":' * 20_000 + b"1" + b"}" * 20_000))),
    )
    yield "a long number", _sending(build(embedded(b'{"a":' + b"9" * 20_000 + b"}")))
    yield "a long body", _sending(build(embedded(b'{"a":"' + b"x" * 2_000_000 + b'"}')))
    if requester.settings.steerable:
        for code in ("application_error", "timeout"):
            yield f"`{code}` on demand", _sending(build(fields=(JSON_TYPE, ("X-Emulate", code))))
    yield "a connection closed before the body", _interrupting(0)
    yield "a connection closed in the middle of the body", _interrupting(20)
    yield "a connection closed before the answer", _interrupting(10_000)
    if requester.is_permitted(Permission.SMUGGLING):
        yield "bytes that are not HTTP", _send_non_http
        yield "contradictory framing", _send_contradictory_framing


def _sending(*requests: CheckRequest) -> Disturbance:
    """A disturbance that sends requests one after another."""

    def disturb(requester: Requester) -> None:
        for request in requests:
            requester.send_once(request)

    return disturb


def _interrupting(length: int) -> Disturbance:
    """A disturbance that sends *length* bytes of a body and then breaks the connection."""

    def disturb(requester: Requester) -> None:
        body = requester.unique_input(f"cut {length}")
        request = raw_request(
            requester, body, f"Content-Length: {len(body)}", sent=body[:length], label="an interrupted request"
        )
        for end in ("reset", "close"):
            with requester.raw_connection() as connection:
                connection.send_request(request)
                if end == "reset":
                    connection.reset()
            time.sleep(_CLOSE_NOTICE_TIME)

    return disturb


def _send_non_http(requester: Requester) -> None:
    """Send bytes that are not HTTP."""
    for raw in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), b"GARBAGE\r\n\r\n", b"\0" * 100):
        with requester.raw_connection() as connection:
            request = replace(requester.build_request(label="bytes that are not HTTP"), raw=raw)
            connection.exchange(request, within=0.2)


def _send_contradictory_framing(requester: Requester) -> None:
    """Send a body with both a Content-Length and chunked framing."""
    lines = ("Content-Length: 4", "Transfer-Encoding: chunked")
    body = requester.unique_input("two things")
    sent = chunked(body, len(body))
    with requester.raw_connection() as connection:
        request = raw_request(requester, body, *lines, sent=sent, label="Content-Length and chunked")
        connection.exchange(request, within=0.2)
