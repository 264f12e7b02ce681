"""
Requests whose framing is invalid, says two things, or ends too early: none is taken for a whole one, and no part of one for
another.

What well-kept servers let pass by default is worth no more than a word; what none of them lets pass is a finding. How a
server refuses is its own affair: any status of HTTP's own, in any media type, or no more than the connection's end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.violations import Violation

from ..judging.judge import BUSY_STATUSES
from ..options import Permission
from ..probing.raw_requests import (
    HTTP_REFUSAL_STATUSES,
    ReferenceAnswer,
    chunked,
    raw_request,
    send_reference_request,
    unique_body,
)
from ..probing.requester import Requester
from ..transport.request import CheckRequest
from . import check_for

_AT_ONCE = 8
_MOST = 4
"""Answers that are listened to."""


class AcceptedBy(Enum):
    """
    What it means to answer such a request with a 2xx.
    """

    NO_SERVER = "none of the well-kept servers takes it"
    SOME_SERVERS = "some well-kept servers take it, or RFC 9110 §5.5 has it mended, or nobody comes to harm"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidMessage:
    """
    One way to get a request wrong. `{length}` is the body's length, `{more}` one more than that.
    """

    label: str
    lines: tuple[str, ...] = ("Content-Length: {length}",)
    sent: Callable[[bytes], bytes] = lambda body: body
    accepted_by: AcceptedBy = AcceptedBy.NO_SERVER
    hosts: tuple[str, ...] | None = None
    version: str = "HTTP/1.1"


_CHUNKED = ("Transfer-Encoding: chunked",)
_LENGTH = "Content-Length: {length}"


def _plain_chunks(body: bytes) -> bytes:
    """
    The body in valid chunks.
    """
    return chunked(body, 40)


def _sized(form: str) -> Callable[[bytes], bytes]:
    """
    The body in one chunk whose size is spelled so.
    """
    return lambda body: (form % len(body)).encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"


def _wrapped(bits: int) -> Callable[[bytes], bytes]:
    """
    The body in one chunk whose size is right when it is counted in so many bits.
    """
    return lambda body: b"%x\r\n%b\r\n0\r\n\r\n" % (2**bits + len(body), body)


def _coded(label: str, *lines: str, accepted_by: AcceptedBy = AcceptedBy.NO_SERVER) -> InvalidMessage:
    """
    A body in chunks under another spelling of the coding, its length given as well.
    """
    return InvalidMessage(label=label, lines=lines, sent=_plain_chunks, accepted_by=accepted_by)


INVALID_MESSAGES: tuple[InvalidMessage, ...] = (
    InvalidMessage(
        label="two lengths",
        lines=(_LENGTH, "Content-Length: {more}"),
        sent=lambda body: body + b" ",
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(
        label="two lengths, the longer first",
        lines=("Content-Length: {more}", _LENGTH),
        sent=lambda body: body + b" ",
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(
        label="two lengths in one field", lines=("Content-Length: {length}, {more}",), sent=lambda body: body + b" "
    ),
    InvalidMessage(label="a negative length", lines=("Content-Length: -{length}",)),
    InvalidMessage(
        label="a length of another base", lines=("Content-Length: 0x{hex}",), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(
        label="a length with a sign", lines=("Content-Length: +{length}",), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(
        label="a length with an underscore", lines=("Content-Length: 0_{length}",), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(
        label="a length with a fraction", lines=("Content-Length: {length}.0",), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(label="a length that wraps in 32 bits", lines=("Content-Length: {wrapped32}",)),
    InvalidMessage(label="a length that wraps in 64 bits", lines=("Content-Length: {wrapped64}",)),
    _coded("an unknown transfer coding", "Transfer-Encoding: xchunked", accepted_by=AcceptedBy.SOME_SERVERS),
    _coded("chunks under another coding", "Transfer-Encoding: chunked, gzip", accepted_by=AcceptedBy.SOME_SERVERS),
    _coded("chunks twice", "Transfer-Encoding: chunked, chunked", accepted_by=AcceptedBy.SOME_SERVERS),
    _coded("a coding behind a vertical tab", "Transfer-Encoding:\x0bchunked", accepted_by=AcceptedBy.SOME_SERVERS),
    _coded("a coding in quotation marks", 'Transfer-Encoding: "chunked"', accepted_by=AcceptedBy.SOME_SERVERS),
    _coded(
        "a blank before the colon of Transfer-Encoding",
        "Transfer-Encoding : chunked",
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(
        label="chunks in HTTP/1.0",
        lines=_CHUNKED,
        sent=_plain_chunks,
        version="HTTP/1.0",
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(label="a negative chunk size", lines=_CHUNKED, sent=_sized("-%x")),
    InvalidMessage(
        label="a chunk size with 0x", lines=_CHUNKED, sent=_sized("0x%x"), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(
        label="a chunk size with a sign", lines=_CHUNKED, sent=_sized("+%x"), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(
        label="a chunk size with an underscore",
        lines=_CHUNKED,
        sent=_sized("0_%x"),
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(
        label="a chunk size behind a blank", lines=_CHUNKED, sent=_sized(" %x"), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(label="a chunk size that wraps in 32 bits", lines=_CHUNKED, sent=_wrapped(32)),
    InvalidMessage(label="a chunk size that wraps in 64 bits", lines=_CHUNKED, sent=_wrapped(64)),
    InvalidMessage(label="no chunk size", lines=_CHUNKED, sent=lambda body: b"\r\n" + body + b"\r\n0\r\n\r\n"),
    InvalidMessage(
        label="a chunk size that is no number", lines=_CHUNKED, sent=lambda body: b"xyz\r\n" + body + b"\r\n0\r\n\r\n"
    ),
    InvalidMessage(
        label="chunks with bare line feeds",
        lines=_CHUNKED,
        sent=lambda body: b"%x\n%b\n0\n\n" % (len(body), body),
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(
        label="a chunk without its line end",
        lines=_CHUNKED,
        sent=lambda body: b"%x\r\n%b0\r\n\r\n" % (len(body), body),
    ),
    InvalidMessage(
        label="a chunk that is longer than its size",
        lines=_CHUNKED,
        sent=lambda body: b"%x\r\n%bxyz\r\n0\r\n\r\n" % (len(body), body),
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(
        label="a bare CR in a header field",
        lines=("X-Chainproof: a\rX-Other: b", _LENGTH),
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(
        label="a NUL in a header field", lines=("X-Chainproof: a\0b", _LENGTH), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(
        label="a control character in a header field",
        lines=("X-Chainproof: a\x01b", _LENGTH),
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(
        label="a blank before a colon", lines=("X-Chainproof : a", _LENGTH), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(
        label="a header line without a colon", lines=("X-Chainproof", _LENGTH), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(label="a header field without a name", lines=(": a", _LENGTH), accepted_by=AcceptedBy.SOME_SERVERS),
    InvalidMessage(
        label="a header name with a parenthesis",
        lines=("X(Chainproof: a", _LENGTH),
        accepted_by=AcceptedBy.SOME_SERVERS,
    ),
    InvalidMessage(label="no Host", hosts=(), accepted_by=AcceptedBy.SOME_SERVERS),
    InvalidMessage(
        label="two Hosts", hosts=("Host: {authority}", "Host: {authority}"), accepted_by=AcceptedBy.SOME_SERVERS
    ),
    InvalidMessage(label="a Host that is none", hosts=("Host: a b",), accepted_by=AcceptedBy.SOME_SERVERS),
    InvalidMessage(label="HTTP/2.0 in a request line", version="HTTP/2.0", accepted_by=AcceptedBy.SOME_SERVERS),
    InvalidMessage(label="`http/1.1` in lower case", version="http/1.1", accepted_by=AcceptedBy.SOME_SERVERS),
)


@check_for(clauses.INVALID_FRAMING_REJECTED, clauses.HTTP_STRICTNESS)
def invalid_http_messages_are_rejected(requester: Requester) -> None:
    """
    A message whose end or whose fields cannot be told is no request: refused, or left without an answer.
    """
    requester.require_permission(Permission.SMUGGLING)
    plain = send_reference_request(requester)

    def ask(malformed: InvalidMessage) -> None:
        request = _message(requester, malformed)
        clause = (
            clauses.HTTP_STRICTNESS
            if malformed.accepted_by is AcceptedBy.SOME_SERVERS
            else clauses.INVALID_FRAMING_REJECTED
        )
        answers = _answers(requester, request, plain)
        _hold(requester, request, answers, clause)

    _each(ask, INVALID_MESSAGES)


def _message(requester: Requester, malformed: InvalidMessage) -> CheckRequest:
    """
    A request, malformed.
    """
    body = unique_body(requester, malformed.label)
    words = {
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
        *(line.format(**words) for line in malformed.lines),
        sent=malformed.sent(body),
        label=malformed.label,
        version=malformed.version,
        hosts=None if malformed.hosts is None else tuple(host.format(**words) for host in malformed.hosts),
    )


# ------------------------------------------------------------------ a request within a request

SMUGGLING_HEADERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a length and chunks", ("Transfer-Encoding: chunked",)),
    ("a length and chunks, the length behind", ("Transfer-Encoding: chunked", "")),
    ("a length and an unknown coding", ("Transfer-Encoding: xchunked",)),
    ("a length and two codings", ("Transfer-Encoding: chunked", "Transfer-Encoding: x")),
    ("a length and a coding behind a vertical tab", ("Transfer-Encoding: \x0bchunked",)),
    ("a length and a coding in quotation marks", ('Transfer-Encoding: "chunked"',)),
    ("a length and a blank before the colon of Transfer-Encoding", ("Transfer-Encoding : chunked",)),
    ("a length and a coding on a line of its own", ("Transfer-Encoding:", " chunked")),
)
"""Ways to say both where a message ends: whoever goes by the length takes the rest of the body for a request."""

_MISSPELLED = frozenset(label for label, lines in SMUGGLING_HEADERS[2:] if "Transfer-Encoding: chunked" not in lines)
"""Where the coding is spelled so that a plain server sees none, and goes by the length: that harms behind a proxy that does."""


@check_for(clauses.INVALID_FRAMING_REJECTED, clauses.HTTP_STRICTNESS)
def bodies_cannot_smuggle_requests(requester: Requester) -> None:
    """
    A message in chunks with a length besides is read as chunks or not at all (RFC 9112 §6.3): what stands in a chunk is
    never a request.
    """
    requester.require_permission(Permission.SMUGGLING)
    plain = send_reference_request(requester)

    def ask(smuggled: tuple[str, tuple[str, ...]]) -> None:
        label, lines = smuggled
        body = unique_body(requester, f"within {label}")
        hidden = raw_request(requester, body, f"Content-Length: {len(body)}", sent=body, label=label).raw
        assert hidden is not None
        size = b"%x\r\n" % len(hidden)
        length = f"Content-Length: {len(size)}"
        given = (length, *lines) if lines[-1] else (*lines[:-1], length)
        request = raw_request(requester, body, *given, sent=size + hidden + b"\r\n0\r\n\r\n", label=label)
        for answer in _answers(requester, request, plain):
            if 200 <= answer.status < 300:
                clause = clauses.HTTP_STRICTNESS if label in _MISSPELLED else clauses.INVALID_FRAMING_REJECTED
                _depart(requester, request, answer, "a request inside a body answered as another request", clause)
                return
        requester.record_clause(clauses.INVALID_FRAMING_REJECTED, None, request)

    _each(ask, SMUGGLING_HEADERS)


@check_for(clauses.INVALID_FRAMING_REJECTED)
def data_after_a_body_does_not_inherit_its_credentials(requester: Requester) -> None:
    """
    Bytes behind a whole message are another one: garbage is refused, and a request without a key is one without a key.
    """
    requester.require_permission(Permission.SMUGGLING)
    plain = send_reference_request(requester)
    bare = _without_key(requester, b"{}")
    for label, rest, lines in (
        ("a body that is longer than its length", b'{"more":1}\r\n\r\n', ("Content-Length: {length}",)),
        ("a request without a key behind one with it", bare, ("Content-Length: {length}",)),
        ("a request without a key behind chunks", bare, _CHUNKED),
    ):
        body = unique_body(requester, label)
        sent = (chunked(body, 40) if lines is _CHUNKED else body) + rest
        request = raw_request(
            requester, body, *(line.format(length=len(body)) for line in lines), sent=sent, label=label
        )
        answers = _answers(requester, request, plain)
        if sum(200 <= answer.status < 300 for answer in answers) > 1:
            _depart(requester, request, answers[-1], "what stands behind the body answered as a request with the key")
        else:
            requester.record_clause(clauses.INVALID_FRAMING_REJECTED, None, request)


def _without_key(requester: Requester, body: bytes) -> bytes:
    """
    A whole request without credentials.
    """
    head = (
        f"POST {requester.target.path} HTTP/1.1",
        f"Host: {requester.target.authority}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode("latin-1") + body


# ------------------------------------------------------------------ cut short


@check_for(clauses.INVALID_FRAMING_REJECTED)
def truncated_requests_are_rejected(requester: Requester) -> None:
    """
    A body that ends before its length or its last chunk, though it is an object so far, is not answered as a whole one; nor
    is it when the connection ends there.
    """
    requester.require_permission(Permission.SMUGGLING)
    plain = send_reference_request(requester)

    def ask(cut: tuple[str, tuple[str, ...], Callable[[bytes], bytes]]) -> None:
        label, lines, sent = cut
        body = unique_body(requester, label)
        given = (line.format(more=len(body) + 2) for line in lines)
        request = raw_request(requester, body, *given, sent=sent(body), label=label)
        for finish in (False, True):
            with requester.raw_connection() as talk:
                talk.send_request(request)
                if finish and not talk.close_writing():
                    return
                received = talk.read_answer(request, within=_waiting(plain, requester.patience.optional_answer))
            answer = received.answer
            if answer is not None and 200 <= answer.status < 300:
                # A WSGI server tells its application nothing of a connection that ends early: what it got looks whole.
                # And a proxy whose client has left may end what nobody hears with an empty 200.
                looks_whole = finish and (label == _LOOKS_WHOLE or not answer.body)
                clause = clauses.HTTP_STRICTNESS if looks_whole else clauses.INVALID_FRAMING_REJECTED
                _depart(requester, request, answer, f"status {answer.status} to half a message", clause)
            elif answer is not None:
                _hold(requester, request, [answer], clauses.INVALID_FRAMING_REJECTED)
            else:
                requester.record_clause(clauses.INVALID_FRAMING_REJECTED, None, request)

    _each(ask, _CUT)


_LOOKS_WHOLE = "a body that is shorter than its length"

_CUT: tuple[tuple[str, tuple[str, ...], Callable[[bytes], bytes]], ...] = (
    (_LOOKS_WHOLE, ("Content-Length: {more}",), lambda body: body),
    ("a body that ends within its object", ("Content-Length: {more}",), lambda body: body[:-1]),
    ("a cut within a chunk", _CHUNKED, lambda body: b"%x\r\n" % (len(body) + 2) + body),
    ("a cut behind a chunk", _CHUNKED, lambda body: b"%x\r\n" % len(body) + body + b"\r\n"),
)


# ------------------------------------------------------------------ what came of it


def _answers(requester: Requester, request: CheckRequest, plain: ReferenceAnswer) -> list[Answer]:
    """
    Every answer that a message leads to. In which form a server refuses what is no HTTP is not held against it.
    """
    answers: list[Answer] = []
    wait = requester.patience.optional_answer
    with requester.raw_connection() as talk:
        talk.send_request(request)
        for number in range(_MOST):
            received = talk.read_answer(request, within=_waiting(plain, wait) if not number else wait / 4)
            if received.answer is None:
                break
            answers.append(received.answer)
            if talk.is_closed or received.closes_connection:
                break
    return answers


def _waiting(plain: ReferenceAnswer, wait: Seconds) -> Seconds:
    """
    How long to wait for an answer that need not come.
    """
    return max(wait, min(3 * plain.duration, 5.0))


def _hold(requester: Requester, request: CheckRequest, answers: list[Answer], clause: Clause) -> None:
    """
    Enter what came of a message that is none: refused, unless it was taken, or broke something.
    """
    broken = next(
        (each for each in answers if each.status >= 500 and each.status not in HTTP_REFUSAL_STATUSES | BUSY_STATUSES),
        None,
    )
    accepted_by = next((each for each in answers if 200 <= each.status < 300), None)
    if len(answers) > 1 and any(200 <= each.status < 300 for each in answers[1:]):
        _depart(requester, request, answers[-1], "a part of a malformed message answered as another request")
    elif broken is not None:
        # Whoever reads a body as it comes, behind the server's back, falls over it where it is none; nothing was taken.
        said = f"status {broken.status} to a malformed message"
        _depart(requester, request, broken, said, clauses.HTTP_STRICTNESS)
    elif accepted_by is not None:
        _depart(requester, request, accepted_by, f"status {accepted_by.status} to a malformed message", clause)
    else:
        requester.record_clause(clause, None, request)


def _depart(
    requester: Requester,
    request: CheckRequest,
    answer: Answer,
    actual: str,
    clause: Clause = clauses.INVALID_FRAMING_REJECTED,
) -> None:
    """
    Enter what should not have been.
    """
    expected = "a refusal in HTTP's own terms, or the connection closed"
    requester.record_clause(clause, Violation(clause=clause, expected=expected, actual=actual), request, answer)


def _each(ask: Callable[..., None], things: Iterable[object]) -> None:
    """
    Ask about each of some things, a few at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(ask, things))
