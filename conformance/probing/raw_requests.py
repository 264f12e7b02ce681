"""
The same request, framed otherwise: bytes that mean what a plain one means, or that mean nothing.

What such a request is answered with is held against the answer to the plain one, so that nothing need be known of the
chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import orjson

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.violations import Violation, violations
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation
from ..judging.judge import BUSY_STATUSES
from ..transport.connection import TransportResult
from ..transport.raw_connection import RawConnection
from ..transport.request import CheckRequest
from .requester import JudgedAnswer, Requester

_LEAST: Seconds = 2.0
"""Seconds that any answer may take, however fast the plain one came."""

_BEHIND = "behind the answer's end"

HTTP_REFUSAL_STATUSES = frozenset({400, 408, 411, 413, 414, 417, 421, 426, 429, 431, 501, 503, 505})
"""How a server refuses a message rather than what it asks: in whatever media type, or by closing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAnswer:
    """
    What the plain request is answered with.
    """

    status: int | None
    """None where it is not answered, or not alike every time."""
    duration: Seconds

    def timeout(self, deadline: Seconds) -> Seconds:
        """How long the same request may take otherwise framed."""
        return min(deadline, max(_LEAST, 20 * self.duration))

    def same_status(self, clause: Clause) -> Expectation | None:
        """The same status again, by a clause."""
        if self.status is None:
            return None
        return Expectation(
            clause=clause,
            expected=f"status {self.status}, as the plain request gets",
            is_met_by=lambda answer: answer.status == self.status,
        )


def send_reference_request(requester: Requester) -> ReferenceAnswer:
    """
    Ask plainly, busy answers aside.
    """
    began = monotonic()
    answer = requester.send_valid_body(unique_body(requester, "plainly"))
    status = None if answer is None or answer.status in BUSY_STATUSES else answer.status
    return ReferenceAnswer(status=status, duration=monotonic() - began)


def unique_body(requester: Requester, purpose: str, size: int = 0) -> bytes:
    """
    An object that no other request has, where the chain takes any; else the plainest that it takes.
    """
    if not requester.settings.echo:
        return requester.minimal_body
    token = f"{requester.rng(purpose).getrandbits(64):016x}"
    # Characters and escapes that a cut may fall into.
    return (
        orjson.dumps({"token": token, "text": "Grüße, 日本, 😀", "padding": "x" * size})[:-1]
        + rb',"escaped":"\u00e9\n"}'
    )


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
) -> CheckRequest:
    """
    A request with the right key that means *body*, its head made of *lines* besides Host and the fields that every request
    has, and of what is *sent* behind it.
    """
    request = requester.prepare(requester.build_request(body, label=label))
    authority = requester.target.authority
    head = [f"{request.method} {target or request.path} {version}"]
    head += [f"Host: {authority}"] if hosts is None else list(hosts)
    head += [f"{name}: {value}" for name, value in request.fields]
    return replace(request, raw=before + "\r\n".join((*head, *lines, "", "")).encode("latin-1") + sent)


def chunked(body: bytes, size: int, form: str = "%x", extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """
    A body in chunks of a size.
    """
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = [(form % len(piece)).encode() + extension + b"\r\n" + piece + b"\r\n" for piece in pieces]
    return b"".join(chunks) + (form % 0).encode() + extension + b"\r\n" + trailer + b"\r\n"


def record_framed(
    requester: Requester,
    request: CheckRequest,
    received: TransportResult,
    expected: Expectation | None,
    *,
    may_refuse: bool = False,
) -> JudgedAnswer | None:
    """
    Enter an answer to a request whose framing is what is special, and what became of the expectation. Where it is only
    *advice* to take such a request, a refusal in HTTP's own terms is entered as that.
    """
    answer = received.answer
    if expected is None:
        return requester.record(request, received, None)
    if answer is None and not received.framing_error and received.transport is not Transport.ANSWERED:
        said = "no answer" if received.transport is Transport.DEADLINE else "the connection closed without one"
        clause = (
            clauses.HTTP_RECOMMENDATIONS
            if may_refuse and received.transport is not Transport.DEADLINE
            else expected.clause
        )
        requester.record_clause(clause, Violation(clause=clause, expected=expected.expected, actual=said), request)
        return None
    busy = answer is not None and answer.status in BUSY_STATUSES
    # A refusal of a server's own, which has no other form than a failure, says nothing of being busy.
    if busy and not (may_refuse and answer is not None and violations(answer, requester.settings.contract)):
        return requester.record(request, received, None)
    refused = answer is not None and (400 <= answer.status < 500 or answer.status in HTTP_REFUSAL_STATUSES)
    if may_refuse and answer is not None and refused and not expected.is_met_by(answer):
        violation = Violation(
            clause=clauses.HTTP_RECOMMENDATIONS, expected=expected.expected, actual=f"status {answer.status}"
        )
        requester.record_clause(clauses.HTTP_RECOMMENDATIONS, violation, request, answer)
        return None
    if may_refuse:
        requester.record_clause(clauses.HTTP_RECOMMENDATIONS, None, request, answer)
    if (
        answer is not None
        and not expected.is_met_by(answer)
        and (not received.framing_error or _BEHIND in received.framing_error)
    ):
        # Its media type and its members are those of a refusal that should not have been, and what stands behind it is
        # the answer to the rest of the request: one violation, not three.
        requester.record_clause(expected.clause, expected.violation(answer), request, answer)
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
    """
    Say one request over a connection of its own, and listen: its answer, what came behind it, and whether it was closed.
    """
    with requester.raw_connection() as talk:
        talk.send_request(request, *pieces, pause=pause)
        received = talk.read_answer(request, within=within, http_1_0=http_1_0)
        behind = talk.read_unexpected() if received.transport is Transport.ANSWERED and not talk.is_closed else b""
        return with_trailing_bytes(received, behind), behind, talk.is_closed


def with_trailing_bytes(received: TransportResult, behind: bytes) -> TransportResult:
    """
    What came back, with what stood behind it held against it.
    """
    if not behind or received.framing_error:
        return received
    return replace(received, framing_error=f"{len(behind)} bytes {_BEHIND}", raw=received.raw + behind)


def read_answers(talk: RawConnection, request: CheckRequest, within: Seconds, most: int) -> Iterator[Answer]:
    """
    Whatever answers come, until nothing more does.
    """
    for _ in range(most):
        received = talk.read_answer(request, within=within)
        if received.answer is None:
            return
        yield received.answer
        if talk.is_closed or received.closes_connection:
            return
