"""Valid requests in unusual framings, and how they are sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chainproof.clock import Seconds
from chainproof.contract import clauses, http_clauses
from chainproof.contract.levels import Clause

from ..transport.connection import TransportResult
from ..transport.request import CheckRequest, chunked
from .raw_requests import exchange_raw, raw_request
from .requester import Requester

LONG_OUTPUT = 200_000
"""Bytes of an output that a gateway compresses and sends in several pieces."""
_LENGTH = "Content-Length: {length}"
_CHUNKED = ("Transfer-Encoding: chunked",)
_PAUSE: Seconds = 0.002
_LONG_PAUSE: Seconds = 0.4
"""A pause in the middle of a request, as on a poor connection."""


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

    @property
    def is_chunked(self) -> bool:
        """Whether the body is sent in chunks."""
        return any(line.lower().startswith("transfer-encoding") for line in self.lines)


def _in_pieces(size: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """The message in pieces of *size* bytes."""
    return lambda raw: tuple(raw[start : start + size] for start in range(0, len(raw), size))


def _body_bytewise(raw: bytes) -> tuple[bytes, ...]:
    """The head, then the body byte by byte."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return (head + b"\r\n\r\n", *(body[at : at + 1] for at in range(len(body))))


def head_then_body(raw: bytes) -> tuple[bytes, ...]:
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
    UnusualRequest(label="a head and a body sent separately", cut=head_then_body),
    UnusualRequest(label="a pause between head and body", cut=head_then_body, pause=_LONG_PAUSE),
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
    UnusualRequest(label="`Connection: close` and a long body", lines=("Connection: close", _LENGTH), size=LONG_OUTPUT),
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
        label="HTTP/1.0 with a long body", version="HTTP/1.0", clause=http_clauses.HTTP_1_0_ACCEPTED, size=LONG_OUTPUT
    ),
    UnusualRequest(
        label="`Expect: 100-continue` with the body sent immediately",
        lines=("Expect: 100-continue", _LENGTH),
    ),
    UnusualRequest(label="`Expect: 100-Continue` with capital letters", lines=("expect: 100-Continue", _LENGTH)),
)


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
