"""
What stays behind when a request is done: nothing that another one could notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.violations import Violation

from ..judging.expectation import Expectation
from ..judging.judge import BUSY_STATUSES
from ..options import Permission
from ..probing.raw_requests import raw_request, send_reference_request, unique_body
from ..probing.requester import Requester
from ..transport.not_asked import NotAsked
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

_AT_ONCE = 12
_ROUNDS = 6
_NOTICED: Seconds = 0.02
"""How long a target may take to notice that a connection has ended."""
_OFTEN = 8
"""Refusals in a row after which nobody is locked out."""


# ------------------------------------------------------------------ whose answer it is


@check_for(clauses.ANSWER_MATCHES_REQUEST, clauses.ECHO_EXACT)
def similar_requests_get_their_own_answers(requester: Requester) -> None:
    """
    Bodies of the same length, with the same beginning or the same end, under the same query and the same header fields: a
    cache that went by any of these would give one the answer of another.
    """
    _echoing(requester)
    for name, body in _alike(requester):
        request = requester.build_request(body, label=f"bodies that are nearly alike, {name}")
        requester.send(request)
        requester.send(replace(request, path=f"{request.path}?version=1"))
        fields = (("X-Request-Id", "chainproof"), ("If-None-Match", '"chainproof"'), ("Cache-Control", "max-age=3600"))
        requester.send(replace(request, fields=request.fields + fields))


def _alike(requester: Requester) -> Iterable[tuple[str, bytes]]:
    """
    Bodies that are nearly the same, two of each kind and the first again.
    """
    rng = requester.rng("alike")
    for size in (0, 200, 5000):
        for name, form in (
            ("the same beginning", '{"padding":"%(padding)s","token":"%(token)s"}'),
            ("the same end", '{"token":"%(token)s","padding":"%(padding)s"}'),
            ("the same beginning and end", '{"padding":"%(padding)s","token":"%(token)s","more":"%(padding)s"}'),
        ):
            for _ in range(3):
                words = {"padding": "x" * size, "token": f"{rng.getrandbits(64):016x}"}
                yield name, (form % words).encode()
    for name, values in _NEARLY.items():
        for value in (*values, values[0]):
            yield name, b'{"value":%b}' % value


_NEARLY: dict[str, tuple[bytes, ...]] = {
    "the same but for letter case": (b'"chainproof"', b'"Chainproof"', b'"CHAINPROOF"'),
    "the same but for blanks": (b'"a b"', b'"a  b"', b'" a b"', b'"a\\tb"'),
    "values that compare equal": (b"1", b"true", b'"1"', b"[1]", b"[true]"),
    "values that count as false": (b"0", b"false", b"null", b'""', b"[]", b"{}", b'"0"'),
    "values that are written alike": (b'"null"', b"null", b'"true"', b"true", b'"[]"', b"[]"),
}
"""Values that whoever compares carelessly takes for one."""


@check_for(clauses.ANSWER_MATCHES_REQUEST)
def slow_and_fast_requests_get_their_own_answers(requester: Requester) -> None:
    """
    Long and short bodies at the same time, over many connections, each of them more than once.
    """
    _echoing(requester)
    for number in range(_ROUNDS):
        requests = [
            requester.build_request(
                unique_body(requester, f"mixed {number} {size} {which}", size),
                label="long and short bodies at once",
            )
            for which in range(4)
            for size in (0, 700, 6_000, 200_000 if which == 0 else 50)
        ]
        _at_once(requester, requests)


@check_for(clauses.ANSWER_MATCHES_REQUEST, clauses.ECHO_EXACT)
def no_data_leaks_from_one_request_into_later_ones(requester: Requester) -> None:
    """
    A small object behind a large one, an empty one behind many members: what comes back is of the last one alone, on the
    same connection and on another.
    """
    _echoing(requester)
    rng = requester.rng("behind")
    for number in range(4):
        members = {f"member{each}": f"{rng.getrandbits(64):016x}" for each in range(40)}
        small = {"token": f"{rng.getrandbits(64):016x}"}
        bodies = (orjson.dumps(members), orjson.dumps(small), b"{}", orjson.dumps({"member1": number}))
        for body in bodies:
            requester.send(requester.build_request(body, label="a small object behind a large one"))
        with requester.raw_connection() as talk:
            for body in bodies:
                request = requester.prepare(
                    requester.build_request(body, label="a small object behind a large one, on its connection")
                )
                talk.send_request(request)
                received = talk.read_answer(request)
                requester.record(request, received, None)
                if talk.is_closed or received.closes_connection or received.answer is None:
                    break


def _echoing(requester: Requester) -> None:
    """
    Skip the check under way where the chain does not return what it is sent.
    """
    if not requester.settings.echo:
        raise NotAsked("needs --echo: a chain that returns its input")


# ------------------------------------------------------------------ the same as before


@check_for(clauses.REQUEST_ISOLATION)
def bad_requests_do_not_affect_later_ones(requester: Requester) -> None:
    """
    A plain request is answered after each kind of trouble as it was before, at once and a moment later.
    """
    before = send_reference_request(requester)
    expected = before.same_status(clauses.REQUEST_ISOLATION)
    if expected is None:
        raise NotAsked("needs a target that answers a valid request with the same status twice")
    expected = replace(expected, expected=f"status {before.status}, as before")
    for label, trouble in _troubles(requester):
        trouble(requester)
        for number in range(2):
            body = unique_body(requester, f"{label} {number}")
            _again(requester, requester.build_request(body, label=f"a plain request after {label}"), expected)


def _again(requester: Requester, request: CheckRequest, expected: Expectation) -> None:
    """
    Ask, and hold the answer against the one before, by no other clause: what it was refused for is not wrong with it.
    """
    for _ in range(3):
        received = requester.send_once(request)
        if received.answer is None or received.answer.status not in BUSY_STATUSES:
            break
    answer = received.answer
    if answer is not None and (expected.is_met_by(answer) or answer.status in BUSY_STATUSES):
        requester.record(request, received, None)
        requester.record_clause(clauses.REQUEST_ISOLATION, None, request, answer)
        return
    actual = f"status {answer.status}" if answer is not None else received.reason or "no answer"
    violation = Violation(clause=clauses.REQUEST_ISOLATION, expected=expected.expected, actual=actual)
    requester.record_clause(clauses.REQUEST_ISOLATION, violation, request, answer)


Disturbance = Callable[[Requester], None]


def _troubles(requester: Requester) -> Iterable[tuple[str, Disturbance]]:
    """
    What a server may stumble over, each sent without a look at its answer: other checks have looked.
    """
    made = requester.build_request
    anyone = (JSON_TYPE,)
    yield "a malformed body", _sent(made(b'{"a":'))
    yield "an array", _sent(made(b"[1,2,3]"))
    yield "no UTF-8", _sent(made(b'{"a":"\xff"}'))
    yield "no body", _sent(made(None, fields=()))
    yield "another media type", _sent(made(fields=(("Content-Type", "text/plain"),)))
    yield "an unauthorised request", _sent(replace(made(), fields=anyone))
    yield f"{_OFTEN} unauthorised requests", _sent(*([replace(made(), fields=anyone)] * _OFTEN))
    yield f"{_OFTEN} malformed bodies", _sent(*([made(b"{")] * _OFTEN))
    yield "another method", _sent(made(None, method="GET", fields=()), made(method="DELETE"))
    yield "another path", _sent(made(path=f"{requester.target.path}/x"))
    yield "deep nesting", _sent(made(b"[" * 20_000 + b"]" * 20_000), made(b'{"a":' * 20_000 + b"1" + b"}" * 20_000))
    yield "a long number", _sent(made(b'{"a":' + b"9" * 20_000 + b"}"))
    yield "a long body", _sent(made(b'{"a":"' + b"x" * 2_000_000 + b'"}'))
    if requester.settings.steerable:
        for code in ("application_error", "timeout"):
            yield f"`{code}` on demand", _sent(made(fields=(JSON_TYPE, ("X-Emulate", code))))
    yield "a connection cut before the body", _cut(0)
    yield "a connection cut within the body", _cut(20)
    yield "a connection cut before the answer", _cut(10_000)
    if requester.is_permitted(Permission.SMUGGLING):
        yield "a malformed message", _garbage
        yield "a message that says two things", _two_things


def _sent(*requests: CheckRequest) -> Disturbance:
    """
    Requests, one after another.
    """

    def trouble(requester: Requester) -> None:
        for request in requests:
            requester.send_once(request)

    return trouble


def _cut(length: int) -> Disturbance:
    """
    A request of which so much of the body is sent, and then the connection is broken off.
    """

    def trouble(requester: Requester) -> None:
        body = unique_body(requester, f"cut {length}")
        request = raw_request(
            requester, body, f"Content-Length: {len(body)}", sent=body[:length], label="a cut request"
        )
        for end in ("reset", "close"):
            with requester.raw_connection() as talk:
                talk.send_request(request)
                if end == "reset":
                    talk.reset()
            time.sleep(_NOTICED)

    return trouble


def _garbage(requester: Requester) -> None:
    """
    Bytes that are no HTTP.
    """
    for raw in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), b"GARBAGE\r\n\r\n", b"\0" * 100):
        with requester.raw_connection() as talk:
            request = replace(requester.build_request(label="no HTTP"), raw=raw)
            talk.send_request(request)
            talk.read_answer(request, within=0.2)


def _two_things(requester: Requester) -> None:
    """
    A body by its length and by its chunks.
    """
    lines = ("Content-Length: 4", "Transfer-Encoding: chunked")
    body = unique_body(requester, "two things")
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with requester.raw_connection() as talk:
        request = raw_request(requester, body, *lines, sent=sent, label="a length and chunks")
        talk.send_request(request)
        talk.read_answer(request, within=0.2)


def _at_once(requester: Requester, requests: Iterable[CheckRequest]) -> None:
    """
    Ask all of them at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(requester.send, requests))
