"""
Messages: answers to the letter of RFC 9112, their content codings, and requests in every framing that is a valid one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation
from ..probing.raw_requests import body_of_its_own, chunked, conversed, framed, heard, plainly
from ..probing.requester import PLAIN, Examination
from ..transport.request import JSON_TYPE, Request
from . import upholds

Thing = TypeVar("Thing")

_AT_ONCE = 6
_CHUNKED = ("Transfer-Encoding: chunked",)
_LENGTH = "Content-Length: {length}"
_LONG = 70_000
"""Bytes of a body that does not come in one read."""
_PAUSE: Seconds = 0.002
_LONG_PAUSE: Seconds = 0.4
"""As long as a client on a poor line may be silent in the middle of a request."""
_WAITING: Seconds = 1.0
"""How long a client that expects `100 Continue` waits before it sends the body all the same (RFC 9110 §10.1.1)."""


def kinds(examination: Examination) -> Iterable[Request]:
    """
    Requests that lead to answers of every kind.
    """
    made = examination.request
    yield made(label="a plain request")
    yield made(body_of_its_own(examination, "long", _LONG), label="a long body")
    yield made(b"[]")
    yield made(None, fields=(), label="no body")
    yield made(b"{", label="half a body")
    yield made(fields=(("Content-Type", "text/plain"),), label="another media type")
    yield replace(made(label="no Authorization"), fields=(JSON_TYPE,))
    yield made(path=f"{examination.target.path}x", label="another path")
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        body = PLAIN if method == "PUT" else None
        yield made(body, method=method, fields=(JSON_TYPE,) if body else (), label=method)
    yield replace(made(None, method="HEAD", fields=(), label="HEAD without Authorization"), fields=())
    if examination.settings.steerable:
        yield made(fields=(JSON_TYPE, ("X-Emulate", "rate_limited")), label="an error on demand")


@upholds(clauses.FRAMING)
def an_answer_is_one_message_and_nothing_more(examination: Examination) -> None:
    """
    Whatever is asked, the answer's bytes are one message, behind which nothing comes, not even a moment later.
    """

    def ask(request: Request) -> None:
        reception, _, _ = conversed(examination, examination.prepared(request), within=examination.settings.deadline)
        examination.enter(examination.prepared(request), reception, None)

    _each(ask, kinds(examination))


@upholds(clauses.CONTENT_CODING, clauses.HTTP_ADVICE)
def a_body_is_coded_as_it_says(examination: Examination) -> None:
    """
    With each Accept-Encoding and without one, of a success and of a refusal, long enough to be worth compressing.
    """
    for accepted in (
        None,
        "",
        "identity",
        "gzip",
        "deflate, gzip",
        "gzip;q=0",
        "GZIP",
        "*",
        "br;q=0.1, gzip",
        "identity;q=1, *;q=0",
    ):
        fields = (JSON_TYPE,) if accepted is None else (JSON_TYPE, ("Accept-Encoding", accepted))
        label = "no Accept-Encoding" if accepted is None else f"Accept-Encoding: {accepted}"
        for body in (
            body_of_its_own(examination, label, 3000),
            body_of_its_own(examination, label),
            b"[" + b" " * 3000 + b"]",
        ):
            examination.ask(examination.request(body, fields=fields, label=label))


# ------------------------------------------------------------------ requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """
    A valid way to send a request that few clients take.
    """

    label: str
    lines: tuple[str, ...] = (_LENGTH,)
    """What frames the body, its length to be filled in."""
    sent: Callable[[bytes], bytes] = lambda body: body
    cut: Callable[[bytes], tuple[bytes, ...]] | None = None
    """How the message's bytes are sent in pieces."""
    pause: Seconds = _PAUSE
    """Between any two of them."""
    advice: bool = False
    """Whether well-kept servers refuse it, so that a refusal is worth no more than a word."""
    version: str = "HTTP/1.1"
    target: Callable[[Examination], str] | None = None
    before: bytes = b""


