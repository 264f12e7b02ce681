"""
Parses an answer strictly by RFC 9110 and RFC 9112, and reports the first error in its framing.

Parsing continues after an error if the meaning is still clear, so that an answer with a bare line feed still has a status.
If the end of the answer is unknown, there is no answer. Memory and time are bounded, whatever the bytes are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from chainproof.contract.answer import Answer

from .response_memory import AnswerTooLarge

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [0-9]{3} [\t\x20-\x7e\x80-\xff]*")
_LENIENT_STATUS_LINE = re.compile(rb"HTTP/(\d+)(?:\.(\d+))? +(\d{3})(?: |$)", re.IGNORECASE)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS = re.compile(rb"[0-9]+")
_EXTENSION = (
    rb"[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*=[ \t]*(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"(?:[^\"\\]|\\.)*\"))?"
)
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)(?:" + _EXTENSION + rb")*")
_LENIENT_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})(?:[ \t;]|$)")
_MAX_HEAD = 2**20
"""Bytes of all lines before the body and in the trailer section, interim answers included, and of the line of a chunk."""
_MAX_HEAD_LINES = 5000
"""The number of these lines. curl reads as many header fields."""
_MAX_RAW = 2**20
"""Bytes of an answer that are kept as they were received."""
MEMORY_FACTOR = 4
"""Memory of a byte that is read: the body grows in steps, and is copied and judged when it is complete."""
MAX_ANSWER = 64 * 2**20
"""Bytes of an answer that is read."""

_MAX_LENGTH_DIGITS = 20
_MAX_QUOTED = 40


class UnparsableAnswer(Exception):
    """Bytes that cannot be parsed as an answer; the message says why."""


def _hold_nothing(count: int) -> None:
    """Hold no memory."""


@dataclass(slots=True)
class AnswerParser:
    """Parses one answer as it arrives, with the interim answers (1xx) before it."""

    method: str
    """The request's method: the answer to HEAD has no body."""
    http_1_0: bool = False
    """Whether the request was HTTP/1.0, which has neither chunks nor interim answers."""
    hold: Callable[[int], None] = _hold_nothing
    """Called with the number of bytes that are kept."""
    complete: bool = False
    framing_error: str = ""
    """The first framing error; empty if there is none."""
    connection_closed: bool = False
    """Whether the end of the connection was reached."""
    received: int = 0
    """The number of bytes so far."""
    _raw: bytearray = field(default_factory=bytearray)
    """The first of them."""
    _head_size: int = 0
    _head_lines: int = 0
    _rest: bytearray = field(default_factory=bytearray)
    _status: int = 0
    _version: bytes = b""
    _fields: tuple[tuple[bytes, bytes], ...] = ()
    _body: bytearray = field(default_factory=bytearray)
    _parsing: Generator[None, None, None] | None = None
    _is_close_delimited: bool = False

    def feed(self, data: bytes) -> None:
        """
        Parse further bytes; none mean the end of the connection. Raises UnparsableAnswer, AnswerTooLarge, or
        ConnectionResetError if there were no bytes at all.
        """
        if not data:
            self.connection_closed = True
            if not self.received:
                raise ConnectionResetError("the connection was closed without an answer")
        self.received += len(data)
        if self.received > MAX_ANSWER:
            raise AnswerTooLarge(f"an answer of more than {MAX_ANSWER >> 20} MiB")
        self.hold(MEMORY_FACTOR * len(data))
        self._raw += data[: max(_MAX_RAW - len(self._raw), 0)]
        self._rest += data
        self._parsing = self._parsing or self._parse()
        if not self.complete:
            next(self._parsing, None)

    def stop(self) -> None:
        """Parse no further. An answer without its end would otherwise stay in memory until garbage collection."""
        if self._parsing is not None:
            self._parsing.close()

    @property
    def raw(self) -> bytes:
        """The bytes so far. Of a long answer the beginning, and the bytes after its end."""
        return bytes(self._raw) + (self.trailing_bytes if self.received > len(self._raw) else b"")

    @property
    def trailing_bytes(self) -> bytes:
        """Bytes after the end of the answer."""
        return bytes(self._rest) if self.complete else b""

    @property
    def keeps_connection_open(self) -> bool:
        """Whether the answer allows another exchange on the connection."""
        ends_connection = self._is_close_delimited or self.closes_connection
        return self.complete and not ends_connection and not self.trailing_bytes

    @property
    def closes_connection(self) -> bool:
        """Whether the answer says that the connection is closed after it (RFC 9112 §9.3)."""
        options = {each.strip().lower() for value in self._values(b"connection") for each in value.split(b",")}
        return b"close" in options or (self._version == b"HTTP/1.0" and b"keep-alive" not in options)

    @property
    def is_close_delimited(self) -> bool:
        """Whether the body ends where the connection ends."""
        return self._is_close_delimited

    @property
    def answer(self) -> Answer | None:
        """The complete answer, with names in the letter case received, or None."""
        if not self.complete:
            return None
        fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._fields)
        return Answer(status=self._status, headers=fields, body=bytes(self._body))

    def _add_error(self, why: str) -> None:
        """Note a framing error, if it is the first."""
        self.framing_error = self.framing_error or why

    def _parse(self) -> Generator[None, None, None]:
        """Parse the complete answer; yields whenever bytes are missing."""
        while True:
            yield from self._head()
            if not 100 <= self._status < 200:
                break
            if self._status == 101:
                raise UnparsableAnswer("a 101, but the request asks for no other protocol")
            if self.http_1_0:
                self._add_error("an interim answer to an HTTP/1.0 request")
            self._check_has_no_framing()
        yield from self._read_body()
        self.complete = True

    # ------------------------------------------------------------------ the head

    def _head(self) -> Generator[None, None, None]:
        """Parse the status line and the header fields."""
        line = yield from self._head_line("the head")
        self._parse_status_line(line)
        fields: list[tuple[bytes, bytes]] = []
        while line := (yield from self._head_line("the head")):
            self._parse_field_line(line, fields)
        self._fields = tuple(fields)

    def _head_line(self, part: str) -> Generator[None, None, bytes]:
        """The next line of the head or of the trailer section."""
        line = yield from self._line(part)
        self._head_lines += 1
        self._head_size += len(line)
        if self._head_lines > _MAX_HEAD_LINES:
            raise AnswerTooLarge(f"an answer with more than {_MAX_HEAD_LINES} lines in {part}")
        if self._head_size > _MAX_HEAD:
            raise AnswerTooLarge(f"an answer with more than {_MAX_HEAD} bytes in {part}")
        return line

    def _line(self, part: str) -> Generator[None, None, bytes]:
        """The next line without its end; yields until it is complete."""
        searched = 0
        while (end := self._rest.find(b"\n", searched)) < 0:
            searched = len(self._rest)
            if searched > _MAX_HEAD:
                raise AnswerTooLarge(f"an answer with a line of more than {_MAX_HEAD} bytes in {part}")
            if self.connection_closed:
                raise UnparsableAnswer(f"the connection was closed within {part}")
            yield
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        if line.endswith(b"\r"):
            line = line[:-1]
        else:
            self._add_error(f"a line of {part} that ends in LF without CR")
        return line

    def _parse_status_line(self, line: bytes) -> None:
        """Parse version and status."""
        lenient = _LENIENT_STATUS_LINE.match(line)
        if lenient is None:
            raise UnparsableAnswer(f"no status line: {_quoted(line)}")
        if not _STATUS_LINE.fullmatch(line):
            self._add_error(f"an invalid status line: {_quoted(line)}")
        self._version = b"HTTP/1.0" if lenient[2] == b"0" else b"HTTP/1.1"
        self._status = int(lenient[3])

    def _parse_field_line(self, line: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        """Parse one line of the header section and add its field."""
        if line[:1] in (b" ", b"\t"):
            self._add_error("a header field folded onto a second line")
            if fields:
                name, value = fields.pop()
                fields.append((name, value + b" " + line.strip()))
            return
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon:
            self._add_error(f"a header line without a colon: {_quoted(line)}")
            return
        if name != name.rstrip(b" \t"):
            self._add_error(f"whitespace before the colon of a header field: {_quoted(name)}")
            name = name.rstrip(b" \t")
        if not _TOKEN.fullmatch(name):
            self._add_error(f"a header name that is not a token: {_quoted(name)}")
        if _CONTROL.search(value):
            self._add_error(f"a control character in a header field: {_quoted(name)}")
        fields.append((name, value))

    def _values(self, name: bytes) -> list[bytes]:
        """All values of a header field; *name* is in lower case."""
        return [value for key, value in self._fields if key.lower() == name]

    # ------------------------------------------------------------------ the body

    def _read_body(self) -> Generator[None, None, None]:
        """Read the body to its end (RFC 9112 §6.3)."""
        codings = [each.strip().lower() for value in self._values(b"transfer-encoding") for each in value.split(b",")]
        length = self._content_length()
        if self.method == "HEAD" or self._status in (204, 304):
            self._check_has_no_framing()
            return
        if codings:
            self._check_transfer_coding(codings, length)
            yield from self._read_chunks()
        elif length is not None:
            yield from self._read_bytes(length, "its body")
        else:
            self._is_close_delimited = True
            while not self.connection_closed:
                self._move_to_body(len(self._rest))
                yield
            self._move_to_body(len(self._rest))

    def _check_has_no_framing(self) -> None:
        """Check that an answer without a body has no framing fields (RFC 9110 §8.6, RFC 9112 §6.1)."""
        is_bodiless = self._status < 200 or self._status == 204
        if is_bodiless and self._values(b"transfer-encoding"):
            self._add_error(f"a {self._status} with Transfer-Encoding")
        # A 204 with `Content-Length: 0` is harmless, and some frameworks send it.
        if is_bodiless and any(value != b"0" for value in self._values(b"content-length")):
            self._add_error(f"a {self._status} with Content-Length")

    def _content_length(self) -> int | None:
        """The value of Content-Length, or None. Raises UnparsableAnswer if it is invalid."""
        values = self._values(b"content-length")
        lengths = {value.strip() for each in values for value in each.split(b",")}
        if not values:
            return None
        if not all(map(_DIGITS.fullmatch, lengths)):
            raise UnparsableAnswer(f"a Content-Length that is not a number: {_quoted(b', '.join(values))}")
        numbers = {value.lstrip(b"0") or b"0" for value in lengths}
        if len(numbers) > 1:
            raise UnparsableAnswer(f"two different lengths: {_quoted(b', '.join(values))}")
        if any(b"," in value for value in values):
            self._add_error(f"a Content-Length that is not a number: {_quoted(values[0])}")
        number = numbers.pop()
        # int() rejects very long numbers, and no answer is so long.
        return int(number) if len(number) <= _MAX_LENGTH_DIGITS else 10**_MAX_LENGTH_DIGITS

    def _check_transfer_coding(self, codings: list[bytes], length: int | None) -> None:
        """Check the transfer coding. Raises UnparsableAnswer if the end of the body is unknown."""
        if codings[-1] != b"chunked":
            raise UnparsableAnswer(f"a transfer coding that was not requested: {_quoted(b', '.join(codings))}")
        if codings != [b"chunked"]:
            self._add_error(f"transfer codings that were not requested: {_quoted(b', '.join(codings))}")
        if length is not None:
            self._add_error("both Transfer-Encoding and Content-Length")
        if self.http_1_0:
            self._add_error("chunks in an answer to an HTTP/1.0 request")
        if self._version == b"HTTP/1.0":
            self._add_error("chunks in an HTTP/1.0 answer")

    def _read_chunks(self) -> Generator[None, None, None]:
        """Read all chunks and the trailer section."""
        size = 1
        while size:
            line = yield from self._line("the chunks")
            size = self._chunk_size(line)
            if not size:
                break
            yield from self._read_bytes(size, "a chunk")
            excess = yield from self._line("the chunks")
            if excess:
                raise UnparsableAnswer(f"a chunk that is longer than its size: {_quoted(excess)}")
        yield from self._read_trailers()

    def _chunk_size(self, line: bytes) -> int:
        """The size of a chunk. Raises UnparsableAnswer if it is invalid."""
        strict = _CHUNK_LINE.fullmatch(line)
        lenient = strict or _LENIENT_CHUNK_SIZE.match(line)
        if lenient is None or len(lenient[1]) > 15:
            raise UnparsableAnswer(f"an invalid chunk size: {_quoted(line)}")
        if strict is None:
            self._add_error(f"a chunk size followed by something that is not an extension: {_quoted(line)}")
        return int(lenient[1], 16)

    def _read_trailers(self) -> Generator[None, None, None]:
        """Read the trailer section, and check that no field in it belongs to the head."""
        fields: list[tuple[bytes, bytes]] = []
        while line := (yield from self._head_line("the trailers")):
            self._parse_field_line(line, fields)
        for name, _ in fields:
            if name.lower() in (b"transfer-encoding", b"content-length", b"host", b"content-encoding", b"content-type"):
                self._add_error(f"a trailer field that belongs in the head: {_quoted(name)}")

    def _read_bytes(self, length: int, part: str) -> Generator[None, None, None]:
        """Read *length* bytes of the body."""
        while True:
            length -= self._move_to_body(min(length, len(self._rest)))
            if not length:
                return
            if self.connection_closed:
                raise UnparsableAnswer(f"the connection was closed {length} bytes before the end of {part}")
            yield

    def _move_to_body(self, count: int) -> int:
        """Move bytes from the rest to the body. Returns *count*."""
        self._body += self._rest[:count]
        del self._rest[:count]
        return count


def _quoted(text: bytes) -> str:
    """The beginning of some bytes, quoted."""
    return ascii(text[:_MAX_QUOTED].decode("latin-1")) + ("…" if len(text) > _MAX_QUOTED else "")
