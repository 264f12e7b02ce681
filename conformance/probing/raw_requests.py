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
from chainproof.contract.violations import Departure, departures
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation
from ..transport.connection import Reception
from ..transport.raw_connection import Conversation
from ..transport.request import Request
from .requester import BUSY, Examination, Observation

_LEAST: Seconds = 2.0
"""Seconds that any answer may take, however fast the plain one came."""

_BEHIND = "behind the answer's end"

REFUSALS = frozenset({400, 408, 411, 413, 414, 417, 421, 426, 429, 431, 501, 503, 505})
"""How a server refuses a message rather than what it asks: in whatever media type, or by closing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plainly:
    """
    What the plain request is answered with.
    """

    status: int | None
    """None where it is not answered, or not alike every time."""
    took: Seconds

    def patience(self, deadline: Seconds) -> Seconds:
        """How long the same request may take otherwise framed."""
        return min(deadline, max(_LEAST, 20 * self.took))

    def expects(self, clause: Clause) -> Expectation | None:
        """The same status again, by a clause."""
        if self.status is None:
            return None
        return Expectation(
            clause=clause,
            expected=f"status {self.status}, as the plain request gets",
            keeps=lambda answer: answer.status == self.status,
        )


def plainly(examination: Examination) -> Plainly:
    """
    Ask plainly, busy answers aside.
    """
    began = monotonic()
    answer = examination.ask_plainly(body_of_its_own(examination, "plainly"))
    status = None if answer is None or answer.status in BUSY else answer.status
    return Plainly(status=status, took=monotonic() - began)


def body_of_its_own(examination: Examination, purpose: str, size: int = 0) -> bytes:
    """
    An object that no other request has, where the chain takes any; else the plainest that it takes.
    """
    if not examination.settings.echo:
        return examination.plain
    token = f"{examination.chance(purpose).getrandbits(64):016x}"
    # Characters and escapes that a cut may fall into.
    return (
        orjson.dumps({"token": token, "text": "Grüße, 日本, 😀", "padding": "x" * size})[:-1]
        + rb',"escaped":"\u00e9\n"}'
    )


def framed(
    examination: Examination,
    body: bytes,
    *lines: str,
    sent: bytes,
    label: str,
    version: str = "HTTP/1.1",
    target: str | None = None,
    hosts: tuple[str, ...] | None = None,
    before: bytes = b"",
) -> Request:
    """
    A request with the right key that means *body*, its head made of *lines* besides Host and the fields that every request
    has, and of what is *sent* behind it.
    """
    request = examination.prepared(examination.request(body, label=label))
    authority = examination.target.authority
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


def heard(
    examination: Examination,
    request: Request,
    reception: Reception,
    expected: Expectation | None,
    *,
    advice: bool = False,
) -> Observation | None:
    """
    Enter an answer to a request whose framing is what is special, and what became of the expectation. Where it is only
    *advice* to take such a request, a refusal in HTTP's own terms is entered as that.
    """
    answer = reception.answer
    if expected is None:
        return examination.enter(request, reception, None)
    if answer is None and not reception.misframed and reception.transport is not Transport.ANSWERED:
        said = "no answer" if reception.transport is Transport.DEADLINE else "the connection closed without one"
        clause = clauses.HTTP_ADVICE if advice and reception.transport is not Transport.DEADLINE else expected.clause
        examination.hold(clause, Departure(clause=clause, expected=expected.expected, actual=said), request)
        return None
    busy = answer is not None and answer.status in BUSY
    # A refusal of a server's own, which has no other form than a failure, says nothing of being busy.
    if busy and not (advice and answer is not None and departures(answer, examination.settings.contract)):
        return examination.enter(request, reception, None)
    refused = answer is not None and (400 <= answer.status < 500 or answer.status in REFUSALS)
    if advice and answer is not None and refused and not expected.keeps(answer):
        departure = Departure(clause=clauses.HTTP_ADVICE, expected=expected.expected, actual=f"status {answer.status}")
        examination.hold(clauses.HTTP_ADVICE, departure, request, answer)
        return None
    if advice:
        examination.hold(clauses.HTTP_ADVICE, None, request, answer)
    if (
        answer is not None
        and not expected.keeps(answer)
        and (not reception.misframed or _BEHIND in reception.misframed)
    ):
        # Its media type and its members are those of a refusal that should not have been, and what stands behind it is
        # the answer to the rest of the request: one departure, not three.
        examination.hold(expected.clause, expected.departure(answer), request, answer)
        return None
    return examination.enter(request, reception, expected)


def conversed(
    examination: Examination,
    request: Request,
    *pieces: bytes,
    pause: Seconds = 0.0,
    within: Seconds,
    http_1_0: bool = False,
) -> tuple[Reception, bytes, bool]:
    """
    Say one request over a connection of its own, and listen: its answer, what came behind it, and whether it was closed.
    """
    with examination.conversation() as talk:
        talk.say(request, *pieces, pause=pause)
        reception = talk.hear(request, within=within, http_1_0=http_1_0)
        behind = talk.overheard() if reception.transport is Transport.ANSWERED and not talk.ended else b""
        return with_stray(reception, behind), behind, talk.ended


def with_stray(reception: Reception, behind: bytes) -> Reception:
    """
    What came back, with what stood behind it held against it.
    """
    if not behind or reception.misframed:
        return reception
    return replace(reception, misframed=f"{len(behind)} bytes {_BEHIND}", raw=reception.raw + behind)


def answers(talk: Conversation, request: Request, within: Seconds, most: int) -> Iterator[Answer]:
    """
    Whatever answers come, until nothing more does.
    """
    for _ in range(most):
        reception = talk.hear(request, within=within)
        if reception.answer is None:
            return
        yield reception.answer
        if talk.ended or reception.closes:
            return
