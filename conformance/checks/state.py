"""
What stays behind when a request is done: nothing that another one could notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson
import pytest

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.violations import Departure

from ..judging.expectation import Expectation
from ..options import Intrusion
from ..probing.raw_requests import body_of_its_own, framed, plainly
from ..probing.requester import BUSY, Examination
from ..transport.request import JSON_TYPE, Request
from . import upholds

_AT_ONCE = 12
_ROUNDS = 6
_NOTICED: Seconds = 0.02
"""How long a target may take to notice that a connection has ended."""
_OFTEN = 8
"""Refusals in a row after which nobody is locked out."""


# ------------------------------------------------------------------ whose answer it is


@upholds(clauses.ANSWER_BELONGS, clauses.ECHO_EXACT)
def equally_long_bodies_are_told_apart(examination: Examination) -> None:
    """
    Bodies of the same length, with the same beginning or the same end, under the same query and the same header fields: a
    cache that went by any of these would give one the answer of another.
    """
    _echoing(examination)
    for name, body in _alike(examination):
        request = examination.request(body, label=f"bodies that are nearly alike, {name}")
        examination.ask(request)
        examination.ask(replace(request, path=f"{request.path}?version=1"))
        fields = (("X-Request-Id", "chainproof"), ("If-None-Match", '"chainproof"'), ("Cache-Control", "max-age=3600"))
        examination.ask(replace(request, fields=request.fields + fields))


def _alike(examination: Examination) -> Iterable[tuple[str, bytes]]:
    """
    Bodies that are nearly the same, two of each kind and the first again.
    """
    chance = examination.chance("alike")
    for size in (0, 200, 5000):
        for name, form in (
            ("the same beginning", '{"padding":"%(padding)s","token":"%(token)s"}'),
            ("the same end", '{"token":"%(token)s","padding":"%(padding)s"}'),
            ("the same beginning and end", '{"padding":"%(padding)s","token":"%(token)s","more":"%(padding)s"}'),
        ):
            for _ in range(3):
                words = {"padding": "x" * size, "token": f"{chance.getrandbits(64):016x}"}
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


@upholds(clauses.ANSWER_BELONGS)
def slow_and_fast_requests_are_told_apart(examination: Examination) -> None:
    """
    Long and short bodies at the same time, over many connections, each of them more than once.
    """
    _echoing(examination)
    for number in range(_ROUNDS):
        requests = [
            examination.request(
                body_of_its_own(examination, f"mixed {number} {size} {which}", size),
                label="long and short bodies at once",
            )
            for which in range(4)
            for size in (0, 700, 6_000, 200_000 if which == 0 else 50)
        ]
        _at_once(examination, requests)


@upholds(clauses.ANSWER_BELONGS, clauses.ECHO_EXACT)
def nothing_of_a_request_stays_behind(examination: Examination) -> None:
    """
    A small object behind a large one, an empty one behind many members: what comes back is of the last one alone, on the
    same connection and on another.
    """
    _echoing(examination)
    chance = examination.chance("behind")
    for number in range(4):
        members = {f"member{each}": f"{chance.getrandbits(64):016x}" for each in range(40)}
        small = {"token": f"{chance.getrandbits(64):016x}"}
        bodies = (orjson.dumps(members), orjson.dumps(small), b"{}", orjson.dumps({"member1": number}))
        for body in bodies:
            examination.ask(examination.request(body, label="a small object behind a large one"))
        with examination.conversation() as talk:
            for body in bodies:
                request = examination.prepared(
                    examination.request(body, label="a small object behind a large one, on its connection")
                )
                talk.say(request)
                reception = talk.hear(request)
                examination.enter(request, reception, None)
                if talk.ended or reception.closes or reception.answer is None:
                    break


def _echoing(examination: Examination) -> None:
    """
    Skip the check under way where the chain does not return what it is sent.
    """
    if not examination.settings.echo:
        pytest.skip("the target's chain is not said to return what it is sent (--echo)")


# ------------------------------------------------------------------ the same as before


@upholds(clauses.UNAFFECTED)
def no_request_changes_what_comes_after_it(examination: Examination) -> None:
    """
    A plain request is answered after each kind of trouble as it was before, at once and a moment later.
    """
    before = plainly(examination)
    expected = before.expects(clauses.UNAFFECTED)
    if expected is None:
        pytest.skip("a plain request is not answered the same way twice")
    expected = replace(expected, expected=f"status {before.status}, as before")
    for label, trouble in _troubles(examination):
        trouble(examination)
        for number in range(2):
            body = body_of_its_own(examination, f"{label} {number}")
            _again(examination, examination.request(body, label=f"a plain request after {label}"), expected)


def _again(examination: Examination, request: Request, expected: Expectation) -> None:
    """
    Ask, and hold the answer against the one before, by no other clause: what it was refused for is not wrong with it.
    """
    for _ in range(3):
        reception = examination.send(request)
        if reception.answer is None or reception.answer.status not in BUSY:
            break
    answer = reception.answer
    if answer is not None and (expected.keeps(answer) or answer.status in BUSY):
        examination.enter(request, reception, None)
        examination.hold(clauses.UNAFFECTED, None, request, answer)
        return
    actual = f"status {answer.status}" if answer is not None else reception.reason or "no answer"
    departure = Departure(clause=clauses.UNAFFECTED, expected=expected.expected, actual=actual)
    examination.hold(clauses.UNAFFECTED, departure, request, answer)


Trouble = Callable[[Examination], None]


def _troubles(examination: Examination) -> Iterable[tuple[str, Trouble]]:
    """
    What a server may stumble over, each sent without a look at its answer: other checks have looked.
    """
    made = examination.request
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
    yield "another path", _sent(made(path=f"{examination.target.path}/x"))
    yield "deep nesting", _sent(made(b"[" * 20_000 + b"]" * 20_000), made(b'{"a":' * 20_000 + b"1" + b"}" * 20_000))
    yield "a long number", _sent(made(b'{"a":' + b"9" * 20_000 + b"}"))
    yield "a long body", _sent(made(b'{"a":"' + b"x" * 2_000_000 + b'"}'))
    if examination.settings.steerable:
        for code in ("application_error", "timeout"):
            yield f"`{code}` on demand", _sent(made(fields=(JSON_TYPE, ("X-Emulate", code))))
    yield "a connection cut before the body", _cut(0)
    yield "a connection cut within the body", _cut(20)
    yield "a connection cut before the answer", _cut(10_000)
    if examination.permits(Intrusion.SMUGGLING):
        yield "a malformed message", _garbage
        yield "a message that says two things", _two_things


def _sent(*requests: Request) -> Trouble:
    """
    Requests, one after another.
    """

    def trouble(examination: Examination) -> None:
        for request in requests:
            examination.send(request)

    return trouble


def _cut(length: int) -> Trouble:
    """
    A request of which so much of the body is sent, and then the connection is broken off.
    """

    def trouble(examination: Examination) -> None:
        body = body_of_its_own(examination, f"cut {length}")
        request = framed(examination, body, f"Content-Length: {len(body)}", sent=body[:length], label="a cut request")
        for end in ("reset", "close"):
            with examination.conversation() as talk:
                talk.say(request)
                if end == "reset":
                    talk.reset()
            time.sleep(_NOTICED)

    return trouble


def _garbage(examination: Examination) -> None:
    """
    Bytes that are no HTTP.
    """
    for raw in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), b"GARBAGE\r\n\r\n", b"\0" * 100):
        with examination.conversation() as talk:
            request = replace(examination.request(label="no HTTP"), raw=raw)
            talk.say(request)
            talk.hear(request, within=0.2)


def _two_things(examination: Examination) -> None:
    """
    A body by its length and by its chunks.
    """
    lines = ("Content-Length: 4", "Transfer-Encoding: chunked")
    body = body_of_its_own(examination, "two things")
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with examination.conversation() as talk:
        request = framed(examination, body, *lines, sent=sent, label="a length and chunks")
        talk.say(request)
        talk.hear(request, within=0.2)


def _at_once(examination: Examination, requests: Iterable[Request]) -> None:
    """
    Ask all of them at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(examination.ask, requests))
