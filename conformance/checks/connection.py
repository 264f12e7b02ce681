"""
Connections: kept, closed, and never out of step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.violations import Departure
from chainproof.results.exchange import Transport

from ..options import Depth
from ..probing.raw_requests import Plainly, body_of_its_own, framed, plainly
from ..probing.requester import BUSY, Examination
from ..transport.connection import Reception
from ..transport.request import JSON_TYPE, Request
from . import upholds

_AT_ONCE = 8
_CLOSING: Seconds = 2.0
"""How long a target may take to close what it is to close."""
_MOMENT: Seconds = 0.06
"""How long after an answer a target that closes without a word is given to do so."""
_IDLE: dict[Depth, Seconds] = {Depth.QUICK: 0.4, Depth.STANDARD: 1.2, Depth.DEEP: 5.5}
"""How long a connection lies idle before it is used again, by depth; many servers keep one for five seconds."""
_IN_A_ROW = {Depth.QUICK: 40, Depth.STANDARD: 200, Depth.DEEP: 2000}
"""Requests on one connection, by depth."""


@upholds(clauses.CONNECTION)
def a_connection_is_kept(examination: Examination) -> None:
    """
    A target that closes behind every answer says so in every answer (RFC 9112 §9.3); now and then it may close as it likes.
    """
    plain = plainly(examination)
    closed: list[Request] = []
    for number in range(4):
        request = _whole(examination, f"kept {number}", "a plain request")
        reception, ended = _said(examination, request, plain, _MOMENT)
        if reception.answer is None or reception.answer.status in BUSY:
            return
        if not ended or reception.closes or reception.to_the_end:
            examination.hold(clauses.CONNECTION, None, request, reception.answer)
            return
        closed.append(request)
    examination.hold(
        clauses.CONNECTION,
        Departure(
            clause=clauses.CONNECTION,
            expected="`Connection: close` in an answer behind which the connection is closed",
            actual="closed behind every answer without a word",
        ),
        closed[0],
    )


@upholds(clauses.CONNECTION)
def a_connection_is_closed_when_it_is_to_be(examination: Examination) -> None:
    """
    Where the request says `Connection: close`, where the answer does, and behind an HTTP/1.0 request (RFC 9112 §9.6, §9.3).
    """
    plain = plainly(examination)

    def ask(request: Request) -> None:
        # Whatever is read from an HTTP/1.0 answer to the end of the connection has that end.
        reception, ended = _said(examination, request, plain, _CLOSING)
        if reception.answer is not None and not reception.misframed:
            departure = Departure(
                clause=clauses.CONNECTION, expected="the connection closed behind the answer", actual="left open"
            )
            examination.hold(clauses.CONNECTION, None if ended else departure, request, reception.answer)

    _each(ask, _closing(examination))


def _closing(examination: Examination) -> Iterable[Request]:
    """
    Requests behind which the connection is to be closed.
    """
    for option in ("close", "Close"):
        body = body_of_its_own(examination, f"to be closed: {option}")
        lines = (f"Connection: {option}", f"Content-Length: {len(body)}")
        yield framed(examination, body, *lines, sent=body, label=f"`Connection: {option}`")
    refused = framed(
        examination, b"[]", "Connection: close", "Content-Length: 2", sent=b"[]", label="`Connection: close`, refused"
    )
    yield refused
    body = body_of_its_own(examination, "of old")
    yield framed(
        examination, body, f"Content-Length: {len(body)}", sent=body, label="an HTTP/1.0 request", version="HTTP/1.0"
    )


@upholds(clauses.CONNECTION)
def what_says_that_it_closes_does(examination: Examination) -> None:
    """
    Whatever kind of answer carries `Connection: close`, the connection is closed behind it; where it does not say so, the
    next request on it is answered as if it were the first, whatever of the last one was left unread.
    """
    plain = plainly(examination)
    _each(lambda trouble: _followed(examination, trouble, plain), tuple(_troubles(examination)))


def _troubles(examination: Examination) -> Iterable[Request]:
    """
    Requests that may be refused before their body is read.
    """
    long = body_of_its_own(examination, "unread", 60_000)
    made = examination.request
    yield replace(made(label="no Authorization"), fields=(JSON_TYPE,))
    yield replace(made(long, label="no Authorization, with a long body"), fields=(JSON_TYPE,))
    yield replace(made(long, chunked=True, label="no Authorization, with a body in chunks"), fields=(JSON_TYPE,))
    yield made(long, fields=(("Content-Type", "text/plain"),), label="another media type, with a long body")
    yield made(path=f"{examination.target.path}x", label="another path, with a body")
    yield made(long, chunked=True, path=f"{examination.target.path}x", label="another path, with a body in chunks")
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        yield made(method=method, label=f"{method} with a body")
    yield made(long, method="PUT", chunked=True, label="PUT with a body in chunks")
    yield made(None, method="HEAD", fields=(), label="HEAD")
    yield made(b"[" + long + b"]", label="an array")
    yield made(long[:-1], label="half a body that is whole as a message")
    yield made(b"\xff", chunked=True, label="no UTF-8, in chunks")
    yield made(None, fields=(), label="no body")
    yield made(b"", label="an empty body")
    yield made(b"[" * 3000 + b"]" * 3000, label="a deep array")
    yield made(label="a plain request")
    if examination.settings.steerable:
        yield made(long, fields=(JSON_TYPE, ("X-Emulate", "application_error")), label="an error on demand")


def _followed(examination: Examination, trouble: Request, plain: Plainly) -> None:
    """
    A request that is refused, and a plain one behind it on the same connection.
    """
    trouble = examination.prepared(trouble)
    after = _whole(examination, f"after {trouble.label}", f"a plain request behind another: {trouble.label}")
    within = plain.patience(examination.settings.deadline)
    with examination.conversation() as talk:
        talk.say(trouble)
        first = talk.hear(trouble, within=examination.settings.deadline)
        if first.answer is None or first.misframed:
            return  # another check's affair
        if first.closes or first.to_the_end:
            talk.overheard(_CLOSING)
            departure = Departure(
                clause=clauses.CONNECTION,
                expected="the connection closed behind an answer that says so",
                actual="left open",
            )
            examination.hold(clauses.CONNECTION, None if talk.ended else departure, trouble, first.answer)
            return
        talk.say(after)
        second = talk.hear(after, within=within)
    _hold_in_step(examination, after, second, plain)


def _hold_in_step(examination: Examination, request: Request, reception: Reception, plain: Plainly) -> None:
    """
    What came behind an earlier exchange is the answer to this request, or the connection's end.
    """
    answer, expected = reception.answer, plain.expects(clauses.CONNECTION)
    if expected is None or (reception.transport is Transport.CONNECTION_LOST and not reception.raw):
        return
    if answer is not None and (expected.keeps(answer) or answer.status in BUSY) and not reception.misframed:
        examination.enter(request, reception, None)
        examination.hold(clauses.CONNECTION, None, request, answer)
        return
    said = f"status {answer.status}" if answer else reception.misframed or reception.reason
    departure = Departure(
        clause=clauses.CONNECTION,
        expected=f"status {plain.status}, or the connection closed, for the next request on a connection",
        actual=said,
    )
    examination.hold(clauses.CONNECTION, departure, request, answer)


@upholds(clauses.CONNECTION, clauses.ANSWER_BELONGS, clauses.UNAFFECTED)
def many_requests_go_over_one_connection(examination: Examination) -> None:
    """
    One after another, and after a pause: the first, the tenth and the two hundredth are answered alike.
    """
    plain = plainly(examination)
    within = plain.patience(examination.settings.deadline)
    with ThreadPoolExecutor(1) as pool:
        idle = pool.submit(_idled, examination, plain)
        with examination.conversation() as talk:
            for number in range(_IN_A_ROW[examination.settings.depth]):
                request = _whole(examination, f"in a row {number}", "one of many requests on one connection")
                talk.say(request)
                reception = talk.hear(request, within=within)
                _hold_in_step(examination, request, reception, plain)
                if talk.ended or reception.closes:
                    break
        idle.result()


def _idled(examination: Examination, plain: Plainly) -> None:
    """
    A request, a pause, and another one on the same connection.
    """
    with examination.conversation() as talk:
        for number in range(2):
            request = _whole(examination, f"idle {number}", "a request behind a pause")
            talk.say(request)
            _hold_in_step(
                examination, request, talk.hear(request, within=plain.patience(examination.settings.deadline)), plain
            )
            if number or talk.overheard(_IDLE[examination.settings.depth]) or talk.ended:
                return


def _said(examination: Examination, request: Request, plain: Plainly, patience: Seconds) -> tuple[Reception, bool]:
    """
    The answer to a request over a connection of its own, and whether it was closed within so long.
    """
    with examination.conversation() as talk:
        talk.say(request)
        old = request.raw is not None and b" HTTP/1.0\r\n" in request.raw
        reception = talk.hear(request, within=plain.patience(examination.settings.deadline), http_1_0=old)
        if reception.transport is Transport.ANSWERED and not talk.ended:
            talk.overheard(patience)
        if reception.answer is not None:
            examination.enter(request, reception, None)
        return reception, talk.ended


def _whole(examination: Examination, purpose: str, label: str) -> Request:
    """
    A plain request with a body of its own.
    """
    return examination.prepared(examination.request(body_of_its_own(examination, purpose), label=label))


def _each(ask: Callable[[Request], None], things: Iterable[Request]) -> None:
    """
    Ask about each of some requests, a few at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(ask, things))
