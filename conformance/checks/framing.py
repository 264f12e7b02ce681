"""HTTP/1.1 messages: answers follow RFC 9112 and their content coding, and requests are accepted in every valid framing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from itertools import product

from chainproof.clock import Seconds, format_duration
from chainproof.contract import clauses, http_clauses
from chainproof.contract.content_coding import can_decode
from chainproof.contract.levels import Clause
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation
from ..judging.judge import BUSY_STATUSES
from ..probing.check_context import DEFAULT_BODY
from ..probing.raw_requests import (
    ReferenceAnswer,
    accepted_size,
    accepts_chunks,
    exchange_raw,
    raw_request,
    record_framed,
    send_reference_request,
)
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.connection import TransportResult
from ..transport.request import JSON_TYPE, CheckRequest, chunked
from . import check_for

_THREADS = 6
_CHUNKED = ("Transfer-Encoding: chunked",)
_LENGTH = "Content-Length: {length}"
_LONG_BODY = 70_000
"""Bytes of a body that does not arrive in one read."""
_LONG_OUTPUT = 200_000
"""Bytes of an output that a gateway compresses and sends in several pieces."""
_PIPELINED_SIZES = (30_000, 3000)
"""Bytes that are added to the long bodies of a pipeline."""
_PAUSE: Seconds = 0.002
_LONG_PAUSE: Seconds = 0.4
"""A pause in the middle of a request, as on a poor connection."""


def requests_of_every_kind(requester: Requester) -> Iterable[CheckRequest]:
    """Requests that lead to every kind of answer."""
    build = requester.build_request
    yield build(label="a plain request")
    yield build(requester.unique_input("long", _LONG_BODY), label="a long body")
    yield build(b"[]")
    yield build(None, fields=(), label="no body")
    yield build(b"{", label="a truncated object")
    yield build(fields=(("Content-Type", "text/plain"),), label="another media type")
    yield replace(build(label="no Authorization"), fields=(JSON_TYPE,))
    yield build(path=f"{requester.target.path}x", label="another path")
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        body = DEFAULT_BODY if method == "PUT" else None
        yield build(body, method=method, fields=(JSON_TYPE,) if body else (), label=method)
    yield replace(build(None, method="HEAD", fields=(), label="HEAD without Authorization"), fields=())
    if requester.settings.steerable:
        yield build(fields=(JSON_TYPE, ("X-Emulate", "rate_limited")), label="an error on demand")


@check_for(clauses.RESPONSE_FRAMING, title="every answer is exactly one HTTP message")
def every_answer_is_exactly_one_http_message(requester: Requester) -> None:
    """The bytes of every answer form one message, with nothing after it."""

    def check(request: CheckRequest) -> None:
        received, _, _ = exchange_raw(requester, requester.prepare(request), within=requester.settings.deadline)
        requester.record(requester.prepare(request), received, None)

    requester.run_each(check, requests_of_every_kind(requester), _THREADS)


@check_for(clauses.CONTENT_CODING, http_clauses.ACCEPT_ENCODING, title="`Content-Encoding` matches the body")
def content_encoding_matches_the_body(requester: Requester) -> None:
    """With and without Accept-Encoding, for outputs and errors, with bodies long enough to be worth compressing."""
    for accepted in (
        None,
        "",
        "identity",
        "gzip",
        "deflate, gzip",
        "deflate",
        "gzip;q=0",
        "gzip;q=0.000",
        "chainproof-gzip",
        "GZIP",
        "*",
        "br;q=0.1, gzip",
        "identity;q=1, *;q=0",
        *filter(can_decode, ("br", "zstd")),  # an answer that cannot be decoded here could not be judged
    ):
        fields = (JSON_TYPE,) if accepted is None else (JSON_TYPE, ("Accept-Encoding", accepted))
        label = "no Accept-Encoding" if accepted is None else f"Accept-Encoding: {accepted}"
        for body in (
            requester.unique_input(label, 3000),
            requester.unique_input(label),
            b"[" + b" " * 3000 + b"]",
        ):
            requester.submit(requester.build_request(body, fields=fields, label=label))
        if accepted in ("identity", "gzip"):  # the gateway's own errors may be stored in a coding
            unauthenticated = requester.build_request(label=f"no Authorization, with {label}")
            requester.submit(replace(unauthenticated, fields=fields))
    # Many gateways compress only what is long, or in pieces of 32 or 64 KiB.
    long = (JSON_TYPE, ("Accept-Encoding", "gzip"))
    body = requester.unique_input("long and compressed", _LONG_OUTPUT)
    requester.submit(requester.build_request(body, fields=long, label="Accept-Encoding: gzip, with a long output"))


# ------------------------------------------------------------------ requests


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusualRequest:
    """A valid but unusual way to send a request."""

    label: str
    lines: tuple[str, ...] = (_LENGTH,)
    """The header lines that frame the body; `{length}` stands for its length."""
    sent: Callable[[bytes], bytes] = lambda body: body
    cut: Callable[[bytes], tuple[bytes, ...]] | None = None
    """Splits the message into pieces that are sent one by one."""
    pause: Seconds = _PAUSE
    """Seconds between two pieces."""
    clause: Clause = clauses.REQUEST_FRAMING
    """The clause that says that the target accepts it."""
    version: str = "HTTP/1.1"
    target: Callable[[Requester], str] | None = None
    before: bytes = b""
    size: int = 0
    """Bytes that are added to the body, and so to the output of an echo chain."""
    total: int = 0
    """Bytes of the whole message, to which a header field is added that fills it; 0: any number."""


def _in_pieces(size: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """The message in pieces of *size* bytes."""
    return lambda raw: tuple(raw[start : start + size] for start in range(0, len(raw), size))


def _body_bytewise(raw: bytes) -> tuple[bytes, ...]:
    """The head, then the body byte by byte."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return (head + b"\r\n\r\n", *(body[at : at + 1] for at in range(len(body))))


