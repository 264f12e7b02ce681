"""Connections are kept open, closed as announced, and each request gets the answer that belongs to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.results.exchange import Transport

from ..judging.judge import BUSY_STATUSES
from ..options import Depth
from ..probing.concurrency import run_in_threads
from ..probing.raw_requests import ReferenceAnswer, raw_request, send_reference_request
from ..probing.requester import Requester
from ..transport.connection import TRAILING_BYTES, TransportResult
from ..transport.raw_connection import RawConnection
from ..transport.request import JSON_TYPE, CheckRequest, chunked
from . import check_for

_THREADS = 8
_UNANNOUNCED_CLOSE_TIMEOUT: Seconds = 0.06
"""Time to wait after an answer for a close that was not announced."""
_UNREAD_BYTES = 140_000
"""Bytes of a body that a target may leave unread. Some servers discard only the first 64 or 128 KiB."""
_UNAVAILABLE = BUSY_STATUSES - {429}
"""Statuses by which a target says that it is not available. It may limit the rate of each connection."""
_ATTEMPTS = 3
_MAX_AWAITED = 4
"""Missing answers of a run that are awaited until the deadline."""
_AWAITED = "requests on a connection whose answers were awaited until the deadline"
_STATUS_LINE = b"HTTP/1."
"""What another answer begins with."""
_REQUESTS_PER_CONNECTION = {Depth.QUICK: 40, Depth.STANDARD: 200, Depth.DEEP: 2000}
"""Requests on one connection."""


@check_for(clauses.CONNECTION_PERSISTENCE)
def connections_stay_open_unless_close_is_announced(requester: Requester) -> None:
    """
    A target that closes after every answer must announce it in every answer (RFC 9112 §9.3). It may close now and
    then without announcing it.
    """
    reference = send_reference_request(requester)
    closed: list[CheckRequest] = []
    for number in range(4):
        request = _plain_request(requester, f"kept {number}", "a plain request")
        received, closed_in_time = _answer_and_close(requester, request, reference, _UNANNOUNCED_CLOSE_TIMEOUT)
        if received.answer is None or received.answer.status in BUSY_STATUSES:
            return
        if not closed_in_time or received.closes_connection or received.is_close_delimited:
            requester.record_clause(clauses.CONNECTION_PERSISTENCE, request, received.answer)
            return
        closed.append(request)
    requester.record_clause(
        clauses.CONNECTION_PERSISTENCE,
        closed[0],
        expected="`Connection: close` in an answer after which the connection is closed",
        actual="the connection closed after every answer, without `Connection: close`",
    )


@check_for(clauses.CONNECTION_PERSISTENCE, clauses.CLOSE_IN_LIST)
def connections_are_closed_on_request(requester: Requester) -> None:
    """
    A connection is closed after a request with `Connection: close` and after an HTTP/1.0 request (RFC 9112 §9.6,
    §9.3).
    """
    reference = send_reference_request(requester)

    def check(request: CheckRequest) -> None:
        has_list = b"\r\nTE: " in (request.raw or b"")
        clause = clauses.CLOSE_IN_LIST if has_list else clauses.CONNECTION_PERSISTENCE
        # An HTTP/1.0 answer without a length ends with the connection, which is then closed by definition.
        received, closed_in_time = _answer_and_close(requester, request, reference, requester.waits.close)
        if received.answer is not None and not received.framing_error:
            requester.record_clause(
                clause,
                request,
                received.answer,
                expected="the connection closed after the answer",
                actual=None if closed_in_time else "the connection left open",
            )

    run_in_threads(check, _requests_to_close(requester), threads=requester.patient_threads(_THREADS))


_CLOSING_LISTS = (
    # Perl's LWP sends these two with every request.
    ("TE: deflate,gzip;q=0.3", "Connection: TE, close"),
    ("Connection: close ,TE", "TE: trailers"),
    ("TE: trailers", "Connection: TE", "Connection: close"),
)
"""Header lines with several connection options, one of which says that the connection is to be closed."""


def _requests_to_close(requester: Requester) -> Iterable[CheckRequest]:
    """Requests after which the target must close the connection."""
    for lines in (("Connection: close",), ("Connection: Close",), *_CLOSING_LISTS):
        body = requester.unique_input(f"to be closed: {lines}")
        label = " and ".join(f"`{line}`" for line in lines)
        yield raw_request(requester, body, *lines, f"Content-Length: {len(body)}", sent=body, label=label)
    body = requester.unique_input("to be closed: chunks")
    lines = ("Connection: close", "Transfer-Encoding: chunked")
    yield raw_request(requester, body, *lines, sent=chunked(body, 30), label="`Connection: close` with a chunked body")
    rejected = ("Content-Length: 2", "Connection: close")
    yield raw_request(requester, b"[]", *rejected, sent=b"[]", label="`Connection: close` with an array")
    for version in ("HTTP/1.1", "HTTP/1.0"):
        label = f"`Connection: close` without Authorization in {version}"
        yield raw_request(requester, b"{}", *rejected, sent=b"{}", label=label, version=version, with_key=False)
    body = requester.unique_input("of old")
    yield raw_request(
        requester, body, f"Content-Length: {len(body)}", sent=body, label="an HTTP/1.0 request", version="HTTP/1.0"
    )


@check_for(clauses.CONNECTION_PERSISTENCE, title="`Connection: close` is honoured")
def connection_close_is_honoured(requester: Requester) -> None:
    """
    After an answer with `Connection: close` the target closes. Without it, the next request on the connection is
    answered like the first, even if the previous body was not read.
    """
    reference = send_reference_request(requester)
    run_in_threads(
        lambda first_request: _check_next_request(requester, first_request, reference),
        requester.part(tuple(_requests_rejected_early(requester)), first=10),
        threads=requester.patient_threads(_THREADS),
    )


def _requests_rejected_early(requester: Requester) -> Iterable[CheckRequest]:
    """Requests that a target may reject before it has read their body."""
    long = requester.unique_input("unread", _UNREAD_BYTES)
    build = requester.build_request
    yield replace(build(label="no Authorization"), fields=(JSON_TYPE,))
    yield replace(build(long, label="no Authorization, with a long body"), fields=(JSON_TYPE,))
    yield replace(build(long, chunked=True, label="no Authorization, with a chunked body"), fields=(JSON_TYPE,))
    yield build(long, fields=(("Content-Type", "text/plain"),), label="another media type, with a long body")
    yield build(path=f"{requester.target.path}x", label="another path, with a body")
    yield build(long, chunked=True, path=f"{requester.target.path}x", label="another path, with a chunked body")
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        yield build(method=method, label=f"{method} with a body")
    yield build(long, method="PUT", chunked=True, label="PUT with a chunked body")
    yield build(None, method="HEAD", fields=(), label="HEAD")
    yield build(b"[" + long + b"]", label="an array")
    yield build(long[:-1], label="a truncated object")
    yield build(b"\xff", chunked=True, label="invalid UTF-8 in a chunked body")
    yield build(None, fields=(), label="no body")
    yield build(b"", label="an empty body")
    yield build(b"[" * 3000 + b"]" * 3000, label="a deeply nested array")
    yield build(label="a plain request")
    if requester.settings.steerable:
        yield build(long, fields=(JSON_TYPE, ("X-Emulate", "application_error")), label="an error on demand")


def _check_next_request(requester: Requester, first_request: CheckRequest, reference: ReferenceAnswer) -> None:
    """Send a request that may be rejected, and a valid one after it on the same connection."""
    first_request = requester.prepare(first_request)
    after = _plain_request(
        requester, f"after {first_request.label}", f"a plain request after another: {first_request.label}"
    )
    within = reference.timeout(requester.settings.deadline)
    with requester.raw_connection() as connection:
        first = connection.exchange(first_request, within=requester.settings.deadline)
        if first.answer is None or first.framing_error:
            return  # covered by other checks
        if first.closes_connection or first.is_close_delimited:
            connection.read_unexpected(requester.waits.close)
            requester.record_clause(
                clauses.CONNECTION_PERSISTENCE,
                first_request,
                first.answer,
                expected="the connection closed after an answer with `Connection: close`",
                actual=None if connection.is_closed else "the connection left open",
            )
            return
        second = _exchange_patiently(requester, connection, after, within)
    _record_in_step(requester, after, second, reference)


def _exchange_patiently(
    requester: Requester, connection: RawConnection, request: CheckRequest, within: Seconds
) -> TransportResult:
    """
    What comes back in a short time. The first missing answers of a run are awaited until the deadline: a busy machine stops
    for seconds at times, which is no violation.
    """
    received = connection.exchange(request, within=within)
    awaited, left = requester.learnt.setdefault(_AWAITED, []), requester.settings.deadline - within
    assert isinstance(awaited, list)
    if received.transport is not Transport.DEADLINE or received.raw or left <= 0 or len(awaited) == _MAX_AWAITED:
        return received
    awaited.append(request.label)
    return connection.read_answer(request, within=left)


def _record_in_step(
    requester: Requester, request: CheckRequest, received: TransportResult, reference: ReferenceAnswer
) -> None:
    """Report an answer that does not belong to this request; a closed connection is accepted."""
    answer, expected = received.answer, reference.same_status(clauses.CONNECTION_PERSISTENCE)
    if expected is None or (received.transport is Transport.CONNECTION_LOST and not received.raw):
        return
    if (
        answer is not None
        and (expected.is_met_by(answer) or answer.status in BUSY_STATUSES)
        and not received.framing_error
    ):
        requester.record(request, received, None)
        requester.record_clause(clauses.CONNECTION_PERSISTENCE, request, answer)
        return
    if TRAILING_BYTES in received.framing_error and _STATUS_LINE not in received.raw[1:]:
        requester.record(request, received, None)  # a wrong length, and no answer to another request
        return
    requester.record_clause(
        clauses.CONNECTION_PERSISTENCE,
        request,
        answer,
        expected=f"status {reference.status} for the next request on the connection, or a closed connection",
        actual=received.framing_error or received.in_words,
    )


@check_for(clauses.CONNECTION_PERSISTENCE, clauses.ANSWER_MATCHES_REQUEST, clauses.REQUEST_ISOLATION)
def one_connection_serves_many_requests(requester: Requester) -> None:
    """Many requests in a row are all answered like the first."""
    reference = send_reference_request(requester)
    within = reference.timeout(requester.settings.deadline)
    with requester.raw_connection() as connection:
        for number in range(requester.share(_REQUESTS_PER_CONNECTION[requester.settings.depth], first=12)):
            request = _plain_request(requester, f"in a row {number}", "one of many requests on one connection")
            received = _exchange_patiently(requester, connection, request, within)
            _record_in_step(requester, request, received, reference)
            if connection.is_closed or received.closes_connection or received.framing_error:
                break
            if received.status in _UNAVAILABLE and _is_worn_out(requester, connection, reference):
                requester.record_clause(
                    clauses.REQUEST_ISOLATION,
                    request,
                    received.answer,
                    expected=f"status {reference.status}, as on other connections at the same time",
                    actual=f"status {received.status} to each request after the {number}th on a connection",
                )
                break
    _send_with_errors_between(requester, reference)


_IS_REJECTED = (False, True, False, False, True, False, True, False, False)
"""Which of several requests on one connection are rejected: the second, and others after one and after two valid ones."""


def _send_with_errors_between(requester: Requester, reference: ReferenceAnswer) -> None:
    """Send valid requests on one connection with rejected ones between them, until the target closes it."""
    within = reference.timeout(requester.settings.deadline)
    with requester.raw_connection() as connection:
        for number, is_rejected in enumerate(_IS_REJECTED):
            label = "one of several requests on one connection, some of which are rejected"
            if is_rejected:
                request = requester.prepare(requester.build_request(b"[]", label=label))
            else:
                request = _plain_request(requester, f"between errors {number}", label)
            received = _exchange_patiently(requester, connection, request, within)
            if not is_rejected:
                _record_in_step(requester, request, received, reference)
            elif received.answer is not None:
                requester.record(request, received, None)
            if connection.is_closed or received.closes_connection or received.answer is None or received.framing_error:
                return


def _is_worn_out(requester: Requester, connection: RawConnection, reference: ReferenceAnswer) -> bool:
    """True if requests on a connection go on to be answered as if the target were not available, and others do not."""
    for number in range(_ATTEMPTS):
        if send_reference_request(requester).status != reference.status:
            return False
        request = _plain_request(requester, f"once more {number}", "one of many requests on one connection")
        received = connection.exchange(request, within=reference.timeout(requester.settings.deadline))
        requester.record(request, received, None)
        if received.status not in _UNAVAILABLE or connection.is_closed or received.closes_connection:
            return False
    return True


# ------------------------------------------------------------------ HTTP/1.0


@check_for(clauses.CONNECTION_PERSISTENCE, title="HTTP/1.0 connections with `Connection: keep-alive` stay usable")
def http_1_0_connections_with_keep_alive_stay_usable(requester: Requester) -> None:
    """
    If the answer to an HTTP/1.0 request says `Connection: keep-alive`, it has a length and the next request is answered.
    Without it, the answer ends with its length or with the connection (RFC 9112 §9.3, §C.2.2).
    """
    reference = send_reference_request(requester)
    faults = [_http_1_0_fault(requester, reference, number) for number in range(2)]
    request, fault = faults[-1]
    # A target may close any connection once; twice is no chance.
    requester.record_clause(
        clauses.CONNECTION_PERSISTENCE,
        request,
        expected="a complete answer, and after `Connection: keep-alive` an answer to the next request",
        actual=fault if all(each for _, each in faults) else None,
    )


def _http_1_0_fault(requester: Requester, reference: ReferenceAnswer, number: int) -> tuple[CheckRequest, str]:
    """
    Send two HTTP/1.0 requests with `Connection: keep-alive` on one connection. The last one sent, and what is wrong with
    its answer, or an empty text.
    """
    within = reference.timeout(requester.settings.deadline)
    with requester.raw_connection() as connection:
        for position in ("first", "next"):
            body = requester.unique_input(f"keep-alive {number} {position}")
            lines = ("Connection: keep-alive", f"Content-Length: {len(body)}")
            label = "an HTTP/1.0 request with `Connection: keep-alive`"
            request = raw_request(requester, body, *lines, sent=body, label=label, version="HTTP/1.0")
            received = connection.exchange(request, within=within, http_1_0=True)
            if received.answer is None and received.raw and received.transport is Transport.DEADLINE:
                return request, "an answer whose end is unknown: no length, and the connection stays open"
            if received.answer is None:
                is_announced = position == "next"
                return request, "no answer to the next request after `Connection: keep-alive`" if is_announced else ""
            requester.record(request, received, None)
            options = ",".join(received.answer.fields("connection")).lower()
            is_usable = "keep-alive" in options and not connection.is_closed and not received.framing_error
            if received.answer.status != reference.status or not is_usable:
                break
    return request, ""


def _answer_and_close(
    requester: Requester, request: CheckRequest, reference: ReferenceAnswer, close_timeout: Seconds
) -> tuple[TransportResult, bool]:
    """
    The answer to a request on a connection of its own, and whether the target closed that connection within
    `close_timeout`.
    """
    with requester.raw_connection() as connection:
        connection.send_request(request)
        is_http_1_0 = request.raw is not None and b" HTTP/1.0\r\n" in request.raw
        received = connection.read_answer(
            request, within=reference.timeout(requester.settings.deadline), http_1_0=is_http_1_0
        )
        if received.transport is Transport.ANSWERED and not connection.is_closed:
            connection.read_unexpected(close_timeout)
        if received.answer is not None:
            requester.record(request, received, None)
        return received, connection.is_closed


def _plain_request(requester: Requester, purpose: str, label: str) -> CheckRequest:
    """A valid request with a unique body."""
    return requester.prepare(requester.build_request(requester.unique_input(purpose), label=label))
