"""
Request syntax faults: what one sentence of RFC 9110 or RFC 9112 forbids is accepted, or what it requires is rejected.

Each fault rewrites the bytes of a request before they are parsed, as a parser that reads them so would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from chainproof.contract import http_clauses

from .fault import FaultRegistrar, FaultStage
from .hooks import ConnectionEnd, FaultHook, OutgoingAnswer, Step
from .request_framing import field_values, rewrites_head, without_field

_faults = FaultRegistrar(stage=FaultStage.PARSING)

_HeadChange = Callable[[list[bytes], bytes], tuple[list[bytes], bytes]]


def _in_lines(pattern: bytes, replacement: bytes) -> _HeadChange:
    """A change to the header lines that match a pattern."""
    regex = re.compile(pattern)
    return lambda lines, body: ([lines[0], *(regex.sub(replacement, line) for line in lines[1:])], body)


def _in_request_line(pattern: bytes, replacement: bytes) -> _HeadChange:
    """A change to the request line."""
    regex = re.compile(pattern)
    return lambda lines, body: ([regex.sub(replacement, lines[0]), *lines[1:]], body)


def _in_chunks(change: Callable[[bytes], bytes]) -> _HeadChange:
    """A change to the bytes of a chunked body."""
    return lambda lines, body: (lines, change(body) if field_values(lines, b"transfer-encoding") else body)


def _wrapped(number: int) -> int:
    """A number as an unsigned integer of 32 bits."""
    return number & 0xFFFFFFFF


def _wrapped_length(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Reads Content-Length as an integer of 32 bits."""
    lengths = field_values(lines, b"content-length")
    if len(lengths) != 1 or not lengths[0].isdigit():
        return lines, body
    return [*without_field(lines, b"content-length"), b"Content-Length: %d" % _wrapped(int(lengths[0]))], body


def _wrapped_chunk_size(body: bytes) -> bytes:
    """Reads the size of the first chunk as an integer of 32 bits."""
    return re.sub(rb"^[0-9a-fA-F]+", lambda size: b"%x" % _wrapped(int(size[0], 16)), body)


def _missing_chunk_end(body: bytes) -> bytes:
    """Adds the line end that is missing after the first chunk."""
    size = re.match(rb"([0-9a-fA-F]+)\r\n", body)
    end = size.end() + int(size[1], 16) if size else 0
    return body if not size or body[end : end + 2] == b"\r\n" else body[:end] + b"\r\n" + body[end:]


def _lf_as_crlf(body: bytes) -> bytes:
    """Reads bare line feeds as line ends."""
    return body if b"\r" in body else body.replace(b"\n", b"\r\n")


