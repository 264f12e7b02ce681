"""After trouble the target works as before: late answers, invalid framing, many rejected or aborted requests, and pauses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses, http_clauses
from chainproof.contract.answer import Answer
from chainproof.json_text import parse_json
from chainproof.results.exchange import Transport

from ..inputs.input_variations import encoded, with_invalid_argument
from ..judging.expectation import expectation
from ..judging.judge import BUSY_STATUSES
from ..judging.request_texts import answer_text, text_keys
from ..options import Depth, Permission
from ..probing.concurrency import run_in_threads
from ..probing.raw_requests import (
    ReferenceAnswer,
    raw_request,
    send_accepted_reference_request,
    send_reference_request,
)
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.connection import TransportResult
from ..transport.raw_connection import RawConnection
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

_IDLE_TIMEOUT = re.compile(rb"HTTP/1\.[01] 408 ")
"""The answer by which a server may end an idle connection (RFC 9110 §15.5.9)."""

_SHORT_WAIT: Seconds = 0.05
"""Time to wait for bytes after an answer that comes at once."""

# ------------------------------------------------------------------ late answers


@check_for(clauses.ANSWER_MATCHES_REQUEST)
def late_answers_do_not_reach_the_next_request(requester: Requester) -> None:
    """
    After a timeout or another error, the next request on the connection, and on another one, gets its own answer and
    only that.
    """
    reference = send_reference_request(requester)
    if reference.status is None:
        raise CheckSkipped("needs a target that answers equal requests with the same status")
    first, other = _two_inputs(requester, "known")
    for body in (first, other):  # an answer of the wrong input shows only if the right one is known
        requester.send(requester.build_request(body))
    for failing, wait in _failing_requests(requester):
        _check_after_failure(requester, failing, wait, reference)


def _two_inputs(requester: Requester, purpose: str) -> tuple[bytes, bytes]:
    """Two different inputs, if as many are known: one for requests that fail, and one for those after them."""
    inputs = (
        requester.inputs.distinct(2, requester.rng(purpose)) if requester.inputs.any_object else requester.inputs.known
    )
    return inputs[-1], inputs[0]


def _failing_requests(requester: Requester) -> Iterable[tuple[CheckRequest, Seconds]]:
    """Requests that fail while the chain may still run, and how long to wait for a late answer."""
    build = requester.build_request
    if requester.settings.steerable:
        for code in ("timeout", "application_error"):
            body, _ = _two_inputs(requester, f"late after {code}")
            fields = (JSON_TYPE, ("X-Emulate", code))
            for wait in (requester.waits.late_answer, 0.0):
                yield build(body, fields=fields, label=f"`{code}` on demand"), wait
    if requester.slow_input is not None:
        for wait in (requester.waits.late_answer, 0.0):
            yield build(requester.slow_input, label="the slow input"), wait
    yield build(b"[]", label="an array"), _SHORT_WAIT
    yield build(requester.unique_input("late")[:-1], label="a truncated object"), _SHORT_WAIT
    without_key = build(requester.unique_input("late without a key"), label="no Authorization")
    yield replace(without_key, fields=(JSON_TYPE,)), _SHORT_WAIT


def _check_after_failure(
    requester: Requester, failing: CheckRequest, wait: Seconds, reference: ReferenceAnswer
) -> None:
    """Send a request that fails, and valid ones after it on another connection and on the same one."""
    failing = requester.prepare(failing)
    label = f"a plain request after {failing.label}"
    with requester.raw_connection() as connection:
        failed = connection.exchange(failing)
        requester.record(failing, failed, None)
        if failed.answer is None or failed.answer.status < 400:
            return
        if failing.body == requester.slow_input and failed.answer.status not in BUSY_STATUSES:
            requester.note(
                f"the input of --slow-payload is answered {failed.answer.status}, so it shows nothing of slow inputs"
            )
        late = connection.read_unexpected(wait)
        if _is_answer(late):
            _record_late(requester, failing, failed.answer, f"status {failed.answer.status}, and another answer later")
            return
        other = requester.send(requester.build_request(_two_inputs(requester, f"{label}, other")[1], label=label))
        _record_owner(requester, failing, other.request, other.answer)
        if connection.is_closed or failed.closes_connection:
            return
        request = requester.prepare(requester.build_request(_two_inputs(requester, label)[1], label=label))
        received = connection.exchange(request, within=reference.timeout(requester.settings.deadline))
        more = connection.read_unexpected(_SHORT_WAIT)
    if _is_answer(more):
        status = received.status or "?"
        _record_late(requester, request, received.answer, f"status {status}, and another answer after it")
    elif received.answer is not None:
        requester.record(request, received, expectation(request, requester.terms))
        _record_owner(requester, failing, request, received.answer)


def _record_owner(requester: Requester, failed: CheckRequest, request: CheckRequest, answer: Answer | None) -> None:
    """Record whether an answer has a text of the failed request before."""
    if answer is None:
        return
    text = _foreign_text(requester, failed, request, answer)
    if text is None:
        requester.record_clause(clauses.ANSWER_MATCHES_REQUEST, request, answer)
    else:
        actual = f"status {answer.status} with data of the request before, {failed.label}: {text}"
        _record_late(requester, request, answer, actual)


def _foreign_text(requester: Requester, failed: CheckRequest, request: CheckRequest, answer: Answer) -> str | None:
    """The beginning of a text of the failed request that the answer to the next one has, and usually has not."""
    usual = str(requester.known_answers.output_for(request) or "").lower()
    theirs = sorted(text_keys(failed.body or b"") - text_keys(request.body or b""))
    text = answer_text(answer)
    return next((each for each in theirs if usual and each in text and each not in usual), None)


def _is_answer(raw: bytes) -> bool:
    """Whether unexpected bytes are an answer, and not one that ends an idle connection."""
    return raw.startswith(b"HTTP/") and not _IDLE_TIMEOUT.match(raw)


def _record_late(requester: Requester, request: CheckRequest, answer: Answer | None, actual: str) -> None:
    """Record a late answer, which a client takes for the answer to its next request."""
    requester.record_clause(
        clauses.ANSWER_MATCHES_REQUEST, request, answer, expected="one answer to each request", actual=actual
    )


# ------------------------------------------------------------------ invalid framing


@dataclass(frozen=True, slots=True, kw_only=True)
class _InvalidFraming:
    """A message whose end cannot be known. RFC 9112 §6.3: the server answers 400 and closes the connection."""

    label: str
    line: str
    body: bytes = b""


_INVALID_FRAMINGS = (
    _InvalidFraming(label="a Content-Length that is not a number", line="Content-Length: abc"),
    _InvalidFraming(label="a negative Content-Length", line="Content-Length: -1"),
    _InvalidFraming(label="two lengths in one Content-Length field", line="Content-Length: 2, 3", body=b"{}"),
    _InvalidFraming(
        label="a chunk size that is not a number", line="Transfer-Encoding: chunked", body=b"xyz\r\n{}\r\n0\r\n\r\n"
    ),
    _InvalidFraming(label="a negative chunk size", line="Transfer-Encoding: chunked", body=b"-2\r\n{}\r\n0\r\n\r\n"),
)


@check_for(http_clauses.MESSAGE_BOUNDARY)
def nothing_is_read_after_invalid_framing(requester: Requester) -> None:
    """
    A connection is closed after a message whose end cannot be known: neither the bytes behind it nor a later request are
    answered.
    """
    requester.require_permission(Permission.SMUGGLING)
    reference = send_accepted_reference_request(requester)
    run_in_threads(
        lambda framing: _check_boundary(requester, framing, reference),
        _INVALID_FRAMINGS,
        threads=requester.patient_threads(len(_INVALID_FRAMINGS)),
    )


def _check_boundary(requester: Requester, framing: _InvalidFraming, reference: ReferenceAnswer) -> None:
    """Send a message with invalid framing with a valid request behind it, and another valid request later."""
    body = requester.unique_input(f"behind {framing.label}")
    request = raw_request(requester, body, framing.line, sent=framing.body, label=framing.label)
    valid = raw_request(requester, body, f"Content-Length: {len(body)}", sent=body, label=framing.label)
    assert request.raw is not None
    assert valid.raw is not None
    request = replace(request, raw=request.raw + valid.raw, valid_message=False)
    within = max(requester.waits.optional_answer, min(3 * reference.duration, 5.0))
    with requester.raw_connection() as connection:
        first = connection.exchange(request, within=within).answer
        if first is None or first.status < 400:
            return  # covered by other checks
        answered = _next_success(connection, valid, within)
        if answered is None and not connection.is_closed:
            connection.send_request(valid)
            answered = _next_success(connection, valid, within)
    actual = f"status {first.status}, and the bytes after the message were answered as another request"
    requester.record_clause(
        http_clauses.MESSAGE_BOUNDARY,
        request,
        answered or first,
        expected="a closed connection after the rejection",
        actual=None if answered is None else actual,
    )


def _next_success(connection: RawConnection, request: CheckRequest, within: Seconds) -> Answer | None:
    """The next answer on a connection if it is a success."""
    if connection.is_closed:
        return None
    received = connection.read_answer(request, within=within)
    if received.transport is Transport.DEADLINE and not received.raw:
        connection.is_closed = False  # nothing came, so another request may be sent
    return received.answer if received.answer is not None and received.answer.is_success else None


# ------------------------------------------------------------------ resources

_REPEATS = {Depth.QUICK: 40, Depth.STANDARD: 120, Depth.DEEP: 400}
"""How many requests of each kind must not use up the target. Pools have often 10, 20 or 32 places."""
_REMOTE_DIVISOR = 5
_THREADS = 8
_POLL_INTERVAL: Seconds = 0.25

_SendBad = Callable[[Requester, int], bool]
"""Sends one bad request. True if it got no answer by the deadline."""


@check_for(clauses.REQUEST_ISOLATION)
def bad_requests_do_not_use_up_the_target(requester: Requester) -> None:
    """
    After many requests that were rejected, failed or aborted, a valid request is answered as before: nothing that they
    used stays in use.
    """
    before = send_reference_request(requester)
    if before.status is None:
        raise CheckSkipped("needs a target that is not busy")
    count = requester.share(_REPEATS[requester.settings.depth])
    count = count if requester.on_loopback else max(1, count // _REMOTE_DIVISOR)
    for label, send_bad in _bad_requests(requester):
        silent: list[bool] = []

        def send(number: int, send_bad: _SendBad = send_bad, silent: list[bool] = silent) -> None:
            if not silent and send_bad(requester, number):
                silent.append(True)  # each further one would cost a deadline

        run_in_threads(send, range(count), threads=requester.patient_threads(_THREADS))
        if not _works(requester, before, f"{count} {label}"):
            return  # the other kinds would be blamed for it


def _bad_requests(requester: Requester) -> Iterable[tuple[str, _SendBad]]:
    """Kinds of requests that may leave something in use."""
    build = requester.build_request
    yield "aborted bodies", lambda requester, number: _abort(requester, number, at_end=False)
    yield "requests without a waiting client", lambda requester, number: _abort(requester, number, at_end=True)
    yield "malformed bodies", _sending(build(b'{"a":'))
    if (invalid := _with_invalid_argument(requester)) is not None:
        yield "inputs with an invalid argument", _sending(build(invalid))
    yield "unauthenticated requests", _sending(replace(build(), fields=(JSON_TYPE,)))
    yield "bodies with another media type", _sending(build(fields=(("Content-Type", "text/plain"),)))
    yield "requests to another path", _sending(build(path=f"{requester.target.path}/x"))
    if requester.settings.steerable:
        for code in ("application_error", "timeout"):
            yield f"errors `{code}`", _sending(build(fields=(JSON_TYPE, ("X-Emulate", code))))


def _with_invalid_argument(requester: Requester) -> bytes | None:
    """The base input with an argument that the chain rejects, if its schema is known."""
    schema, value = requester.terms.input_schema, parse_json(requester.inputs.base)
    if schema is None or not isinstance(value, dict):
        return None
    found = (with_invalid_argument(value, name, schema.accepts) for name in reversed(value))
    return next((encoded(each) for each in found if each is not None), None)


def _sending(request: CheckRequest) -> _SendBad:
    """Sends a request; its answer is judged by other checks."""
    return lambda requester, _: requester.send_once(request).transport is Transport.DEADLINE


def _abort(requester: Requester, number: int, *, at_end: bool) -> bool:
    """
    Send a request and close the connection, in the middle of the body or before the answer, by turns with a reset. Returns False: no
    answer is awaited.
    """
    # The aborted input is no other's: its output shows if another request gets it.
    body = requester.unique_input(f"aborted {number} {at_end}")
    sent = body if at_end else body[: len(body) // 2]
    request = raw_request(requester, body, f"Content-Length: {len(body)}", sent=sent, label="an aborted request")
    with requester.raw_connection() as connection:
        connection.send_request(request)
        if number % 2:
            connection.reset()
    return False


def _works(requester: Requester, before: ReferenceAnswer, after: str) -> bool:
    """Whether a valid request is answered as before, at once or after a while. Records the result."""
    request = requester.build_request(requester.inputs.base, label=f"a plain request after {after}")
    began = monotonic()
    received = requester.send_once(request)
    for _ in range(round(requester.waits.recovery / _POLL_INTERVAL)):
        if _has_status(received, before.status) or monotonic() - began > requester.waits.recovery:
            break
        requester.pause(_POLL_INTERVAL)
        received = requester.send_once(request)
    answer = received.answer
    if _has_status(received, before.status):
        requester.record(request, received, None)
        requester.record_clause(clauses.REQUEST_ISOLATION, request, answer)
        return True
    if answer is not None and answer.status in BUSY_STATUSES and _retry_after(answer) > requester.waits.recovery:
        raise CheckSkipped(f"the target asked to wait longer than {requester.waits.recovery:g} s (Retry-After)")
    requester.record_clause(
        clauses.REQUEST_ISOLATION,
        request,
        answer,
        expected=f"status {before.status}, as before, within {requester.waits.recovery:g} s",
        actual=f"still status {answer.status}" if answer is not None else received.reason or "no answer",
    )
    return False


def _has_status(received: TransportResult, status: int | None) -> bool:
    """Whether there is an answer with this status."""
    return received.answer is not None and received.answer.status == status


def _retry_after(answer: Answer) -> Seconds:
    """The seconds that an answer asks to wait; 0 if it does not say."""
    value = answer.field("retry-after") or ""
    return float(value) if value.strip().isdecimal() else 0.0


# ------------------------------------------------------------------ pauses


@check_for(clauses.REQUEST_ISOLATION, exclusive=True)
def requests_after_a_pause_are_answered(requester: Requester) -> None:
    """
    After some seconds without requests, the first one is answered as before: on the connection that was idle, unless
    the target has closed it, and on a new one.
    """
    reference = send_reference_request(requester)
    if reference.status is None:
        raise CheckSkipped("needs a target that is not busy")
    failed: list[tuple[CheckRequest, str, Answer | None]] = []
    for _ in range(2):  # one failure may have another reason
        failure = _failure_after_pause(requester, reference)
        if failure is None:
            requester.record_clause(clauses.REQUEST_ISOLATION, requester.build_request())
            return
        failed.append(failure)
    request, actual, answer = failed[-1]
    requester.record_clause(
        clauses.REQUEST_ISOLATION,
        request,
        answer,
        expected=f"status {reference.status}, as before the pause of {requester.waits.idle:g} s",
        actual=actual,
    )


_Failure = tuple[CheckRequest, str, Answer | None]


def _failure_after_pause(requester: Requester, reference: ReferenceAnswer) -> _Failure | None:
    """Send a request, pause, and send two more. The first of these that is not answered as before, or None."""
    with requester.raw_connection() as idle:
        _, before = _exchange(requester, idle, reference, "before a pause")
        if idle.is_closed or before.closes_connection:
            requester.pause(requester.waits.idle)
        else:
            idle.read_unexpected(requester.waits.idle)
        if not idle.is_closed and not before.closes_connection:
            request, received = _exchange(requester, idle, reference, "on the idle connection")
            was_closed = received.transport is Transport.CONNECTION_LOST and not received.raw
            if not was_closed and not _has_status(received, reference.status) and not _has_status(received, 408):
                return _failure(request, received, "on the idle connection")
    with requester.raw_connection() as connection:
        request, received = _exchange(requester, connection, reference, "on a new connection")
    if not _has_status(received, reference.status):
        return _failure(request, received, "on a new connection")
    requester.record(request, received, None)
    return None


def _exchange(
    requester: Requester, connection: RawConnection, reference: ReferenceAnswer, purpose: str
) -> tuple[CheckRequest, TransportResult]:
    """Send a valid request on a connection. Returns it with what came back."""
    body = requester.unique_input(f"a pause: {purpose}")
    request = requester.prepare(requester.build_request(body, label="a request after a pause"))
    return request, connection.exchange(request, within=reference.timeout(requester.settings.deadline))


def _failure(request: CheckRequest, received: TransportResult, where: str) -> _Failure:
    """A request that was not answered as before, with words for what came back."""
    answer = received.answer
    return request, f"status {answer.status} {where}" if answer is not None else f"no answer {where}", answer
