"""Invalid HTTP messages: how each of them differs from a valid request, and the clause that says that it is rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chainproof.contract import http_clauses
from chainproof.contract.levels import Clause

from ..transport.request import chunked


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidMessage:
    """One way to make a request invalid. `{length}` stands for the length of the body, `{more}` for one more."""

    label: str
    clause: Clause
    """The clause that says that it is rejected."""
    lines: tuple[str, ...] = ("Content-Length: {length}",)
    sent: Callable[[bytes], bytes] = lambda body: body
    hosts: tuple[str, ...] | None = None
    version: str = "HTTP/1.1"


CHUNKED = ("Transfer-Encoding: chunked",)
"""The header lines of a chunked message. Messages with this very tuple are sent only to targets that accept chunks."""
_LENGTH = "Content-Length: {length}"


def _valid_chunks(body: bytes) -> bytes:
    """The body in valid chunks."""
    return chunked(body, 40)


def _with_chunk_size(form: str) -> Callable[[bytes], bytes]:
    """The body in one chunk, its size written in the given format."""
    return lambda body: (form % len(body)).encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"


def _with_overflowing_size(bits: int) -> Callable[[bytes], bytes]:
    """The body in one chunk whose size is correct only if it overflows an integer of *bits* bits."""
    return lambda body: b"%x\r\n%b\r\n0\r\n\r\n" % (2**bits + len(body), body)


def _with_transfer_encoding(label: str, *lines: str, clause: Clause = http_clauses.CHUNKED_NOT_FINAL) -> InvalidMessage:
    """A chunked body with an unusual Transfer-Encoding."""
    return InvalidMessage(label=label, lines=lines, sent=_valid_chunks, clause=clause)


def _with_chunk(label: str, form: bytes, clause: Clause = http_clauses.CHUNK_END_CRLF) -> InvalidMessage:
    """A body in one chunk that is not written as it should be. The form has places for its size and the body."""
    return InvalidMessage(label=label, lines=CHUNKED, sent=lambda body: form % (len(body), body), clause=clause)


INVALID_MESSAGES: tuple[InvalidMessage, ...] = (
    InvalidMessage(
        label="two Content-Length fields",
        clause=http_clauses.LENGTH_CONFLICT,
        lines=(_LENGTH, "Content-Length: {more}"),
        sent=lambda body: body + b" ",
    ),
    InvalidMessage(
        label="two Content-Length fields, the larger first",
        clause=http_clauses.LENGTH_CONFLICT,
        lines=("Content-Length: {more}", _LENGTH),
        sent=lambda body: body + b" ",
    ),
    InvalidMessage(
        label="two lengths in one Content-Length field",
        clause=http_clauses.LENGTH_CONFLICT,
        lines=("Content-Length: {length}, {more}",),
        sent=lambda body: body + b" ",
    ),
    InvalidMessage(
        label="a negative Content-Length", clause=http_clauses.LENGTH_SYNTAX, lines=("Content-Length: -{length}",)
    ),
    InvalidMessage(
        label="a hexadecimal Content-Length", clause=http_clauses.LENGTH_DIGITS_ONLY, lines=("Content-Length: 0x{hex}",)
    ),
    InvalidMessage(
        label="a Content-Length with a plus sign",
        clause=http_clauses.LENGTH_DIGITS_ONLY,
        lines=("Content-Length: +{length}",),
    ),
    InvalidMessage(
        label="a Content-Length with an underscore",
        clause=http_clauses.LENGTH_DIGITS_ONLY,
        lines=("Content-Length: 0_{length}",),
    ),
    InvalidMessage(
        label="a Content-Length with a fraction",
        clause=http_clauses.LENGTH_DIGITS_ONLY,
        lines=("Content-Length: {length}.0",),
    ),
    InvalidMessage(
        label="a Content-Length that overflows 32 bits",
        clause=http_clauses.LENGTH_OVERFLOW,
        lines=("Content-Length: {wrapped32}",),
    ),
    InvalidMessage(
        label="a Content-Length that overflows 64 bits",
        clause=http_clauses.LENGTH_OVERFLOW,
        lines=("Content-Length: {wrapped64}",),
    ),
    _with_transfer_encoding(
        "an unknown transfer coding", "Transfer-Encoding: xchunked", clause=http_clauses.TRANSFER_CODING_KNOWN
    ),
    _with_transfer_encoding("another transfer coding after chunked", "Transfer-Encoding: chunked, gzip"),
    _with_transfer_encoding(
        "another transfer coding in a second field after chunked",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
    ),
    _with_transfer_encoding(
        "an unknown transfer coding in a first field before chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked",
        clause=http_clauses.TRANSFER_CODING_KNOWN,
    ),
    _with_transfer_encoding(
        "chunked twice in Transfer-Encoding", "Transfer-Encoding: chunked, chunked", clause=http_clauses.CHUNKED_TWICE
    ),
    _with_transfer_encoding(
        "a transfer coding after a vertical tab",
        "Transfer-Encoding:\x0bchunked",
        clause=http_clauses.TRANSFER_CODING_KNOWN,
    ),
    _with_transfer_encoding(
        "a transfer coding in quotation marks",
        'Transfer-Encoding: "chunked"',
        clause=http_clauses.TRANSFER_CODING_KNOWN,
    ),
    _with_transfer_encoding(
        "a transfer coding with a parameter",
        "Transfer-Encoding: chunked;x=y",
        clause=http_clauses.TRANSFER_CODING_KNOWN,
    ),
    InvalidMessage(
        label="the transfer coding `identity`, which RFC 7230 removed",
        clause=http_clauses.TRANSFER_CODING_KNOWN,
        lines=("Transfer-Encoding: identity", _LENGTH),
    ),
    _with_transfer_encoding(
        "a space before the colon of Transfer-Encoding",
        "Transfer-Encoding : chunked",
        clause=http_clauses.SPACE_BEFORE_COLON,
    ),
    InvalidMessage(
        label="a chunked body in HTTP/1.0",
        clause=http_clauses.CHUNKED_HTTP_1_0,
        lines=CHUNKED,
        sent=_valid_chunks,
        version="HTTP/1.0",
    ),
    InvalidMessage(
        label="a negative chunk size",
        clause=http_clauses.CHUNK_SIZE_SYNTAX,
        lines=CHUNKED,
        sent=_with_chunk_size("-%x"),
    ),
    InvalidMessage(
        label="a chunk size with 0x",
        clause=http_clauses.CHUNK_SIZE_DIGITS_ONLY,
        lines=CHUNKED,
        sent=_with_chunk_size("0x%x"),
    ),
    InvalidMessage(
        label="a chunk size with a plus sign",
        clause=http_clauses.CHUNK_SIZE_DIGITS_ONLY,
        lines=CHUNKED,
        sent=_with_chunk_size("+%x"),
    ),
    InvalidMessage(
        label="a chunk size with an underscore",
        clause=http_clauses.CHUNK_SIZE_DIGITS_ONLY,
        lines=CHUNKED,
        sent=_with_chunk_size("0_%x"),
    ),
    InvalidMessage(
        label="a chunk size after a space",
        clause=http_clauses.CHUNK_SIZE_DIGITS_ONLY,
        lines=CHUNKED,
        sent=_with_chunk_size(" %x"),
    ),
    InvalidMessage(
        label="a chunk size with text after it",
        clause=http_clauses.CHUNK_SIZE_DIGITS_ONLY,
        lines=CHUNKED,
        sent=_with_chunk_size("%x x"),
    ),
    InvalidMessage(
        label="a chunk size that overflows 32 bits",
        clause=http_clauses.CHUNK_SIZE_OVERFLOW,
        lines=CHUNKED,
        sent=_with_overflowing_size(32),
    ),
    InvalidMessage(
        label="a chunk size that overflows 64 bits",
        clause=http_clauses.CHUNK_SIZE_OVERFLOW,
        lines=CHUNKED,
        sent=_with_overflowing_size(64),
    ),
    InvalidMessage(
        label="no chunk size",
        clause=http_clauses.CHUNK_SIZE_SYNTAX,
        lines=CHUNKED,
        sent=lambda body: b"\r\n" + body + b"\r\n0\r\n\r\n",
    ),
    InvalidMessage(
        label="a chunk size that is not a number",
        clause=http_clauses.CHUNK_SIZE_SYNTAX,
        lines=CHUNKED,
        sent=lambda body: b"xyz\r\n" + body + b"\r\n0\r\n\r\n",
    ),
    _with_chunk("chunks that end in bare line feeds", b"%x\n%b\n0\n\n"),
    _with_chunk("a chunk size that ends in a bare line feed", b"%x\n%b\r\n0\r\n\r\n"),
    _with_chunk("a chunk extension that ends in a bare line feed", b"%x;a\n%b\r\n0\r\n\r\n"),
    _with_chunk("two other bytes in place of the line end after a chunk", b"%x\r\n%bxy0\r\n\r\n"),
    _with_chunk("a chunk without a line end", b"%x\r\n%b0\r\n\r\n", clause=http_clauses.CHUNK_END),
    _with_chunk("a chunk that is longer than its size", b"%x\r\n%bxyz\r\n0\r\n\r\n"),
    InvalidMessage(
        label="a bare CR in a header field",
        clause=http_clauses.FIELD_VALUE_CHARACTERS,
        lines=("X-Chainproof: a\rX-Other: b", _LENGTH),
    ),
    InvalidMessage(
        label="a NUL in a header field",
        clause=http_clauses.FIELD_VALUE_CHARACTERS,
        lines=("X-Chainproof: a\0b", _LENGTH),
    ),
    InvalidMessage(
        label="a control character in a header field",
        clause=http_clauses.FIELD_VALUE_CHARACTERS,
        lines=("X-Chainproof: a\x01b", _LENGTH),
    ),
    InvalidMessage(
        label="a space before the colon of a header field",
        clause=http_clauses.SPACE_BEFORE_COLON,
        lines=("X-Chainproof : a", _LENGTH),
    ),
    InvalidMessage(
        label="a tab before the colon of a header field",
        clause=http_clauses.SPACE_BEFORE_COLON,
        lines=("X-Chainproof\t: a", _LENGTH),
    ),
    InvalidMessage(
        label="a header line without a colon", clause=http_clauses.FIELD_LINE_SYNTAX, lines=("X-Chainproof", _LENGTH)
    ),
    InvalidMessage(
        label="a header field without a name", clause=http_clauses.FIELD_LINE_SYNTAX, lines=(": a", _LENGTH)
    ),
    InvalidMessage(
        label="a header name with a parenthesis",
        clause=http_clauses.FIELD_LINE_SYNTAX,
        lines=("X(Chainproof: a", _LENGTH),
    ),
    InvalidMessage(label="no Host", clause=http_clauses.HOST_MISSING, hosts=()),
    InvalidMessage(
        label="two Host fields", clause=http_clauses.HOST_REPEATED, hosts=("Host: {authority}", "Host: {authority}")
    ),
    InvalidMessage(label="an invalid Host", clause=http_clauses.HOST_SYNTAX, hosts=("Host: a b",)),
    InvalidMessage(label="HTTP/2.0 in a request line", clause=http_clauses.VERSION_MAJOR, version="HTTP/2.0"),
    InvalidMessage(label="`http/1.1` in lower case", clause=http_clauses.VERSION_CASE, version="http/1.1"),
)

SMUGGLING_HEADERS: tuple[tuple[Clause, str, tuple[str, ...]], ...] = (
    (http_clauses.CHUNKED_OVERRIDES_LENGTH, "Content-Length and chunked", ("Transfer-Encoding: chunked",)),
    (http_clauses.CHUNKED_OVERRIDES_LENGTH, "chunked and Content-Length", ("Transfer-Encoding: chunked", "")),
    (
        http_clauses.CHUNKED_OVERRIDES_LENGTH,
        "Content-Length and two transfer codings",
        ("Transfer-Encoding: chunked", "Transfer-Encoding: x"),
    ),
    (
        http_clauses.TRANSFER_CODING_KNOWN,
        "Content-Length and an unknown transfer coding",
        ("Transfer-Encoding: xchunked",),
    ),
    (
        http_clauses.TRANSFER_CODING_KNOWN,
        "Content-Length and a transfer coding after a vertical tab",
        ("Transfer-Encoding: \x0bchunked",),
    ),
    (
        http_clauses.TRANSFER_CODING_KNOWN,
        "Content-Length and a transfer coding in quotation marks",
        ('Transfer-Encoding: "chunked"',),
    ),
    (
        http_clauses.SPACE_BEFORE_COLON,
        "Content-Length and a space before the colon of Transfer-Encoding",
        ("Transfer-Encoding : chunked",),
    ),
    (
        http_clauses.FOLDED_FIELD,
        "Content-Length and a transfer coding on a folded line",
        ("Transfer-Encoding:", " chunked"),
    ),
)
"""
Clauses, labels and headers that contradict a Content-Length: a server that goes by the length reads the rest of the
body as another request.
"""
