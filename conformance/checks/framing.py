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
from ..probing.raw_requests import (
    chunked,
    exchange_raw,
    raw_request,
    record_framed,
    send_reference_request,
    unique_body,
)
from ..probing.requester import DEFAULT_BODY, Requester
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

Thing = TypeVar("Thing")

_AT_ONCE = 6
_CHUNKED = ("Transfer-Encoding: chunked",)
_LENGTH = "Content-Length: {length}"
_LONG = 70_000
"""Bytes of a body that does not come in one read."""
_PAUSE: Seconds = 0.002
_LONG_PAUSE: Seconds = 0.4
"""As long as a client on a poor line may be silent in the middle of a request."""


def requests_of_every_kind(requester: Requester) -> Iterable[CheckRequest]:
    """
    Requests that lead to answers of every kind.
    """
    made = requester.build_request
    yield made(label="a plain request")
    yield made(unique_body(requester, "long", _LONG), label="a long body")
    yield made(b"[]")
    yield made(None, fields=(), label="no body")
    yield made(b"{", label="half a body")
    yield made(fields=(("Content-Type", "text/plain"),), label="another media type")
    yield replace(made(label="no Authorization"), fields=(JSON_TYPE,))
    yield made(path=f"{requester.target.path}x", label="another path")
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        body = DEFAULT_BODY if method == "PUT" else None
        yield made(body, method=method, fields=(JSON_TYPE,) if body else (), label=method)
    yield replace(made(None, method="HEAD", fields=(), label="HEAD without Authorization"), fields=())
    if requester.settings.steerable:
        yield made(fields=(JSON_TYPE, ("X-Emulate", "rate_limited")), label="an error on demand")


@check_for(clauses.RESPONSE_FRAMING)
def every_answer_is_exactly_one_http_message(requester: Requester) -> None:
    """
    Whatever is asked, the answer's bytes are one message, behind which nothing comes, not even a moment later.
    """

    def ask(request: CheckRequest) -> None:
        received, _, _ = exchange_raw(requester, requester.prepare(request), within=requester.settings.deadline)
        requester.record(requester.prepare(request), received, None)

    _each(ask, requests_of_every_kind(requester))


@check_for(clauses.CONTENT_CODING, clauses.HTTP_RECOMMENDATIONS)
def content_encoding_matches_the_body(requester: Requester) -> None:
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
            unique_body(requester, label, 3000),
            unique_body(requester, label),
            b"[" + b" " * 3000 + b"]",
        ):
            requester.send(requester.build_request(body, fields=fields, label=label))


# ------------------------------------------------------------------ requests


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusualRequest:
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
    may_refuse: bool = False
    """Whether well-kept servers refuse it, so that a refusal is worth no more than a word."""
    version: str = "HTTP/1.1"
    target: Callable[[Requester], str] | None = None
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


