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
from chainproof.contract.violations import Departure

from ..options import Intrusion
from ..probing.raw_requests import REFUSALS, Plainly, body_of_its_own, chunked, framed, plainly
from ..probing.requester import BUSY, Examination
from ..transport.request import Request
from . import upholds

_AT_ONCE = 8
_WAITING: Seconds = 0.4
"""How long an answer may take that need not come: many a target waits for the rest."""
_MOST = 4
"""Answers that are listened to."""


class Taken(Enum):
    """
    What it means to answer such a request with a 2xx.
    """

    NEVER = "none of the well-kept servers takes it"
    SOMETIMES = "some well-kept servers take it, or RFC 9110 §5.5 has it mended, or nobody comes to harm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """
    One way to get a request wrong. `{length}` is the body's length, `{more}` one more than that.
    """

    label: str
    lines: tuple[str, ...] = ("Content-Length: {length}",)
    sent: Callable[[bytes], bytes] = lambda body: body
    taken: Taken = Taken.NEVER
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


def _coded(label: str, *lines: str, taken: Taken = Taken.NEVER) -> Malformed:
    """
    A body in chunks under another spelling of the coding, its length given as well.
    """
    return Malformed(label=label, lines=lines, sent=_plain_chunks, taken=taken)


MALFORMED: tuple[Malformed, ...] = (
    Malformed(
        label="two lengths",
        lines=(_LENGTH, "Content-Length: {more}"),
        sent=lambda body: body + b" ",
        taken=Taken.SOMETIMES,
    ),
    Malformed(
        label="two lengths, the longer first",
        lines=("Content-Length: {more}", _LENGTH),
        sent=lambda body: body + b" ",
        taken=Taken.SOMETIMES,
    ),
    Malformed(
        label="two lengths in one field", lines=("Content-Length: {length}, {more}",), sent=lambda body: body + b" "
    ),
    Malformed(label="a negative length", lines=("Content-Length: -{length}",)),
    Malformed(label="a length of another base", lines=("Content-Length: 0x{hex}",), taken=Taken.SOMETIMES),
    Malformed(label="a length with a sign", lines=("Content-Length: +{length}",), taken=Taken.SOMETIMES),
    Malformed(label="a length with an underscore", lines=("Content-Length: 0_{length}",), taken=Taken.SOMETIMES),
    Malformed(label="a length with a fraction", lines=("Content-Length: {length}.0",), taken=Taken.SOMETIMES),
    Malformed(label="a length that wraps in 32 bits", lines=("Content-Length: {wrapped32}",)),
    Malformed(label="a length that wraps in 64 bits", lines=("Content-Length: {wrapped64}",)),
    _coded("an unknown transfer coding", "Transfer-Encoding: xchunked", taken=Taken.SOMETIMES),
    _coded("chunks under another coding", "Transfer-Encoding: chunked, gzip", taken=Taken.SOMETIMES),
    _coded("chunks twice", "Transfer-Encoding: chunked, chunked", taken=Taken.SOMETIMES),
    _coded("a coding behind a vertical tab", "Transfer-Encoding:\x0bchunked", taken=Taken.SOMETIMES),
    _coded("a coding in quotation marks", 'Transfer-Encoding: "chunked"', taken=Taken.SOMETIMES),
    _coded("a blank before the colon of Transfer-Encoding", "Transfer-Encoding : chunked", taken=Taken.SOMETIMES),
    Malformed(
        label="chunks in HTTP/1.0", lines=_CHUNKED, sent=_plain_chunks, version="HTTP/1.0", taken=Taken.SOMETIMES
    ),
    Malformed(label="a negative chunk size", lines=_CHUNKED, sent=_sized("-%x")),
    Malformed(label="a chunk size with 0x", lines=_CHUNKED, sent=_sized("0x%x"), taken=Taken.SOMETIMES),
    Malformed(label="a chunk size with a sign", lines=_CHUNKED, sent=_sized("+%x"), taken=Taken.SOMETIMES),
    Malformed(label="a chunk size with an underscore", lines=_CHUNKED, sent=_sized("0_%x"), taken=Taken.SOMETIMES),
    Malformed(label="a chunk size behind a blank", lines=_CHUNKED, sent=_sized(" %x"), taken=Taken.SOMETIMES),
    Malformed(label="a chunk size that wraps in 32 bits", lines=_CHUNKED, sent=_wrapped(32)),
    Malformed(label="a chunk size that wraps in 64 bits", lines=_CHUNKED, sent=_wrapped(64)),
    Malformed(label="no chunk size", lines=_CHUNKED, sent=lambda body: b"\r\n" + body + b"\r\n0\r\n\r\n"),
    Malformed(
        label="a chunk size that is no number", lines=_CHUNKED, sent=lambda body: b"xyz\r\n" + body + b"\r\n0\r\n\r\n"
    ),
    Malformed(
        label="chunks with bare line feeds",
        lines=_CHUNKED,
        sent=lambda body: b"%x\n%b\n0\n\n" % (len(body), body),
        taken=Taken.SOMETIMES,
    ),
    Malformed(
        label="a chunk without its line end",
        lines=_CHUNKED,
        sent=lambda body: b"%x\r\n%b0\r\n\r\n" % (len(body), body),
    ),
    Malformed(
        label="a chunk that is longer than its size",
        lines=_CHUNKED,
        sent=lambda body: b"%x\r\n%bxyz\r\n0\r\n\r\n" % (len(body), body),
        taken=Taken.SOMETIMES,
    ),
    Malformed(
        label="a bare CR in a header field", lines=("X-Chainproof: a\rX-Other: b", _LENGTH), taken=Taken.SOMETIMES
    ),
    Malformed(label="a NUL in a header field", lines=("X-Chainproof: a\0b", _LENGTH), taken=Taken.SOMETIMES),
    Malformed(
        label="a control character in a header field", lines=("X-Chainproof: a\x01b", _LENGTH), taken=Taken.SOMETIMES
    ),
    Malformed(label="a blank before a colon", lines=("X-Chainproof : a", _LENGTH), taken=Taken.SOMETIMES),
    Malformed(label="a header line without a colon", lines=("X-Chainproof", _LENGTH), taken=Taken.SOMETIMES),
    Malformed(label="a header field without a name", lines=(": a", _LENGTH), taken=Taken.SOMETIMES),
    Malformed(label="a header name with a parenthesis", lines=("X(Chainproof: a", _LENGTH), taken=Taken.SOMETIMES),
    Malformed(label="no Host", hosts=(), taken=Taken.SOMETIMES),
    Malformed(label="two Hosts", hosts=("Host: {authority}", "Host: {authority}"), taken=Taken.SOMETIMES),
    Malformed(label="a Host that is none", hosts=("Host: a b",), taken=Taken.SOMETIMES),
    Malformed(label="HTTP/2.0 in a request line", version="HTTP/2.0", taken=Taken.SOMETIMES),
    Malformed(label="`http/1.1` in lower case", version="http/1.1", taken=Taken.SOMETIMES),
)


@upholds(clauses.REQUEST_MALFORMED, clauses.HTTP_STRICTNESS)
def an_invalid_message_is_refused(examination: Examination) -> None:
    """
    A message whose end or whose fields cannot be told is no request: refused, or left without an answer.
    """
    examination.require(Intrusion.SMUGGLING)
    plain = plainly(examination)

    def ask(malformed: Malformed) -> None:
        request = _message(examination, malformed)
        clause = clauses.HTTP_STRICTNESS if malformed.taken is Taken.SOMETIMES else clauses.REQUEST_MALFORMED
        answers = _answers(examination, request, plain)
        _hold(examination, request, answers, clause)

    _each(ask, MALFORMED)


def _message(examination: Examination, malformed: Malformed) -> Request:
    """
    A request, malformed.
    """
    body = body_of_its_own(examination, malformed.label)
    words = {
        "length": len(body),
        "more": len(body) + 1,
        "hex": f"{len(body):x}",
        "wrapped32": 2**32 + len(body),
        "wrapped64": 2**64 + len(body),
        "authority": examination.target.authority,
    }
    return framed(
        examination,
        body,
        *(line.format(**words) for line in malformed.lines),
        sent=malformed.sent(body),
        label=malformed.label,
        version=malformed.version,
        hosts=None if malformed.hosts is None else tuple(host.format(**words) for host in malformed.hosts),
    )


# ------------------------------------------------------------------ a request within a request

SMUGGLED: tuple[tuple[str, tuple[str, ...]], ...] = (
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

_MISSPELLED = frozenset(label for label, lines in SMUGGLED[2:] if "Transfer-Encoding: chunked" not in lines)
"""Where the coding is spelled so that a plain server sees none, and goes by the length: that harms behind a proxy that does."""


@upholds(clauses.REQUEST_MALFORMED, clauses.HTTP_STRICTNESS)
def no_part_of_a_body_is_a_request(examination: Examination) -> None:
    """
    A message in chunks with a length besides is read as chunks or not at all (RFC 9112 §6.3): what stands in a chunk is
    never a request.
    """
    examination.require(Intrusion.SMUGGLING)
    plain = plainly(examination)

    def ask(smuggled: tuple[str, tuple[str, ...]]) -> None:
        label, lines = smuggled
        body = body_of_its_own(examination, f"within {label}")
        hidden = framed(examination, body, f"Content-Length: {len(body)}", sent=body, label=label).raw
        assert hidden is not None
        size = b"%x\r\n" % len(hidden)
        length = f"Content-Length: {len(size)}"
        given = (length, *lines) if lines[-1] else (*lines[:-1], length)
        request = framed(examination, body, *given, sent=size + hidden + b"\r\n0\r\n\r\n", label=label)
        for answer in _answers(examination, request, plain):
            if 200 <= answer.status < 300:
                clause = clauses.HTTP_STRICTNESS if label in _MISSPELLED else clauses.REQUEST_MALFORMED
                _depart(examination, request, answer, "a request inside a body answered as another request", clause)
                return
        examination.hold(clauses.REQUEST_MALFORMED, None, request)

    _each(ask, SMUGGLED)


@upholds(clauses.REQUEST_MALFORMED)
def what_stands_behind_a_body_is_not_let_in_by_it(examination: Examination) -> None:
    """
    Bytes behind a whole message are another one: garbage is refused, and a request without a key is one without a key.
    """
    examination.require(Intrusion.SMUGGLING)
    plain = plainly(examination)
    bare = _without_key(examination, b"{}")
    for label, rest, lines in (
        ("a body that is longer than its length", b'{"more":1}\r\n\r\n', ("Content-Length: {length}",)),
        ("a request without a key behind one with it", bare, ("Content-Length: {length}",)),
        ("a request without a key behind chunks", bare, _CHUNKED),
    ):
        body = body_of_its_own(examination, label)
        sent = (chunked(body, 40) if lines is _CHUNKED else body) + rest
        request = framed(examination, body, *(line.format(length=len(body)) for line in lines), sent=sent, label=label)
        answers = _answers(examination, request, plain)
        if sum(200 <= answer.status < 300 for answer in answers) > 1:
            _depart(examination, request, answers[-1], "what stands behind the body answered as a request with the key")
        else:
            examination.hold(clauses.REQUEST_MALFORMED, None, request)


def _without_key(examination: Examination, body: bytes) -> bytes:
    """
    A whole request without credentials.
    """
    head = (
        f"POST {examination.target.path} HTTP/1.1",
        f"Host: {examination.target.authority}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode("latin-1") + body


# ------------------------------------------------------------------ cut short


@upholds(clauses.REQUEST_MALFORMED)
def half_a_message_is_no_request(examination: Examination) -> None:
    """
    A body that ends before its length or its last chunk, though it is an object so far, is not answered as a whole one; nor
    is it when the connection ends there.
    """
    examination.require(Intrusion.SMUGGLING)
    plain = plainly(examination)

    def ask(cut: tuple[str, tuple[str, ...], Callable[[bytes], bytes]]) -> None:
        label, lines, sent = cut
        body = body_of_its_own(examination, label)
        given = (line.format(more=len(body) + 2) for line in lines)
        request = framed(examination, body, *given, sent=sent(body), label=label)
        for finish in (False, True):
            with examination.conversation() as talk:
                talk.say(request)
                if finish and not talk.finish():
                    return
                reception = talk.hear(request, within=_waiting(plain))
            answer = reception.answer
            if answer is not None and 200 <= answer.status < 300:
                # A WSGI server tells its application nothing of a connection that ends early: what it got looks whole.
                # And a proxy whose client has left may end what nobody hears with an empty 200.
                looks_whole = finish and (label == _LOOKS_WHOLE or not answer.body)
                clause = clauses.HTTP_STRICTNESS if looks_whole else clauses.REQUEST_MALFORMED
                _depart(examination, request, answer, f"status {answer.status} to half a message", clause)
            elif answer is not None:
                _hold(examination, request, [answer], clauses.REQUEST_MALFORMED)
            else:
                examination.hold(clauses.REQUEST_MALFORMED, None, request)

    _each(ask, _CUT)


_LOOKS_WHOLE = "a body that is shorter than its length"

_CUT: tuple[tuple[str, tuple[str, ...], Callable[[bytes], bytes]], ...] = (
    (_LOOKS_WHOLE, ("Content-Length: {more}",), lambda body: body),
    ("a body that ends within its object", ("Content-Length: {more}",), lambda body: body[:-1]),
    ("a cut within a chunk", _CHUNKED, lambda body: b"%x\r\n" % (len(body) + 2) + body),
    ("a cut behind a chunk", _CHUNKED, lambda body: b"%x\r\n" % len(body) + body + b"\r\n"),
)


# ------------------------------------------------------------------ what came of it


def _answers(examination: Examination, request: Request, plain: Plainly) -> list[Answer]:
    """
    Every answer that a message leads to. In which form a server refuses what is no HTTP is not held against it.
    """
    answers: list[Answer] = []
    with examination.conversation() as talk:
        talk.say(request)
        for number in range(_MOST):
            reception = talk.hear(request, within=_waiting(plain) if not number else _WAITING / 4)
            if reception.answer is None:
                break
            answers.append(reception.answer)
            if talk.ended or reception.closes:
                break
    return answers


def _waiting(plain: Plainly) -> Seconds:
    """
    How long to wait for an answer that need not come.
    """
    return max(_WAITING, min(3 * plain.took, 5.0))


def _hold(examination: Examination, request: Request, answers: list[Answer], clause: Clause) -> None:
    """
    Enter what came of a message that is none: refused, unless it was taken, or broke something.
    """
    broken = next((each for each in answers if each.status >= 500 and each.status not in REFUSALS | BUSY), None)
    taken = next((each for each in answers if 200 <= each.status < 300), None)
    if len(answers) > 1 and any(200 <= each.status < 300 for each in answers[1:]):
        _depart(examination, request, answers[-1], "a part of a malformed message answered as another request")
    elif broken is not None:
        # Whoever reads a body as it comes, behind the server's back, falls over it where it is none; nothing was taken.
        said = f"status {broken.status} to a malformed message"
        _depart(examination, request, broken, said, clauses.HTTP_STRICTNESS)
    elif taken is not None:
        _depart(examination, request, taken, f"status {taken.status} to a malformed message", clause)
    else:
        examination.hold(clause, None, request)


def _depart(
    examination: Examination, request: Request, answer: Answer, actual: str, clause: Clause = clauses.REQUEST_MALFORMED
) -> None:
    """
    Enter what should not have been.
    """
    expected = "a refusal in HTTP's own terms, or the connection closed"
    examination.hold(clause, Departure(clause=clause, expected=expected, actual=actual), request, answer)


def _each(ask: Callable[..., None], things: Iterable[object]) -> None:
    """
    Ask about each of some things, a few at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(ask, things))