def _head_then_body(raw: bytes) -> tuple[bytes, ...]:
    """The head, then the body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return (head + b"\r\n\r\n", body)


def _body_in_halves(raw: bytes) -> tuple[bytes, ...]:
    """The head with half of the body, then the rest."""
    head, _, body = raw.partition(b"\r\n\r\n")
    half = len(body) // 2
    return (head + b"\r\n\r\n" + body[:half], body[half:])


def _between_cr_and_lf(raw: bytes) -> tuple[bytes, ...]:
    """The message, cut between each CR and LF of the head."""
    head, _, body = raw.partition(b"\r\n\r\n")
    *lines, last = (head + b"\r\n\r\n").split(b"\r\n")
    return (lines[0] + b"\r", *(b"\n" + line + b"\r" for line in lines[1:]), b"\n" + last + body)


def _before_empty_line(raw: bytes) -> tuple[bytes, ...]:
    """The message, cut before the empty line that ends its head."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return (head + b"\r\n", b"\r\n" + body)


UNUSUAL_REQUESTS: tuple[UnusualRequest, ...] = (
    UnusualRequest(label="chunks of 1 byte", lines=_CHUNKED, sent=lambda body: chunked(body, 1)),
    UnusualRequest(label="2000 chunks of 3 bytes", lines=_CHUNKED, sent=lambda body: chunked(body, 3), size=6000),
    UnusualRequest(label="chunks of 4096 bytes", lines=_CHUNKED, sent=lambda body: chunked(body, 4096), size=16_384),
    UnusualRequest(label="one chunk", lines=_CHUNKED, sent=lambda body: chunked(body, len(body))),
    UnusualRequest(
        label="chunk sizes in upper case with leading zeros",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 26, "%08X"),
    ),
    UnusualRequest(
        label="chunks sent one by one",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 5),
        cut=_in_pieces(10),
    ),
    UnusualRequest(
        label="`Chunked` with a capital letter",
        lines=("Transfer-Encoding: Chunked",),
        sent=lambda body: chunked(body, 9),
        clause=http_clauses.CHUNKED_ANY_CASE,
    ),
    UnusualRequest(
        label="chunk extensions",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 9, extension=b';name=value;quoted="a;b"'),
        clause=http_clauses.CHUNK_EXTENSIONS,
    ),
    UnusualRequest(
        label="two trailer fields",
        lines=(*_CHUNKED, "Trailer: X-Chainproof-Digest, X-Chainproof-Size"),
        sent=lambda body: chunked(body, 9, trailer=b"X-Chainproof-Digest: 1\r\nX-Chainproof-Size: 2\r\n"),
        clause=http_clauses.CHUNKED_TRAILERS,
    ),
    # A server that reads until it gets less than it asked for waits for more.
    UnusualRequest(label="a message of exactly 4096 bytes", total=4096, size=1000),
    UnusualRequest(label="a message of exactly 8192 bytes", total=8192, size=6000),
    UnusualRequest(label="a message of exactly 65536 bytes", total=65_536, size=63_000),
    UnusualRequest(label="a body sent byte by byte", cut=_body_bytewise),
    UnusualRequest(label="a head and a body sent separately", cut=_head_then_body),
    UnusualRequest(label="a pause between head and body", cut=_head_then_body, pause=_LONG_PAUSE),
    UnusualRequest(label="a pause in the middle of the body", cut=_body_in_halves, pause=_LONG_PAUSE),
    UnusualRequest(
        label="a pause in the middle of the chunks",
        lines=_CHUNKED,
        sent=lambda body: chunked(body, 30),
        cut=_body_in_halves,
        pause=_LONG_PAUSE,
    ),
    UnusualRequest(label="a head in pieces of 7 bytes", cut=_in_pieces(7)),
    UnusualRequest(label="a head split between CR and LF", cut=_between_cr_and_lf),
    UnusualRequest(label="a head split before its empty line", cut=_before_empty_line),
    UnusualRequest(
        label="header names in mixed case",
        lines=("cONTENT-lENGTH: {length}", "x-CHAINPROOF-odd: 1"),
    ),
    UnusualRequest(
        label="no whitespace, spaces and tabs around header values",
        lines=("Content-Length:{length}", "X-Chainproof-Blanks: \t a b \t ", "X-Chainproof-Empty:"),
    ),
    UnusualRequest(
        label="50 header fields",
        lines=(*(f"X-Chainproof-{number}: {number}" for number in range(50)), _LENGTH),
    ),
    UnusualRequest(label="a header field of 4 KiB", lines=(f"X-Chainproof-Long: {'x' * 4096}", _LENGTH)),
    UnusualRequest(label="a header field twice", lines=("X-Chainproof: a", "X-Chainproof: b", _LENGTH)),
    UnusualRequest(
        label="a Content-Length with leading zeros",
        lines=("Content-Length: 00{length}",),
        clause=http_clauses.LENGTH_LEADING_ZEROS,
    ),
    UnusualRequest(label="a query", target=lambda requester: f"{requester.target.path}?a=b&c=%20d&e"),
    UnusualRequest(
        label="an absolute URL",
        target=lambda requester: f"http://{requester.target.authority}{requester.target.path}",
        clause=http_clauses.ABSOLUTE_FORM,
    ),
    UnusualRequest(label="an empty line before the request", before=b"\r\n", clause=http_clauses.LEADING_EMPTY_LINE),
    UnusualRequest(label="`Connection: close`", lines=("Connection: close", _LENGTH)),
    UnusualRequest(
        label="`Connection: close` and a long body", lines=("Connection: close", _LENGTH), size=_LONG_OUTPUT
    ),
    # Not tabs, which RFC 9110 §5.6.3 permits too: nginx rejects them, and Node.js does after a coding.
    UnusualRequest(label="spaces around the length", lines=("Content-Length:   {length}  ",)),
    UnusualRequest(
        label="spaces around the transfer coding",
        lines=("Transfer-Encoding:   chunked  ",),
        sent=lambda body: chunked(body, 9),
    ),
    UnusualRequest(label="`Connection: keep-alive`", lines=("Connection: keep-alive", _LENGTH)),
    UnusualRequest(label="HTTP/1.0", version="HTTP/1.0", clause=http_clauses.HTTP_1_0_ACCEPTED),
    UnusualRequest(
        label="HTTP/1.0 with a long body", version="HTTP/1.0", clause=http_clauses.HTTP_1_0_ACCEPTED, size=_LONG_OUTPUT
    ),
    UnusualRequest(
        label="`Expect: 100-continue` with the body sent immediately",
        lines=("Expect: 100-continue", _LENGTH),
    ),
    UnusualRequest(label="`Expect: 100-Continue` with capital letters", lines=("expect: 100-Continue", _LENGTH)),
)