def _pieces(size: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """
    The message in pieces of a size.
    """
    return lambda raw: tuple(raw[start : start + size] for start in range(0, len(raw), size))


def _body_by_bytes(raw: bytes) -> tuple[bytes, ...]:
    """
    The head, then the body byte by byte.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    return (head + b"\r\n\r\n", *(body[at : at + 1] for at in range(len(body))))


def _body_apart(raw: bytes) -> tuple[bytes, ...]:
    """
    The head, then the body.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    return (head + b"\r\n\r\n", body)


def _halves(raw: bytes) -> tuple[bytes, ...]:
    """
    The head with half of the body, then the rest.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    half = len(body) // 2
    return (head + b"\r\n\r\n" + body[:half], body[half:])


def _within_line_ends(raw: bytes) -> tuple[bytes, ...]:
    """
    Cut between each CR and its LF in the head.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    *lines, last = (head + b"\r\n\r\n").split(b"\r\n")
    return (lines[0] + b"\r", *(b"\n" + line + b"\r" for line in lines[1:]), b"\n" + last + body)


ODD: tuple[Odd, ...] = (
    Odd(label="chunks of 1 byte", lines=_CHUNKED, sent=lambda body: chunked(body, 1)),
    Odd(label="chunks of 3 bytes", lines=_CHUNKED, sent=lambda body: chunked(body, 3)),
    Odd(label="one chunk", lines=_CHUNKED, sent=lambda body: chunked(body, len(body))),
    Odd(
        label="chunk sizes in upper case, behind zeros",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 26, "%08X"),
    ),
    Odd(
        label="chunks that come one by one",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 5),
        cut=_pieces(10),
    ),
    Odd(
        label="`Chunked` with a capital",
        lines=("TRANSFER-ENCODING: Chunked",),
        sent=lambda body: chunked(body, 9),
        advice=True,
    ),
    Odd(
        label="chunk extensions",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 9, extension=b';name=value;quoted="a;b"'),
        advice=True,
    ),
    Odd(
        label="a trailer field",
        lines=(*_CHUNKED, "Trailer: X-Chainproof-Digest"),
        sent=lambda body: chunked(body, 9, trailer=b"X-Chainproof-Digest: 1\r\n"),
        advice=True,
    ),
    Odd(label="a body byte by byte", cut=_body_by_bytes),
    Odd(label="a head and a body apart", cut=_body_apart),
    Odd(label="a pause between head and body", cut=_body_apart, pause=_LONG_PAUSE),
    Odd(label="a pause within the body", cut=_halves, pause=_LONG_PAUSE),
    Odd(
        label="a pause within the chunks",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 30),
        cut=_halves,
        pause=_LONG_PAUSE,
    ),
    Odd(label="a head in pieces of 7 bytes", cut=_pieces(7)),
    Odd(label="a head cut within its line ends", cut=_within_line_ends),
    Odd(
        label="header names in any letter case",
        lines=("cONTENT-lENGTH: {length}", "x-CHAINPROOF-odd: 1"),
    ),
    Odd(
        label="no blank, several and tabs around header values",
        lines=("Content-Length:{length}", "X-Chainproof-Blanks: \t a b \t ", "X-Chainproof-Empty:"),
    ),
    Odd(
        label="50 header fields",
        lines=(*(f"X-Chainproof-{number}: {number}" for number in range(50)), _LENGTH),
    ),
    Odd(label="a header field of 4 KiB", lines=(f"X-Chainproof-Long: {'x' * 4096}", _LENGTH)),
    Odd(label="a header field twice", lines=("X-Chainproof: a", "X-Chainproof: b", _LENGTH)),
    Odd(label="a length behind zeros", lines=("Content-Length: 00{length}",), advice=True),
    Odd(label="a query", target=lambda examination: f"{examination.target.path}?a=b&c=%20d&e"),
    Odd(
        label="an absolute URL",
        target=lambda examination: f"http://{examination.target.authority}{examination.target.path}",
        advice=True,
    ),
    Odd(label="an empty line before the request", before=b"\r\n", advice=True),
    Odd(label="`Connection: close`", lines=("Connection: close", _LENGTH)),
    Odd(label="`Connection: keep-alive`", lines=("Connection: keep-alive", _LENGTH)),
    Odd(label="HTTP/1.0", version="HTTP/1.0", advice=True),
    Odd(
        label="`Expect: 100-continue` with the body at once",
        lines=("Expect: 100-continue", _LENGTH),
    ),
)


