"""
Connections: kept, closed, and never out of step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.violations import Violation
from chainproof.results.exchange import Transport

from ..judging.judge import BUSY_STATUSES
from ..options import Depth
from ..probing.raw_requests import ReferenceAnswer, raw_request, send_reference_request, unique_body
from ..probing.requester import Requester
from ..transport.connection import TransportResult
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

_AT_ONCE = 8
_MOMENT: Seconds = 0.06
"""How long after an answer a target that closes without a word is given to do so."""
_IN_A_ROW = {Depth.QUICK: 40, Depth.STANDARD: 200, Depth.DEEP: 2000}
"""Requests on one connection, by depth."""


@check_for(clauses.CONNECTION_PERSISTENCE)
def connections_stay_open_unless_close_is_announced(requester: Requester) -> None:
    """
    A target that closes behind every answer says so in every answer (RFC 9112 §9.3); now and then it may close as it likes.
    """
    plain = send_reference_request(requester)
    closed: list[CheckRequest] = []
    for number in range(4):
        request = _whole(requester, f"kept {number}", "a plain request")
        received, ended = _said(requester, request, plain, _MOMENT)
        if received.answer is None or received.answer.status in BUSY_STATUSES:
            return
        if not ended or received.closes_connection or received.is_close_delimited:
            requester.record_clause(clauses.CONNECTION_PERSISTENCE, None, request, received.answer)
            return
        closed.append(request)
    requester.record_clause(
        clauses.CONNECTION_PERSISTENCE,
        Violation(
            clause=clauses.CONNECTION_PERSISTENCE,
            expected="`Connection: close` in an answer behind which the connection is closed",
            actual="closed behind every answer without a word",
        ),
        closed[0],
    )


@check_for(clauses.CONNECTION_PERSISTENCE)
def connections_are_closed_on_request(requester: Requester) -> None:
    """
    Where the request says `Connection: close`, where the answer does, and behind an HTTP/1.0 request (RFC 9112 §9.6, §9.3).
    """
    plain = send_reference_request(requester)

    def ask(request: CheckRequest) -> None:
        # Whatever is read from an HTTP/1.0 answer to the end of the connection has that end.
        received, ended = _said(requester, request, plain, requester.patience.close)
        if received.answer is not None and not received.framing_error:
            violation = Violation(
                clause=clauses.CONNECTION_PERSISTENCE,
                expected="the connection closed behind the answer",
                actual="left open",
            )
            requester.record_clause(
                clauses.CONNECTION_PERSISTENCE, None if ended else violation, request, received.answer
            )

    _each(ask, _closing(requester))


def _closing(requester: Requester) -> Iterable[CheckRequest]:
    """
    Requests behind which the connection is to be closed.
    """
    for option in ("close", "Close"):
        body = unique_body(requester, f"to be closed: {option}")
        lines = (f"Connection: {option}", f"Content-Length: {len(body)}")
        yield raw_request(requester, body, *lines, sent=body, label=f"`Connection: {option}`")
    refused = raw_request(
        requester, b"[]", "Connection: close", "Content-Length: 2", sent=b"[]", label="`Connection: close`, refused"
    )
    yield refused
    body = unique_body(requester, "of old")
    yield raw_request(
        requester, body, f"Content-Length: {len(body)}", sent=body, label="an HTTP/1.0 request", version="HTTP/1.0"
    )


@check_for(clauses.CONNECTION_PERSISTENCE)
def connection_close_is_honoured(requester: Requester) -> None:
    """
    Whatever kind of answer carries `Connection: close`, the connection is closed behind it; where it does not say so, the
    next request on it is answered as if it were the first, whatever of the last one was left unread.
    """
    plain = send_reference_request(requester)
    _each(lambda trouble: _followed(requester, trouble, plain), tuple(_troubles(requester)))


def _troubles(requester: Requester) -> Iterable[CheckRequest]:
    """
    Requests that may be refused before their body is read.
    """
    long = unique_body(requester, "unread", 60_000)
    made = requester.build_request
    yield replace(made(label="no Authorization"), fields=(JSON_TYPE,))
    yield replace(made(long, label="no Authorization, with a long body"), fields=(JSON_TYPE,))
    yield replace(made(long, chunked=True, label="no Authorization, with a body in chunks"), fields=(JSON_TYPE,))
    yield made(long, fields=(("Content-Type", "text/plain"),), label="another media type, with a long body")
    yield made(path=f"{requester.target.path}x", label="another path, with a body")
    yield made(long, chunked=True, path=f"{requester.target.path}x", label="another path, with a body in chunks")
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
    if requester.settings.steerable:
        yield made(long, fields=(JSON_TYPE, ("X-Emulate", "application_error")), label="an error on demand")


def _followed(requester: Requester, trouble: CheckRequest, plain: ReferenceAnswer) -> None:
    """
    A request that is refused, and a plain one behind it on the same connection.
    """
    trouble = requester.prepare(trouble)
    after = _whole(requester, f"after {trouble.label}", f"a plain request behind another: {trouble.label}")
    within = plain.timeout(requester.settings.deadline)
    with requester.raw_connection() as talk:
        talk.send_request(trouble)
        first = talk.read_answer(trouble, within=requester.settings.deadline)
        if first.answer is None or first.framing_error:
            return  # another check's affair
        if first.closes_connection or first.is_close_delimited:
            talk.read_unexpected(requester.patience.close)
            violation = Violation(
                clause=clauses.CONNECTION_PERSISTENCE,
                expected="the connection closed behind an answer that says so",
                actual="left open",
            )
            requester.record_clause(
                clauses.CONNECTION_PERSISTENCE, None if talk.is_closed else violation, trouble, first.answer
            )
            return
        talk.send_request(after)
        second = talk.read_answer(after, within=within)
    _hold_in_step(requester, after, second, plain)


def _hold_in_step(
    requester: Requester, request: CheckRequest, received: TransportResult, plain: ReferenceAnswer
) -> None:
    """
    What came behind an earlier exchange is the answer to this request, or the connection's end.
    """
    answer, expected = received.answer, plain.same_status(clauses.CONNECTION_PERSISTENCE)
    if expected is None or (received.transport is Transport.CONNECTION_LOST and not received.raw):
        return
    if (
        answer is not None
        and (expected.is_met_by(answer) or answer.status in BUSY_STATUSES)
        and not received.framing_error
    ):
        requester.record(request, received, None)
        requester.record_clause(clauses.CONNECTION_PERSISTENCE, None, request, answer)
        return
    said = f"status {answer.status}" if answer else received.framing_error or received.reason
    violation = Violation(
        clause=clauses.CONNECTION_PERSISTENCE,
        expected=f"status {plain.status}, or the connection closed, for the next request on a connection",
        actual=said,
    )
    requester.record_clause(clauses.CONNECTION_PERSISTENCE, violation, request, answer)


@check_for(clauses.CONNECTION_PERSISTENCE, clauses.ANSWER_MATCHES_REQUEST, clauses.REQUEST_ISOLATION)
def one_connection_serves_many_requests(requester: Requester) -> None:
    """
    One after another, and after a pause: the first, the tenth and the two hundredth are answered alike.
    """
    plain = send_reference_request(requester)
    within = plain.timeout(requester.settings.deadline)
    with ThreadPoolExecutor(1) as pool:
        idle = pool.submit(_idled, requester, plain)
        with requester.raw_connection() as talk:
            for number in range(_IN_A_ROW[requester.settings.depth]):
                request = _whole(requester, f"in a row {number}", "one of many requests on one connection")
                talk.send_request(request)
                received = talk.read_answer(request, within=within)
                _hold_in_step(requester, request, received, plain)
                if talk.is_closed or received.closes_connection:
                    break
        idle.result()


def _idled(requester: Requester, plain: ReferenceAnswer) -> None:
    """
    A request, a pause, and another one on the same connection.
    """
    with requester.raw_connection() as talk:
        for number in range(2):
            request = _whole(requester, f"idle {number}", "a request behind a pause")
            talk.send_request(request)
            _hold_in_step(
                requester, request, talk.read_answer(request, within=plain.timeout(requester.settings.deadline)), plain
            )
            if number or talk.read_unexpected(requester.patience.idle) or talk.is_closed:
                return


def _said(
    requester: Requester, request: CheckRequest, plain: ReferenceAnswer, patience: Seconds
) -> tuple[TransportResult, bool]:
    """
    The answer to a request over a connection of its own, and whether it was closed within so long.
    """
    with requester.raw_connection() as talk:
        talk.send_request(request)
        old = request.raw is not None and b" HTTP/1.0\r\n" in request.raw
        received = talk.read_answer(request, within=plain.timeout(requester.settings.deadline), http_1_0=old)
        if received.transport is Transport.ANSWERED and not talk.is_closed:
            talk.read_unexpected(patience)
        if received.answer is not None:
            requester.record(request, received, None)
        return received, talk.is_closed


def _whole(requester: Requester, purpose: str, label: str) -> CheckRequest:
    """
    A plain request with a body of its own.
    """
    return requester.prepare(requester.build_request(unique_body(requester, purpose), label=label))


def _each(ask: Callable[[CheckRequest], None], things: Iterable[CheckRequest]) -> None:
    """
    Ask about each of some requests, a few at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(ask, things))
