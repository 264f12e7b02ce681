"""
Requests with invalid, contradictory or truncated framing are rejected, and no part of one is read as another request.

Each sentence of the RFCs is a clause of its own; docs/http-servers.md says which ones common servers keep. A server may
reject such a message with any HTTP status and media type, or by closing the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chainproof.clock import Seconds
from chainproof.contract import http_clauses
from chainproof.contract.answer import Answer
from chainproof.contract.levels import Clause

from ..inputs.invalid_messages import CHUNKED, INVALID_MESSAGES, SMUGGLING_HEADERS, InvalidMessage
from ..judging.judge import BUSY_STATUSES, HTTP_REJECTION_STATUSES
from ..options import Permission
from ..probing.concurrency import run_in_threads
from ..probing.raw_requests import (
    ReferenceAnswer,
    accepts_chunks,
    raw_request,
    send_accepted_reference_request,
)
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.raw_connection import RawConnection
from ..transport.request import CheckRequest, chunked, request_bytes
from . import check_for
from .credentials import request_without_key

_THREADS = 8
_MAX_ANSWERS = 4
"""Answers that are read on one connection."""


@check_for(
    *dict.fromkeys(invalid.clause for invalid in INVALID_MESSAGES),
    http_clauses.MALFORMED_ANSWERED,
    http_clauses.MESSAGE_BOUNDARY,
    title="invalid HTTP messages are rejected",
)
def invalid_http_messages_are_rejected(requester: Requester) -> None:
    """A message with invalid or ambiguous framing or header fields is rejected, or gets no answer."""
    reference = _accepted_reference(requester)
    takes_chunks = accepts_chunks(requester, reference)

    def check(invalid: InvalidMessage) -> None:
        request = _invalid_request(requester, invalid)
        _record_rejection(requester, request, _answers(requester, request, reference), invalid.clause)

    sent = [each for each in INVALID_MESSAGES if takes_chunks or each.lines is not CHUNKED]
    requester.run_each(check, sent, _THREADS)


def _accepted_reference(requester: Requester) -> ReferenceAnswer:
    """The answer to a valid request. Raises CheckSkipped if it is not accepted: then a rejection shows nothing."""
    requester.require_permission(Permission.SMUGGLING)
    return send_accepted_reference_request(requester)


@check_for(http_clauses.BARE_CR, http_clauses.FOLDED_FIELD, title="only a line end begins another header field")
def only_a_line_end_begins_another_header_field(requester: Requester) -> None:
    """A key after a bare CR or on a folded line belongs to another header field, and does not authenticate."""
    reference = _accepted_reference(requester)
    authorization = f"Authorization: {requester.key.authorization}"

    _require_authentication(requester, reference)
    for clause, label, line in (
        (http_clauses.BARE_CR, "a key after a bare CR in a header field", f"X-Chainproof: a\r{authorization}"),
        (http_clauses.FOLDED_FIELD, "a key on a folded line after a space", f"X-Chainproof: a\r\n {authorization}"),
        (http_clauses.FOLDED_FIELD, "a key on a folded line after a tab", f"X-Chainproof: a\r\n\t{authorization}"),
    ):
        request, answers = _answers_without_key(requester, reference, label, line)
        accepted = next((answer for answer in answers if answer.is_success), None)
        if accepted is None:
            requester.record_rejection(clause)
        else:
            _record_violation(requester, request, accepted, "a part of a header field read as another one", clause)


def _require_authentication(requester: Requester, reference: ReferenceAnswer) -> None:
    """Skip the check if requests without a key are accepted: nothing can then bypass the authentication."""
    _, answers = _answers_without_key(requester, reference, "no Authorization")
    if any(answer.is_success for answer in answers):
        raise CheckSkipped("needs a target that rejects requests without a key")


def _answers_without_key(
    requester: Requester, reference: ReferenceAnswer, label: str, *lines: str
) -> tuple[CheckRequest, list[Answer]]:
    """A request with some header lines but without Authorization, and its answers."""
    body = requester.unique_input(label)
    all_lines = (*lines, f"Content-Length: {len(body)}")
    request = raw_request(requester, body, *all_lines, sent=body, label=label, with_key=False)
    return request, _answers(requester, request, reference)


def _invalid_request(requester: Requester, invalid: InvalidMessage) -> CheckRequest:
    """The invalid message as a request."""
    body = requester.unique_input(invalid.label)
    values = {
        "length": len(body),
        "more": len(body) + 1,
        "hex": f"{len(body):x}",
        "wrapped32": 2**32 + len(body),
        "wrapped64": 2**64 + len(body),
        "authority": requester.target.authority,
    }
    return raw_request(
        requester,
        body,
        *(line.format(**values) for line in invalid.lines),
        sent=invalid.sent(body),
        label=invalid.label,
        version=invalid.version,
        hosts=None if invalid.hosts is None else tuple(host.format(**values) for host in invalid.hosts),
    )


# ------------------------------------------------------------------ request smuggling


@check_for(*dict.fromkeys(clause for clause, _, _ in SMUGGLING_HEADERS))
def bodies_cannot_smuggle_requests(requester: Requester) -> None:
    """
    A chunked message with a Content-Length is read as chunked or rejected (RFC 9112 §6.3): the content of a chunk is
    never a request.
    """
    reference = _accepted_reference(requester)

    def check(smuggled: tuple[Clause, str, tuple[str, ...]]) -> None:
        clause, label, lines = smuggled
        body = requester.unique_input(f"within {label}")
        hidden = raw_request(requester, body, f"Content-Length: {len(body)}", sent=body, label=label).raw
        assert hidden is not None
        size = b"%x\r\n" % len(hidden)
        length = f"Content-Length: {len(size)}"
        header_lines = (length, *lines) if lines[-1] else (*lines[:-1], length)
        request = raw_request(requester, body, *header_lines, sent=size + hidden + b"\r\n0\r\n\r\n", label=label)
        for answer in _answers(requester, request, reference):
            if answer.is_success:
                _record_violation(requester, request, answer, "a request inside the body was answered", clause)
                return
        requester.record_rejection(clause)

    run_in_threads(check, SMUGGLING_HEADERS, threads=requester.patient_threads(_THREADS))


@check_for(http_clauses.MESSAGE_BOUNDARY)
def data_after_a_body_does_not_inherit_its_credentials(requester: Requester) -> None:
    """
    Bytes after a complete message are another message: garbage is rejected, and a request without a key is
    unauthenticated.
    """
    reference = _accepted_reference(requester)
    _require_authentication(requester, reference)
    unauthenticated = _request_bytes_without_key(requester, requester.inputs.base)
    for label, rest, lines in (
        ("a body longer than its Content-Length", b'{"more":1}\r\n\r\n', ("Content-Length: {length}",)),
        ("a request without a key after one with the key", unauthenticated, ("Content-Length: {length}",)),
        ("a request without a key after a chunked one", unauthenticated, CHUNKED),
    ):
        body = requester.unique_input(label)
        sent = (chunked(body, 40) if lines is CHUNKED else body) + rest
        request = raw_request(
            requester, body, *(line.format(length=len(body)) for line in lines), sent=sent, label=label
        )
        answers = _answers(requester, request, reference)
        if sum(answer.is_success for answer in answers) > 1:
            actual = "the bytes after the body were answered as an authenticated request"
            _record_violation(requester, request, answers[-1], actual, http_clauses.MESSAGE_BOUNDARY)
        else:
            requester.record_rejection(http_clauses.MESSAGE_BOUNDARY)


def _request_bytes_without_key(requester: Requester, body: bytes) -> bytes:
    """The bytes of a request without credentials."""
    head = (
        f"POST {requester.target.path} HTTP/1.1",
        f"Host: {requester.target.authority}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode("latin-1") + body


@check_for(
    http_clauses.MESSAGE_BOUNDARY, title="a body announced with `Expect: 100-continue` is never read as a request"
)
def an_expected_body_is_never_read_as_a_request(requester: Requester) -> None:
    """
    After a rejection that the body did not precede, the body is still no request: the target reads and discards it, or
    closes the connection.
    """
    reference = _accepted_reference(requester)
    _require_authentication(requester, reference)
    body = requester.inputs.base
    hidden = request_bytes(requester.prepare(requester.build_request(body)), requester.target)
    expect = ("Expect", "100-continue")
    for request in (
        request_without_key(requester, expect, label="no Authorization, with `Expect: 100-continue`", body=hidden),
        requester.build_request(
            hidden,
            fields=(("Content-Type", "text/plain"), expect),
            label="another media type, with `Expect: 100-continue`",
        ),
    ):
        prepared = requester.prepare(replace(request, valid_message=False))
        answers = _answers_to_expectation(requester, prepared, hidden, reference)
        if answers and answers[0].is_success:
            continue  # it was not rejected, so its body shows nothing
        accepted = next((each for each in answers if each.is_success), None)
        if accepted is None:
            requester.record_rejection(http_clauses.MESSAGE_BOUNDARY)
        else:
            actual = "the body of a rejected request was answered as another request"
            _record_violation(requester, prepared, accepted, actual, http_clauses.MESSAGE_BOUNDARY)


def _answers_to_expectation(
    requester: Requester, request: CheckRequest, body: bytes, reference: ReferenceAnswer
) -> list[Answer]:
    """Every answer to a request whose body is sent after something has come back."""
    with requester.raw_connection() as connection:
        connection.send_request(request, request_bytes(request, requester.target).removesuffix(body))
        connection.wait_for_bytes(requester.waits.continue_answer)
        connection.send_bytes(body)
        return _read_answers(requester, connection, request, reference)


# ------------------------------------------------------------------ truncation


@check_for(http_clauses.INCOMPLETE_BODY, http_clauses.INCOMPLETE_AT_CLOSE)
def truncated_requests_are_rejected(requester: Requester) -> None:
    """
    A body that ends before its length or its last chunk is not accepted, even if it is an object so far or the
    connection ends there.
    """
    reference = _accepted_reference(requester)

    def check(truncation: tuple[str, tuple[str, ...], Callable[[bytes], bytes]]) -> None:
        label, lines, sent = truncation
        body = requester.unique_input(label)
        header_lines = (line.format(more=len(body) + 2) for line in lines)
        request = raw_request(requester, body, *header_lines, sent=sent(body), label=label)
        for finish in (False, True):
            with requester.raw_connection() as connection:
                connection.send_request(request)
                if finish and not connection.close_writing():
                    return
                received = connection.read_answer(request, within=_optional_answer_timeout(requester, reference))
            answer = received.answer
            # A WSGI server does not tell its application that the connection ended early: the body looks complete.
            # And a proxy may end an exchange whose client has left with an empty 200.
            looks_complete = finish and (label == _LOOKS_COMPLETE or (answer is not None and not answer.body))
            clause = http_clauses.INCOMPLETE_AT_CLOSE if looks_complete else http_clauses.INCOMPLETE_BODY
            _record_rejection(requester, request, [] if answer is None else [answer], clause)

    run_in_threads(check, _TRUNCATIONS, threads=requester.patient_threads(_THREADS))


_LOOKS_COMPLETE = "a body shorter than its Content-Length"

_TRUNCATIONS: tuple[tuple[str, tuple[str, ...], Callable[[bytes], bytes]], ...] = (
    (_LOOKS_COMPLETE, ("Content-Length: {more}",), lambda body: body),
    ("a body that ends inside its object", ("Content-Length: {more}",), lambda body: body[:-1]),
    ("a message that ends inside a chunk", CHUNKED, lambda body: b"%x\r\n" % (len(body) + 2) + body),
    (
        "a message that ends after a chunk, without the last one",
        CHUNKED,
        lambda body: b"%x\r\n" % len(body) + body + b"\r\n",
    ),
)


# ------------------------------------------------------------------ answers


def _answers(requester: Requester, request: CheckRequest, reference: ReferenceAnswer) -> list[Answer]:
    """Every answer to a message, in whatever format the server rejects it."""
    with requester.raw_connection() as connection:
        connection.send_request(request)
        return _read_answers(requester, connection, request, reference)


def _read_answers(
    requester: Requester, connection: RawConnection, request: CheckRequest, reference: ReferenceAnswer
) -> list[Answer]:
    """Every answer that comes on a connection."""
    answers: list[Answer] = []
    within = _optional_answer_timeout(requester, reference)
    while len(answers) < _MAX_ANSWERS:
        received = connection.read_answer(request, within=within)
        if received.answer is None:
            break
        answers.append(received.answer)
        if connection.is_closed or received.closes_connection:
            break
        within = requester.waits.optional_answer / 4
    return answers


def _optional_answer_timeout(requester: Requester, reference: ReferenceAnswer) -> Seconds:
    """Time to wait for an answer that need not come."""
    return max(requester.waits.optional_answer, min(3 * reference.duration, 5.0))


def _record_rejection(requester: Requester, request: CheckRequest, answers: list[Answer], clause: Clause) -> None:
    """Record whether an invalid message was rejected."""
    crashed = next(
        (each for each in answers if each.status >= 500 and each.status not in HTTP_REJECTION_STATUSES | BUSY_STATUSES),
        None,
    )
    accepted = next((each for each in answers if each.is_success), None)
    if len(answers) > 1 and any(each.is_success for each in answers[1:]):
        actual = "a part of an invalid message was answered as another request"
        _record_violation(requester, request, answers[-1], actual, http_clauses.MESSAGE_BOUNDARY)
    elif crashed is not None:
        # An application that reads the body itself may crash on an invalid one; it accepted nothing.
        actual = f"status {crashed.status} to an invalid or incomplete message"
        _record_violation(requester, request, crashed, actual, http_clauses.MALFORMED_ANSWERED)
    elif accepted is not None:
        _record_violation(
            requester, request, accepted, f"status {accepted.status} to an invalid or incomplete message", clause
        )
    else:
        requester.record_rejection(clause)
        if answers:
            requester.record_clause(http_clauses.MALFORMED_ANSWERED, request)


def _record_violation(requester: Requester, request: CheckRequest, answer: Answer, actual: str, clause: Clause) -> None:
    """Record a violation."""
    expected = "an HTTP error status, or a closed connection"
    requester.record_clause(clause, request, answer, expected=expected, actual=actual)