@check_for(clauses.REQUEST_FRAMING, clauses.UPGRADE_OFFER)
def every_valid_request_framing_is_accepted(requester: Requester) -> None:
    """Chunked or not, in pieces or at once, with many header fields, with an offer of another protocol."""
    _send_unusual_requests(requester, [each for each in UNUSUAL_REQUESTS if each.clause is clauses.REQUEST_FRAMING])
    _send_offer_of_http_2(requester)


def _send_offer_of_http_2(requester: Requester) -> None:
    """Send a request as Java's HttpClient does to any plain http URL. A target may ignore the offer (RFC 9110 §7.8)."""
    if requester.target.scheme != "http":
        return  # with TLS, HTTP/2 is agreed on before the first request
    reference = send_reference_request(requester)
    body = requester.unique_input("offering HTTP/2")
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    label = "an offer to upgrade to HTTP/2"
    request = raw_request(requester, body, *lines, _LENGTH.format(length=len(body)), sent=body, label=label)
    within = reference.timeout(requester.settings.deadline)
    with requester.raw_connection() as connection:
        connection.send_request(request)
        if connection.wait_for_bytes(within).startswith(b"HTTP/1.1 101"):
            return  # HTTP/2 follows, which is not judged
        received = connection.read_answer(request, within=within)
    record_framed(requester, request, received, reference.same_status(clauses.UPGRADE_OFFER))


