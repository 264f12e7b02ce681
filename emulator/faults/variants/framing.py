"""Variants of how answers are framed: chunks, HTTP versions, interim answers, connections, header lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..hooks import ConnectionEnd, FaultHook, OutgoingAnswer, SendHook, Step, head_from_lines, rejects, without_lines
from .variant import add_variant, changed_head


def _close_delimited(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Send an answer without Content-Length and close the connection."""
    if outgoing.answer is None:
        yield outgoing.wire
        return
    yield (
        head_from_lines([*without_lines(outgoing.lines(), b"content-length", b"connection"), b"Connection: close"])
        + outgoing.body
    )
    yield ConnectionEnd.CLOSE


def _http_1_0(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Send an HTTP/1.0 answer and close the connection."""
    if outgoing.answer is None:
        yield outgoing.wire
        return
    lines = without_lines(outgoing.lines(), b"connection")
    yield head_from_lines([b"HTTP/1.0" + lines[0][8:], *lines[1:]]) + outgoing.body
    yield ConnectionEnd.CLOSE


def _http_1_0_keep_alive(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Send an HTTP/1.0 answer with Connection: keep-alive."""
    if outgoing.answer is None or outgoing.close:
        yield from _http_1_0(outgoing)
        return
    lines = outgoing.lines()
    yield head_from_lines([b"HTTP/1.0" + lines[0][8:], *lines[1:], b"Connection: keep-alive"]) + outgoing.body


def _http_1_0_only(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Send an HTTP/1.0 answer and close the connection. There is no `100 Continue`."""
    if outgoing.answer is None:
        yield b""
    else:
        yield from _http_1_0(outgoing)


def _chunked(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Send a chunked answer with chunk extensions and a trailer field."""
    if outgoing.answer is None or not outgoing.body or (outgoing.request is None) or outgoing.close:
        yield outgoing.wire
        return
    size = max(1, len(outgoing.body) // 3)
    yield head_from_lines(
        [*without_lines(outgoing.lines(), b"content-length"), b"Transfer-Encoding: chunked", b"Trailer: X-Sum"]
    )
    for at in range(0, len(outgoing.body), size):
        piece = outgoing.body[at : at + size]
        yield b"%X;name=value;more\r\n%s\r\n" % (len(piece), piece)
    yield b"000;last\r\nX-Sum: none\r\n\r\n"


def _small_segments(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Send the first 400 bytes in segments of 40."""
    wire = outgoing.wire
    for at in range(0, min(len(wire), 400), 40):
        yield wire[at : at + 40]
        yield 0.0005
    yield wire[400:]


def _after(interim: bytes) -> SendHook:
    """A hook that sends an interim answer before the final one."""

    def send(outgoing: OutgoingAnswer) -> Iterator[Step]:
        has_final_answer = outgoing.answer is not None and outgoing.request is not None and not outgoing.close
        yield (interim if has_final_answer else b"") + outgoing.wire

    return send


def close_after(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Send Connection: close with an answer and close the connection."""
    if outgoing.answer is None:
        yield outgoing.wire
        return
    yield head_from_lines([*without_lines(outgoing.lines(), b"connection"), b"Connection: close"]) + outgoing.body
    yield ConnectionEnd.CLOSE


def _close_after_errors(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Close the connection after errors only."""
    if outgoing.status >= 400:
        yield from close_after(outgoing)
    else:
        yield outgoing.wire


def _close_every_tenth(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Close the connection after its tenth answer."""
    if outgoing.answer is not None and outgoing.connection.every_nth(10, "answers"):
        yield from close_after(outgoing)
    else:
        yield outgoing.wire


for _name, _description, _allowed_by, _send in (
    (
        "close-delimited",
        "Answers have no Content-Length and end when the connection closes.",
        "RFC 9112 §6.3, rule 8",
        _close_delimited,
    ),
    ("http-1-0", "Answers are HTTP/1.0 and end when the connection closes.", "RFC 9110 §2.5, RFC 9112 §9.3", _http_1_0),
    (
        "http-1-0-keep-alive",
        "Answers are HTTP/1.0 with Connection: keep-alive.",
        "RFC 9112 §9.3, C.2.2",
        _http_1_0_keep_alive,
    ),
    ("chunked", "Answers are chunked, with chunk extensions and a trailer field.", "RFC 9112 §7.1", _chunked),
    (
        "small-segments",
        "Answers are sent in many small segments.",
        "RFC 9112 §2.2: a message is a sequence of octets",
        _small_segments,
    ),
    (
        "early-hints",
        "103 Early Hints precedes every answer.",
        "RFC 9110 §15.2, RFC 8297 §2",
        _after(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"),
    ),
    (
        "processing",
        "102 Processing precedes every answer.",
        "RFC 9110 §15.2: any number of interim responses",
        _after(b"HTTP/1.1 102 Processing\r\n\r\n"),
    ),
    ("close-always", "Every answer has `Connection: close`, and the connection closes.", "RFC 9112 §9.6", close_after),
    (
        "close-after-errors",
        "Every error has `Connection: close`, and the connection closes.",
        "RFC 9112 §9.6",
        _close_after_errors,
    ),
    (
        "close-every-tenth",
        "The tenth answer of a connection has `Connection: close`, and the connection closes.",
        "RFC 9112 §9.6",
        _close_every_tenth,
    ),
):
    add_variant(_name, _description, _allowed_by, FaultHook(send=_send))

add_variant(
    "http-1-0-only",
    "The server speaks HTTP/1.0 only: it rejects chunks, and sends no `100 Continue`.",
    "RFC 9112 §6.1: a client MUST NOT send chunks unless it knows that the server handles HTTP/1.1",
    FaultHook(decide=rejects(lambda context: context.field(b"transfer-encoding")), send=_http_1_0_only),
)
add_variant(
    "lower-case-fields",
    "Field names are in lower case, with white space around the values.",
    "RFC 9110 §5.1, RFC 9112 §5.1: field names are case-insensitive, white space around values is ignored",
    changed_head(
        lambda lines: [
            lines[0],
            *(re.sub(rb"^([^:]+): ", lambda match: match[1].lower() + b":\t ", line) + b" " for line in lines[1:]),
        ]
    ),
)
add_variant(
    "no-reason-phrase",
    "The status line has no reason phrase.",
    "RFC 9112 §4: the reason phrase is optional",
    changed_head(lambda lines: [lines[0][:13], *lines[1:]]),
)
add_variant(
    "odd-reason-phrase",
    "The reason phrase is unusual and not ASCII.",
    "RFC 9112 §4: a client SHOULD ignore the reason phrase",
    changed_head(lambda lines: [lines[0][:13] + "Très bien".encode("latin-1"), *lines[1:]]),
)
add_variant(
    "no-date",
    "Answers have no Date.",
    "RFC 9110 §6.6.1: an origin server without a clock MUST NOT send Date",
    changed_head(lambda lines: without_lines(lines, b"date")),
)
add_variant(
    "extra-fields",
    "Answers have many additional fields, some of them repeated.",
    "RFC 9110 §5.1, §5.3: unknown fields are ignored, list fields may be repeated",
    changed_head(
        lambda lines: [
            *lines,
            b"Server: odd",
            b"Vary: Accept",
            b"Vary: Accept-Encoding",
            b"Set-Cookie: a=1",
            b"Set-Cookie: b=2",
            b"X-Empty:",
            b'Alt-Svc: h3=":443"; ma=86400',
            b"Strict-Transport-Security: max-age=1",
            b"Keep-Alive: timeout=60",
        ]
    ),
)
add_variant(
    "connection-keep-alive",
    "Answers that keep the connection open have `Connection: keep-alive`.",
    "RFC 9112 §9.3: persistence is the default and may be stated",
    changed_head(
        lambda lines: (
            lines
            if any(line.lower().startswith(b"connection:") for line in lines)
            else [*lines, b"Connection: keep-alive"]
        )
    ),
)