@upholds(clauses.REQUEST_FRAMING, clauses.HTTP_ADVICE)
def a_request_is_itself_however_it_is_framed(examination: Examination) -> None:
    """
    In chunks or not, in pieces or whole, under any spelling that RFC 9112 has for it.
    """
    plain = plainly(examination)

    def ask(odd: Odd) -> None:
        body = body_of_its_own(examination, odd.label)
        request = framed(
            examination,
            body,
            *(line.format(length=len(body)) for line in odd.lines),
            sent=odd.sent(body),
            label=odd.label,
            version=odd.version,
            target=odd.target(examination) if odd.target else None,
            before=odd.before,
        )
        assert request.raw is not None
        pieces = odd.cut(request.raw) if odd.cut else (request.raw,)
        reception, _, _ = conversed(
            examination,
            request,
            *pieces,
            pause=odd.pause,
            within=plain.patience(examination.settings.deadline),
            http_1_0=odd.version == "HTTP/1.0",
        )
        heard(examination, request, reception, plain.expects(clauses.REQUEST_FRAMING), advice=odd.advice)

    _each(ask, ODD)


@upholds(clauses.REQUEST_FRAMING, clauses.HTTP_ADVICE)
def a_body_that_waits_is_asked_for(examination: Examination) -> None:
    """
    Behind `Expect: 100-continue` comes an interim answer or a final one; without either the body is sent all the same.
    """
    plain = plainly(examination)
    for in_chunks in (False, True):
        body = body_of_its_own(examination, f"waiting {in_chunks}")
        request = framed(
            examination,
            body,
            "Expect: 100-continue",
            _CHUNKED[0] if in_chunks else f"Content-Length: {len(body)}",
            sent=chunked(body, 9) if in_chunks else body,
            label="`Expect: 100-continue` with a body that waits",
        )
        assert request.raw is not None
        head, rest = _body_apart(request.raw)
        with examination.conversation() as talk:
            talk.say(request, head)
            first = talk.waits(_WAITING)
            if not first or first.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):
                talk.utter(rest)
            reception = talk.hear(request, within=plain.patience(examination.settings.deadline))
        heard(examination, request, reception, plain.expects(clauses.REQUEST_FRAMING), advice=not first)


@upholds(clauses.REQUEST_FRAMING, clauses.ANSWER_BELONGS)
def pipelined_requests_are_answered_in_order(examination: Examination) -> None:
    """
    Several requests in one go over one connection: each gets its own answer, in the order in which they were sent
    (RFC 9112 §9.3.2), refusals among them. A target may close behind any of them.
    """
    plain = plainly(examination)
    array = examination.ask(examination.request(b"[]", label="an array")).answer
    for requests in _pipelines(examination, refusing=array is not None and 400 <= array.status < 500):
        with examination.conversation() as talk:
            talk.say_together(requests)
            for number, request in enumerate(requests):
                reception = talk.hear(request, within=plain.patience(examination.settings.deadline))
                if number and reception.transport is Transport.CONNECTION_LOST and not reception.raw:
                    break
                refused = request.body == b"[]"
                heard(examination, request, reception, _REFUSED if refused else plain.expects(clauses.REQUEST_FRAMING))
                if talk.ended or reception.closes:
                    break


_REFUSED = Expectation(
    clause=clauses.REQUEST_FRAMING,
    expected="a refusal in its place among pipelined answers",
    keeps=lambda answer: answer.status >= 400,
)


def _pipelines(examination: Examination, *, refusing: bool) -> Iterable[tuple[Request, ...]]:
    """
    Rows of requests: alike, long and short by turns, refused ones between where an array is one.
    """

    def row(purpose: str, *shapes: tuple[int, bool]) -> tuple[Request, ...]:
        bodies = [body_of_its_own(examination, f"{purpose} {number}", size) for number, (size, _) in enumerate(shapes)]
        return tuple(
            _pipelined(examination, body, in_chunks=chunks) for body, (_, chunks) in zip(bodies, shapes, strict=True)
        )

    yield row("alike", *(((0, False),) * 6))
    yield row("by turns", (30_000, False), (0, True), (3000, True), (0, False), (0, True))
    if not refusing:
        return
    first, second, third = row("between", (0, False), (0, False), (0, True))
    yield first, _pipelined(examination, b"[]"), second, third


def _pipelined(examination: Examination, body: bytes, *, in_chunks: bool = False) -> Request:
    """
    One of several requests in one go, in chunks or not.
    """
    line, sent = (_CHUNKED[0], chunked(body, 40)) if in_chunks else (f"Content-Length: {len(body)}", body)
    return framed(examination, body, line, sent=sent, label="pipelined requests")


def _each(ask: Callable[[Thing], None], things: Iterable[Thing]) -> None:
    """
    Ask about each of some things, a few at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(ask, things))