def _http_1_0_chunks(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Reads an HTTP/1.0 request with a transfer coding as HTTP/1.1."""
    if not field_values(lines, b"transfer-encoding") or not lines[0].endswith(b"HTTP/1.0"):
        return lines, body
    return [lines[0][:-1] + b"1", *lines[1:], b"Connection: close"], body


def _without_unknown_coding(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Drops a Transfer-Encoding with an unknown coding."""
    codings = re.split(rb"[, ]+", b",".join(field_values(lines, b"transfer-encoding")).lower())
    known = {b"", b"chunked", b"gzip", b"deflate", b"compress", b"identity"}
    return (lines if known.issuperset(codings) else without_field(lines, b"transfer-encoding")), body


def _trailers_as_fields(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Moves trailer fields into the head."""
    trailers = re.search(rb"(?:^|\r\n)0+\r\n((?:[\w-]+:[^\r\n]+\r\n)+)\r\n$", body)
    if not trailers or not field_values(lines, b"transfer-encoding"):
        return lines, body
    return [*lines, *trailers[1].removesuffix(b"\r\n").split(b"\r\n")], body


def _lines_at_bare_cr(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Splits header lines at carriage returns."""
    return [part for line in lines for part in line.split(b"\r")], body


def _without_odd_lines(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Drops header lines without a colon, without a name, or with a parenthesis in the name."""
    odd = re.compile(rb":|[^:]*\(|[^: \t]+$")
    return [lines[0], *(line for line in lines[1:] if not odd.match(line))], body


def _without_control_characters(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Drops control characters from header lines other than Authorization."""
    control = re.compile(rb"[\x01-\x08\x0e-\x1f]")
    return [line if line.lower().startswith(b"authorization") else control.sub(b"", line) for line in lines], body


for _name, _description, _change, *_clauses in (
    (
        "accepts-negative-length",
        "The sign of a negative Content-Length is ignored.",
        _in_lines(rb"(?i)^(content-length:) *-", rb"\1 "),
        http_clauses.LENGTH_SYNTAX,
    ),
    (
        "rejects-leading-zeros",
        "A Content-Length with leading zeros is rejected.",
        _in_lines(rb"(?i)^(content-length:) *0(?=\d)", rb"\1 x"),
        http_clauses.LENGTH_LEADING_ZEROS,
    ),
    (
        "length-wraps-32-bits",
        "Content-Length is read as an integer of 32 bits.",
        _wrapped_length,
        http_clauses.LENGTH_OVERFLOW,
    ),
    (
        "ignores-unknown-coding",
        "A Transfer-Encoding with an unknown coding is ignored.",
        _without_unknown_coding,
        http_clauses.TRANSFER_CODING_KNOWN,
        http_clauses.CHUNKED_OVERRIDES_LENGTH,
    ),
    (
        "accepts-chunked-in-http-1-0",
        "Chunked HTTP/1.0 requests are accepted.",
        _http_1_0_chunks,
        http_clauses.CHUNKED_HTTP_1_0,
    ),
    (
        "accepts-chunked-twice",
        "`Transfer-Encoding: chunked, chunked` is read as `chunked`.",
        _in_lines(rb"(?i)^(transfer-encoding: *chunked), *chunked", rb"\1"),
        http_clauses.CHUNKED_TWICE,
    ),
    (
        "chunked-case-sensitive",
        "`Transfer-Encoding: Chunked` is an unknown transfer coding.",
        _in_lines(rb"(?i:^(transfer-encoding: *))(C)", rb"\1x\2"),
        http_clauses.CHUNKED_ANY_CASE,
    ),
    (
        "accepts-negative-chunk-sizes",
        "The sign of a negative chunk size is ignored.",
        _in_chunks(lambda body: body.removeprefix(b"-")),
        http_clauses.CHUNK_SIZE_SYNTAX,
    ),
    (
        "accepts-odd-chunk-sizes",
        "A chunk size may begin with a space, `+`, `0x` or `0_`.",
        _in_chunks(lambda body: re.sub(rb"^(?: |\+|0x|0_)(?=[0-9a-f])", b"", body)),
        http_clauses.CHUNK_SIZE_DIGITS_ONLY,
    ),
    (
        "chunk-size-wraps-32-bits",
        "Chunk sizes are read as integers of 32 bits.",
        _in_chunks(_wrapped_chunk_size),
        http_clauses.CHUNK_SIZE_OVERFLOW,
    ),
    (
        "chunk-end-optional",
        "The line end after the data of a chunk may be missing.",
        _in_chunks(_missing_chunk_end),
        http_clauses.CHUNK_END,
    ),
    (
        "chunks-end-in-line-feeds",
        "Chunks may end in a bare line feed.",
        _in_chunks(_lf_as_crlf),
        http_clauses.CHUNK_END_CRLF,
    ),
    (
        "trailers-merged",
        "Trailer fields are read as header fields.",
        _trailers_as_fields,
        http_clauses.TRAILERS_NOT_MERGED,
    ),
    (
        "bare-cr-ends-field",
        "A bare carriage return ends a header field.",
        _lines_at_bare_cr,
        http_clauses.BARE_CR,
        http_clauses.FIELD_VALUE_CHARACTERS,
    ),
    (
        "folded-line-is-a-field",
        "A line that begins with a space is read as a header field of its own.",
        _in_lines(rb"^[ \t]+", b""),
        http_clauses.FOLDED_FIELD,
    ),
    (
        "ignores-control-characters",
        "Control characters in header fields are ignored.",
        _without_control_characters,
        http_clauses.FIELD_VALUE_CHARACTERS,
    ),
    (
        "ignores-odd-field-lines",
        "Header lines without a colon, without a name, or with a parenthesis in the name are ignored.",
        _without_odd_lines,
        http_clauses.FIELD_LINE_SYNTAX,
    ),
    (
        "accepts-any-host",
        "A Host header with a space is accepted.",
        _in_lines(rb"(?i)^host: *[^ ]+ .*", b"Host: localhost"),
        http_clauses.HOST_SYNTAX,
    ),
    (
        "rejects-http-1-0",
        "HTTP/1.0 requests are rejected.",
        _in_request_line(rb"HTTP/1\.0$", b"HTTP/3.0"),
        http_clauses.HTTP_1_0_ACCEPTED,
    ),
    (
        "accepts-http-2-0",
        "A request line with HTTP/2.0 is read as HTTP/1.1.",
        _in_request_line(rb"HTTP/2\.0$", b"HTTP/1.1"),
        http_clauses.VERSION_MAJOR,
    ),
    (
        "version-case-insensitive",
        "A request line with `http/1.1` is accepted.",
        _in_request_line(rb"http/1\.1$", b"HTTP/1.1"),
        http_clauses.VERSION_CASE,
    ),
):
    _faults.add(_name, _description, rewrites_head(_change), *_clauses)


@_faults.on_read(http_clauses.LEADING_EMPTY_LINE)
def rejects_leading_empty_line(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # the signature of every ReadHook
    """An empty line before a request is rejected."""
    return b"\1" + data if begins and data.startswith(b"\r\n") else data


@_faults.on_send(http_clauses.EXPECT_CONTINUE)
def continue_never_sent(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """`Expect: 100-continue` is ignored: nothing is sent before the body has arrived."""
    yield b"" if outgoing.answer is None else outgoing.wire


@_faults.on_send(http_clauses.MALFORMED_ANSWERED)
def invalid_http_is_500(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Messages that are not valid HTTP are answered 500."""
    if outgoing.answer is None or outgoing.request is not None:
        yield outgoing.wire
        return
    yield b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    yield ConnectionEnd.CLOSE


_faults.add(
    "accepts-early-close",
    "A body that the client ends before its Content-Length by closing the connection is accepted.",
    FaultHook(accepts_truncated_body=lambda headers: any(name == b"content-length" for name, _ in headers)),
    http_clauses.INCOMPLETE_AT_CLOSE,
)