@check_for(
    http_clauses.CHUNKED_ANY_CASE,
    http_clauses.CHUNK_EXTENSIONS,
    http_clauses.CHUNKED_TRAILERS,
    http_clauses.LENGTH_LEADING_ZEROS,
    http_clauses.ABSOLUTE_FORM,
    http_clauses.LEADING_EMPTY_LINE,
    http_clauses.HTTP_1_0_ACCEPTED,
    title="every form of request that RFC 9112 names is accepted",
)
def every_form_of_request_is_accepted(requester: Requester) -> None:
    """Chunk extensions, trailers, absolute URLs, HTTP/1.0 and an empty line before a request are accepted."""
    _send_unusual_requests(requester, [each for each in UNUSUAL_REQUESTS if each.clause is not clauses.REQUEST_FRAMING])


def _send_unusual_requests(requester: Requester, unusual_requests: Collection[UnusualRequest]) -> None:
    """
    Send unusual requests, each on a connection of its own; chunked ones only if plain chunks are accepted, and long ones only
    if bodies of that size are.

    A request that found the target busy is sent again alone, when a request with normal framing is accepted.
    """
    reference = send_reference_request(requester)
    takes_chunks = accepts_chunks(requester, reference)
    largest = accepted_size(requester, reference, (each.size for each in unusual_requests))
    found_busy: list[UnusualRequest] = []

    def check(unusual: UnusualRequest) -> None:
        request, received = _exchange_unusual(requester, unusual, reference)
        if received.status in BUSY_STATUSES:
            found_busy.append(unusual)
        else:
            record_framed(requester, request, received, reference.same_status(unusual.clause))

    sent = [
        each
        for each in unusual_requests
        if each.size <= largest and (takes_chunks or each.clause is clauses.REQUEST_FRAMING or not _is_chunked(each))
    ]
    requester.run_each(check, sent, _THREADS)
    for unusual in found_busy:
        now = send_reference_request(requester)
        request, received = _exchange_unusual(requester, unusual, now)
        record_framed(requester, request, received, now.same_status(unusual.clause))