UNUSUAL_REQUESTS: tuple[UnusualRequest, ...] = (
    UnusualRequest(label="chunks of 1 byte", lines=_CHUNKED, sent=lambda body: chunked(body, 1)),
    UnusualRequest(label="chunks of 3 bytes", lines=_CHUNKED, sent=lambda body: chunked(body, 3)),
    UnusualRequest(label="one chunk", lines=_CHUNKED, sent=lambda body: chunked(body, len(body))),
    UnusualRequest(
        label="chunk sizes in upper case, behind zeros",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 26, "%08X"),
    ),
    UnusualRequest(
        label="chunks that come one by one",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 5),
        cut=_pieces(10),
    ),
    UnusualRequest(
        label="`Chunked` with a capital",
        lines=("TRANSFER-ENCODING: Chunked",),
        sent=lambda body: chunked(body, 9),
        may_refuse=True,
    ),
    UnusualRequest(
        label="chunk extensions",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 9, extension=b';name=value;quoted="a;b"'),
        may_refuse=True,
    ),
    UnusualRequest(
        label="a trailer field",
        lines=(*_CHUNKED, "Trailer: X-Chainproof-Digest"),
        sent=lambda body: chunked(body, 9, trailer=b"X-Chainproof-Digest: 1\r\n"),
        may_refuse=True,
    ),
    UnusualRequest(label="a body byte by byte", cut=_body_by_bytes),
    UnusualRequest(label="a head and a body apart", cut=_body_apart),
    UnusualRequest(label="a pause between head and body", cut=_body_apart, pause=_LONG_PAUSE),
    UnusualRequest(label="a pause within the body", cut=_halves, pause=_LONG_PAUSE),
    UnusualRequest(
        label="a pause within the chunks",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 30),
        cut=_halves,
        pause=_LONG_PAUSE,
    ),
    UnusualRequest(label="a head in pieces of 7 bytes", cut=_pieces(7)),
    UnusualRequest(label="a head cut within its line ends", cut=_within_line_ends),
    UnusualRequest(
        label="header names in any letter case",
        lines=("cONTENT-lENGTH: {length}", "x-CHAINPROOF-odd: 1"),
    ),
    UnusualRequest(
        label="no blank, several and tabs around header values",
        lines=("Content-Length:{length}", "X-Chainproof-Blanks: \t a b \t ", "X-Chainproof-Empty:"),
    ),
    UnusualRequest(
        label="50 header fields",
        lines=(*(f"X-Chainproof-{number}: {number}" for number in range(50)), _LENGTH),
    ),
    UnusualRequest(label="a header field of 4 KiB", lines=(f"X-Chainproof-Long: {'x' * 4096}", _LENGTH)),
    UnusualRequest(label="a header field twice", lines=("X-Chainproof: a", "X-Chainproof: b", _LENGTH)),
    UnusualRequest(label="a length behind zeros", lines=("Content-Length: 00{length}",), may_refuse=True),
    UnusualRequest(label="a query", target=lambda requester: f"{requester.target.path}?a=b&c=%20d&e"),
    UnusualRequest(
        label="an absolute URL",
        target=lambda requester: f"http://{requester.target.authority}{requester.target.path}",
        may_refuse=True,
    ),
    UnusualRequest(label="an empty line before the request", before=b"\r\n", may_refuse=True),
    UnusualRequest(label="`Connection: close`", lines=("Connection: close", _LENGTH)),
    UnusualRequest(label="`Connection: keep-alive`", lines=("Connection: keep-alive", _LENGTH)),
    UnusualRequest(label="HTTP/1.0", version="HTTP/1.0", may_refuse=True),
    UnusualRequest(
        label="`Expect: 100-continue` with the body at once",
        lines=("Expect: 100-continue", _LENGTH),
    ),
)


@check_for(clauses.REQUEST_FRAMING, clauses.HTTP_RECOMMENDATIONS)
def every_valid_request_framing_is_accepted(requester: Requester) -> None:
    """
    In chunks or not, in pieces or whole, under any spelling that RFC 9112 has for it.
    """
    plain = send_reference_request(requester)

    def ask(unusual: UnusualRequest) -> None:
        body = unique_body(requester, unusual.label)
        request = raw_request(
            requester,
            body,
            *(line.format(length=len(body)) for line in unusual.lines),
            sent=unusual.sent(body),
            label=unusual.label,
            version=unusual.version,
            target=unusual.target(requester) if unusual.target else None,
            before=unusual.before,
        )
        assert request.raw is not None
        pieces = unusual.cut(request.raw) if unusual.cut else (request.raw,)
        received, _, _ = exchange_raw(
            requester,
            request,
            *pieces,
            pause=unusual.pause,
            within=plain.timeout(requester.settings.deadline),
            http_1_0=unusual.version == "HTTP/1.0",
        )
        record_framed(
            requester, request, received, plain.same_status(clauses.REQUEST_FRAMING), may_refuse=unusual.may_refuse
        )

    _each(ask, UNUSUAL_REQUESTS)


