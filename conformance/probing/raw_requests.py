"""
Builds and sends requests with unusual or invalid framing, and judges their answers.

The answer is compared with the one to a reference request with normal framing, so that the chain need not be known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.clauses import Clause
from chainproof.contract.violations import violations
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation
from ..judging.judge import BUSY_STATUSES
from ..transport.check_skipped import CheckSkipped
from ..transport.connection import TRAILING_BYTES, TransportResult, with_trailing_bytes
from ..transport.request import CheckRequest, chunked
from .answer_recorder import JudgedExchange
from .requester import Requester

_MIN_TIMEOUT: Seconds = 5.0
"""Seconds that any answer may take, however fast the reference answer was: a busy machine stops for a second or two at times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAnswer:
    """The answer to a valid request with normal framing."""

    status: int | None
    """None if there was no answer, or only busy ones."""
    duration: Seconds

    def timeout(self, deadline: Seconds) -> Seconds:
        """How long the same request may take with other framing."""
        return min(deadline, max(_MIN_TIMEOUT, 20 * self.duration))

    def same_status(self, clause: Clause) -> Expectation | None:
        """The expectation of the same status, or None if it is unknown."""
        if self.status is None:
            return None
        return Expectation(
            clause=clause,
            expected=f"status {self.status}, as for a request with normal framing",
            is_met_by=lambda answer: answer.status == self.status,
        )


def send_reference_request(requester: Requester) -> ReferenceAnswer:
    """Send a valid request with normal framing. Raises CheckSkipped if no input is known that the chain accepts."""
    requester.require_accepted_input()
    began = monotonic()
    answer = requester.send_valid_body(requester.unique_input("plainly"))
    status = None if answer is None or answer.status in BUSY_STATUSES else answer.status
    return ReferenceAnswer(status=status, duration=monotonic() - began)


def send_accepted_reference_request(requester: Requester) -> ReferenceAnswer:
    """Send a valid request with normal framing. Raises CheckSkipped if it is not accepted."""
    reference = send_reference_request(requester)
    if reference.status is None or reference.status >= 300:
        requester.require_accepted_input()
        raise CheckSkipped("needs an input that the chain accepts")
    return reference


def accepted_size(requester: Requester, reference: ReferenceAnswer, sizes: Iterable[int]) -> int:
    """
    The largest of several sizes with which a valid request with normal framing is answered as a short one is; 0 if none.

    A size is the number of bytes that are added to the body. A target may limit bodies, which another check judges.
    """
    for size in sorted(set(sizes), reverse=True):
        answer = requester.send_valid_body(requester.unique_input(f"plainly {size}", size)) if size else None
        if answer is not None and answer.status == reference.status:
            return size
    return 0


def raw_request(
    requester: Requester,
    body: bytes,
    *lines: str,
    sent: bytes,
    label: str,
    version: str = "HTTP/1.1",
    target: str | None = None,
    hosts: tuple[str, ...] | None = None,
    before: bytes = b"",
    with_key: bool = True,
) -> CheckRequest:
    """
    A request with the right key, unless *with_key* is false, as raw bytes: *before*, the head, and *sent*, the body as it is framed.

    The head has the request line, Host, the fields of every request, and *lines*. The unframed *body* is what an echo
    chain has to return.
    """
    request = requester.prepare(requester.build_request(body, label=label))
    authority = requester.target.authority
    head = [f"{request.method} {target or request.path} {version}"]
    head += [f"Host: {authority}"] if hosts is None else list(hosts)
    fields = [field for field in request.fields if with_key or field[0].lower() != "authorization"]
    head += [f"{name}: {value}" for name, value in fields]
    return replace(request, raw=before + "\r\n".join((*head, *lines, "", "")).encode("latin-1") + sent)


def accepts_chunks(requester: Requester, reference: ReferenceAnswer) -> bool:
    """True if a plain chunked body is answered like one with a Content-Length: what is special about chunks can be tested."""
    if reference.status is None:
        return False
    body = requester.unique_input("in one chunk")
    request = raw_request(
        requester,
        body,
        "Transfer-Encoding: chunked",
        sent=chunked(body, len(body)),
        label="one chunk",
    )
    received, _, _ = exchange_raw(requester, request, within=reference.timeout(requester.settings.deadline))
    return received.status == reference.status


def record_framed(
    requester: Requester, request: CheckRequest, received: TransportResult, expected: Expectation | None
) -> JudgedExchange | None:
    """Judge the answer to a request with special framing, and enter the result. Returns None if only one clause was judged."""
    answer = received.answer
    if expected is None or requester.is_rejected_by_version(request, received):
        return requester.record(request, received, None)
    if answer is None and not received.framing_error and received.transport is not Transport.ANSWERED:
        known = {Transport.DEADLINE: "no answer", Transport.TOO_LARGE: received.reason}
        actual = known.get(received.transport, "the connection was closed without an answer")
        requester.record_clause(expected.clause, request, expected=expected.expected, actual=actual)
        return None
    if answer is None:
        return requester.record(request, received, expected)
    # A server that rejects unusual requests may do so with a busy status. It differs from a busy target's by not having
    # the documented form.
    is_own_rejection = expected.clause is not clauses.REQUEST_FRAMING and violations(
        answer, requester.settings.contract
    )
    if answer.status in BUSY_STATUSES and not is_own_rejection:
        return requester.record(request, received, None)
    violation = expected.violation(answer)
    if violation is not None and (not received.framing_error or TRAILING_BYTES in received.framing_error):
        # One violation, not three: the rejection's own form does not matter, and the bytes after it answer the rest of
        # the request.
        requester.record_violation(violation, request, answer)
        return None
    return requester.record(request, received, expected)


def exchange_raw(
    requester: Requester,
    request: CheckRequest,
    *pieces: bytes,
    pause: Seconds = 0.0,
    within: Seconds,
    http_1_0: bool = False,
) -> tuple[TransportResult, bytes, bool]:
    """Send one request on a new connection. Returns the answer, the bytes after it, and whether the connection was closed."""
    with requester.raw_connection() as connection:
        received = connection.exchange(request, *pieces, pause=pause, within=within, http_1_0=http_1_0)
        is_open = received.transport is Transport.ANSWERED and not connection.is_closed
        trailing = connection.read_unexpected() if is_open else b""
        return with_trailing_bytes(received, trailing), trailing, connection.is_closed