def _exchange_unusual(
    requester: Requester, unusual: UnusualRequest, reference: ReferenceAnswer
) -> tuple[CheckRequest, TransportResult]:
    """Send one unusual request on a connection of its own. Returns the request and what came back."""
    request = unusual_request(requester, unusual)
    return request, exchange_unusual(requester, unusual, request, reference.timeout(requester.settings.deadline))


def unusual_request(requester: Requester, unusual: UnusualRequest, *, with_key: bool = True) -> CheckRequest:
    """A request that is sent in an unusual way."""
    body = requester.unique_input(unusual.label, unusual.size)

    def build(*more: str) -> CheckRequest:
        return raw_request(
            requester,
            body,
            *(line.format(length=len(body)) for line in unusual.lines),
            *more,
            sent=unusual.sent(body),
            label=unusual.label,
            version=unusual.version,
            target=unusual.target(requester) if unusual.target else None,
            before=unusual.before,
            with_key=with_key,
        )

    request = build()
    missing = unusual.total - len(request.raw or b"") - len("X-Chainproof-Filling: \r\n")
    return build(f"X-Chainproof-Filling: {'x' * missing}") if missing > 0 else request


def exchange_unusual(
    requester: Requester, unusual: UnusualRequest, request: CheckRequest, within: Seconds
) -> TransportResult:
    """What comes back for an unusual request, sent on a connection of its own."""
    assert request.raw is not None
    pieces = unusual.cut(request.raw) if unusual.cut else (request.raw,)
    is_http_1_0 = unusual.version == "HTTP/1.0"
    return exchange_raw(requester, request, *pieces, pause=unusual.pause, within=within, http_1_0=is_http_1_0)[0]


def _is_chunked(unusual: UnusualRequest) -> bool:
    """True if the body is sent in chunks."""
    return any(line.lower().startswith("transfer-encoding") for line in unusual.lines)


@check_for(http_clauses.EXPECT_CONTINUE, clauses.REQUEST_FRAMING, title="`Expect: 100-continue` is honoured")
def expect_100_continue_is_honoured(requester: Requester) -> None:
    """
    A request with `Expect: 100-continue` gets an interim or a final answer. Without either, the client sends the body
    anyway.
    """
    reference = send_reference_request(requester)
    if requester.speaks_only_http_1_0:
        raise CheckSkipped("needs a target that speaks HTTP/1.1: HTTP/1.0 has no interim answers")
    takes_chunks = accepts_chunks(requester, reference)
    sizes = sorted({0, accepted_size(requester, reference, [_LONG_BODY])})
    for in_chunks, size in product((False, True) if takes_chunks else (False,), sizes):
        value = "100-continue" if size == sizes[0] else "100-Continue"  # in any letter case (RFC 9110 §10.1.1)
        body = requester.unique_input(f"waiting {in_chunks} {size}", size)
        request = raw_request(
            requester,
            body,
            f"Expect: {value}",
            _CHUNKED[0] if in_chunks else f"Content-Length: {len(body)}",
            sent=chunked(body, 9 if size == 0 else 8192) if in_chunks else body,
            label=f"`Expect: {value}` with a delayed body",
        )
        assert request.raw is not None
        head, rest = _head_then_body(request.raw)
        with requester.raw_connection() as connection:
            connection.send_request(request, head)
            first = connection.wait_for_bytes(requester.waits.continue_answer)
            if not first or first.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):
                connection.send_bytes(rest)
            received = connection.read_answer(request, within=reference.timeout(requester.settings.deadline))
        _record_expect(requester, request, received, reference, has_first=bool(first))
        if not first:
            return


def _record_expect(
    requester: Requester,
    request: CheckRequest,
    received: TransportResult,
    reference: ReferenceAnswer,
    *,
    has_first: bool,
) -> None:
    """Record whether anything came before the body was sent, and judge the answer to the whole request."""
    expected = reference.same_status(clauses.REQUEST_FRAMING)
    if expected is None:
        return
    clause = http_clauses.EXPECT_CONTINUE
    requester.record_clause(
        clause,
        request,
        received.answer,
        expected="an interim or a final answer before the body is sent",
        actual=None if has_first else f"nothing within {format_duration(requester.waits.continue_answer)}",
    )
    if has_first:
        record_framed(requester, request, received, expected)