@check_for(clauses.REQUEST_FRAMING, clauses.HTTP_RECOMMENDATIONS)
def expect_100_continue_is_honoured(requester: Requester) -> None:
    """
    Behind `Expect: 100-continue` comes an interim answer or a final one; without either the body is sent all the same.
    """
    plain = send_reference_request(requester)
    for in_chunks in (False, True):
        body = unique_body(requester, f"waiting {in_chunks}")
        request = raw_request(
            requester,
            body,
            "Expect: 100-continue",
            _CHUNKED[0] if in_chunks else f"Content-Length: {len(body)}",
            sent=chunked(body, 9) if in_chunks else body,
            label="`Expect: 100-continue` with a body that waits",
        )
        assert request.raw is not None
        head, rest = _body_apart(request.raw)
        with requester.raw_connection() as talk:
            talk.send_request(request, head)
            first = talk.wait_for_bytes(requester.patience.continue_answer)
            if not first or first.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):
                talk.send_bytes(rest)
            received = talk.read_answer(request, within=plain.timeout(requester.settings.deadline))
        record_framed(requester, request, received, plain.same_status(clauses.REQUEST_FRAMING), may_refuse=not first)


@check_for(clauses.REQUEST_FRAMING, clauses.ANSWER_MATCHES_REQUEST)
def pipelined_requests_are_answered_in_order(requester: Requester) -> None:
    """
    Several requests in one go over one connection: each gets its own answer, in the order in which they were sent
    (RFC 9112 §9.3.2), refusals among them. A target may close behind any of them.
    """
    plain = send_reference_request(requester)
    array = requester.send(requester.build_request(b"[]", label="an array")).answer
    for requests in _pipelines(requester, refusing=array is not None and 400 <= array.status < 500):
        with requester.raw_connection() as talk:
            talk.send_pipelined(requests)
            for number, request in enumerate(requests):
                received = talk.read_answer(request, within=plain.timeout(requester.settings.deadline))
                if number and received.transport is Transport.CONNECTION_LOST and not received.raw:
                    break
                refused = request.body == b"[]"
                record_framed(
                    requester, request, received, _REFUSED if refused else plain.same_status(clauses.REQUEST_FRAMING)
                )
                if talk.is_closed or received.closes_connection:
                    break


_REFUSED = Expectation(
    clause=clauses.REQUEST_FRAMING,
    expected="a refusal in its place among pipelined answers",
    is_met_by=lambda answer: answer.status >= 400,
)


def _pipelines(requester: Requester, *, refusing: bool) -> Iterable[tuple[CheckRequest, ...]]:
    """
    Rows of requests: alike, long and short by turns, refused ones between where an array is one.
    """

    def row(purpose: str, *shapes: tuple[int, bool]) -> tuple[CheckRequest, ...]:
        bodies = [unique_body(requester, f"{purpose} {number}", size) for number, (size, _) in enumerate(shapes)]
        return tuple(
            _pipelined(requester, body, in_chunks=chunks) for body, (_, chunks) in zip(bodies, shapes, strict=True)
        )

    yield row("alike", *(((0, False),) * 6))
    yield row("by turns", (30_000, False), (0, True), (3000, True), (0, False), (0, True))
    if not refusing:
        return
    first, second, third = row("between", (0, False), (0, False), (0, True))
    yield first, _pipelined(requester, b"[]"), second, third


def _pipelined(requester: Requester, body: bytes, *, in_chunks: bool = False) -> CheckRequest:
    """
    One of several requests in one go, in chunks or not.
    """
    line, sent = (_CHUNKED[0], chunked(body, 40)) if in_chunks else (f"Content-Length: {len(body)}", body)
    return raw_request(requester, body, line, sent=sent, label="pipelined requests")


def _each(ask: Callable[[Thing], None], things: Iterable[Thing]) -> None:
    """
    Ask about each of some things, a few at the same time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(ask, things))