@check_for(clauses.REQUEST_FRAMING, clauses.ANSWER_MATCHES_REQUEST)
def pipelined_requests_are_answered_in_order(requester: Requester) -> None:
    """
    Several requests sent at once over one connection get their own answers in the order of the requests (RFC 9112
    §9.3.2). The target may close after any of them.
    """
    reference = send_reference_request(requester)
    array = requester.send(requester.build_request(b"[]", label="an array")).answer
    rejects_arrays = array is not None and 400 <= array.status < 500
    largest = accepted_size(requester, reference, _PIPELINED_SIZES)
    for requests in _pipelines(requester, largest=largest, rejects_arrays=rejects_arrays):
        with requester.raw_connection() as connection:
            connection.send_pipelined(requests)
            for number, request in enumerate(requests):
                received = connection.read_answer(request, within=reference.timeout(requester.settings.deadline))
                if number and received.transport is Transport.CONNECTION_LOST and not received.raw:
                    break
                rejected = request.body == b"[]"
                record_framed(
                    requester,
                    request,
                    received,
                    _REJECTION if rejected else reference.same_status(clauses.REQUEST_FRAMING),
                )
                if connection.is_closed or received.closes_connection:
                    break
    _send_next_in_part(requester, reference)


def _send_next_in_part(requester: Requester, reference: ReferenceAnswer) -> None:
    """Send a request with the beginning of the next one, whose rest follows after the first answer."""
    first, second = (_pipeline_request(requester, requester.unique_input(f"in part {number}")) for number in range(2))
    assert first.raw is not None
    assert second.raw is not None
    half = len(second.raw) // 2
    within = reference.timeout(requester.settings.deadline)
    with requester.raw_connection() as connection:
        before = connection.exchange(first, first.raw + second.raw[:half], within=within)
        if before.answer is None or before.closes_connection or connection.is_closed:
            return
        received = connection.exchange(second, second.raw[half:], within=within)
    if received.transport is not Transport.CONNECTION_LOST or received.raw:
        record_framed(requester, second, received, reference.same_status(clauses.REQUEST_FRAMING))


_REJECTION = Expectation(
    clause=clauses.REQUEST_FRAMING,
    expected="an error, in the order of the pipelined requests",
    is_met_by=lambda answer: answer.status >= 400,
)


def _pipelines(requester: Requester, *, largest: int, rejects_arrays: bool) -> Iterable[tuple[CheckRequest, ...]]:
    """
    Rows of requests: equal ones, long and short ones, and rejected ones in between if the target rejects arrays.

    *largest* is how many bytes may be added to a body.
    """
    long, middle = (min(size, largest) for size in _PIPELINED_SIZES)

    def row(purpose: str, *shapes: tuple[int, bool]) -> tuple[CheckRequest, ...]:
        bodies = [requester.unique_input(f"{purpose} {number}", size) for number, (size, _) in enumerate(shapes)]
        return tuple(
            _pipeline_request(requester, body, in_chunks=chunks)
            for body, (_, chunks) in zip(bodies, shapes, strict=True)
        )

    yield row("alike", *(((0, False),) * 6))
    yield row("by turns", (long, False), (0, True), (middle, True), (0, False), (0, True))
    if not rejects_arrays:
        return
    first, second, third = row("between", (0, False), (0, False), (0, True))
    yield first, _pipeline_request(requester, b"[]"), second, third


def _pipeline_request(requester: Requester, body: bytes, *, in_chunks: bool = False) -> CheckRequest:
    """One request of a pipeline, chunked or not."""
    line, sent = (_CHUNKED[0], chunked(body, 40)) if in_chunks else (f"Content-Length: {len(body)}", body)
    return raw_request(requester, body, line, sent=sent, label="pipelined requests")
