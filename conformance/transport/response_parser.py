"""
An answer's bytes, read to the letter of RFC 9110 and 9112: what it says, and where it first left the form of a message.

Reading goes on behind a violation wherever the meaning is still plain, so that a bare line feed costs an answer its
form and not its status. Where the end cannot be told any more, there is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, field

from chainproof.contract.answer import Answer

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [0-9]{3} [\t\x20-\x7e\x80-\xff]*")
_LOOSE = re.compile(rb"HTTP/(\d+)(?:\.(\d+))? +(\d{3})(?: |$)", re.IGNORECASE)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS = re.compile(rb"[0-9]+")
_EXTENSION = (
    rb"[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*=[ \t]*(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"(?:[^\"\\]|\\.)*\"))?"
)
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)(?:" + _EXTENSION + rb")*")
_LOOSE_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})(?:[ \t;]|$)")
_HEAD_LIMIT = 2**20
"""Bytes of status line and header fields, or of a chunk's line, beyond which nothing is made of them."""

_SHOWN = 40


class UnparsableAnswer(Exception):
    """
    Bytes of which no answer can be made; the message says why.
    """


@dataclass(slots=True)
class AnswerParser:
    """
    One answer as it arrives, interim ones (1xx) before it included.
    """

    method: str
    """What was asked: the answer to HEAD has no body."""
    http_1_0: bool = False
    """Whether the request said HTTP/1.0: neither chunks nor interim answers are for it."""
    interim_statuses: list[int] = field(default_factory=list)
    """Statuses of the interim answers."""
    complete: bool = False
    framing_error: str = ""
    """The first thing wrong with the form; empty where nothing is."""
    connection_closed: bool = False
    """Whether the connection's end has come."""
    raw: bytearray = field(default_factory=bytearray)
    """Everything read so far."""
    _rest: bytearray = field(default_factory=bytearray)
    _status: int = 0
    _version: bytes = b""
    _fields: tuple[tuple[bytes, bytes], ...] = ()
    _body: bytearray = field(default_factory=bytearray)
    _steps: Generator[None, None, None] | None = None
    _to_the_end: bool = False

    def feed(self, data: bytes) -> None:
        """
        Read on; no data is the connection's end. Raises Unreadable, or ConnectionError where nothing came at all.
        """
        if not data:
            self.connection_closed = True
            if not self.raw:
                raise ConnectionResetError("the connection was closed without an answer")
        self.raw += data
        self._rest += data
        self._steps = self._steps or self._reading()
        if not self.complete:
            next(self._steps, None)

    @property
    def trailing_bytes(self) -> bytes:
        """What stands behind the answer's end."""
        return bytes(self._rest) if self.complete else b""

    @property
    def keeps_connection_open(self) -> bool:
        """Whether, by what it says, the connection may carry another exchange."""
        return self.complete and not self._to_the_end and not self.closes_connection and not self.trailing_bytes

    @property
    def closes_connection(self) -> bool:
        """Whether the answer says that the connection is closed behind it (RFC 9112 §9.3)."""
        options = {each.strip().lower() for value in self._values(b"connection") for each in value.split(b",")}
        return b"close" in options or (self._version == b"HTTP/1.0" and b"keep-alive" not in options)

    @property
    def is_close_delimited(self) -> bool:
        """Whether its body has no other end than the connection's."""
        return self._to_the_end

    @property
    def answer(self) -> Answer | None:
        """
        The whole answer, names in wire case.
        """
        if not self.complete:
            return None
        fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._fields)
        return Answer(status=self._status, headers=fields, body=bytes(self._body))

    def _departs(self, why: str) -> None:
        """
        Note what is wrong with the form; the first counts.
        """
        self.framing_error = self.framing_error or why

    def _reading(self) -> Generator[None, None, None]:
        """
        The whole answer, waiting wherever bytes are missing.
        """
        while True:
            yield from self._head()
            if not 100 <= self._status < 200:
                break
            self.interim_statuses.append(self._status)
            if self._status == 101:
                raise UnparsableAnswer("a 101, though no other protocol was asked for")
            if self.http_1_0:
                self._departs("an interim answer to an HTTP/1.0 request")
            self._unframed()
        yield from self._content()
        self.complete = True

    # ------------------------------------------------------------------ the head

    def _head(self) -> Generator[None, None, None]:
        """
        Status line and header fields.
        """
        line = yield from self._line("the head")
        self._status_line(line)
        fields: list[tuple[bytes, bytes]] = []
        while line := (yield from self._line("the head")):
            self._field_line(line, fields)
        self._fields = tuple(fields)

    def _line(self, part: str) -> Generator[None, None, bytes]:
        """
        One line without its end, waiting for it.
        """
        while (end := self._rest.find(b"\n")) < 0:
            if len(self._rest) > _HEAD_LIMIT:
                raise UnparsableAnswer(f"a line of more than {_HEAD_LIMIT} bytes in {part}")
            if self.connection_closed:
                raise UnparsableAnswer(f"the connection was closed within {part}")
            yield
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        if line.endswith(b"\r"):
            line = line[:-1]
        else:
            self._departs(f"a line of {part} that ends in LF without CR")
        return line

    def _status_line(self, line: bytes) -> None:
        """
        Version, status, reason.
        """
        loose = _LOOSE.match(line)
        if loose is None:
            raise UnparsableAnswer(f"no status line: {_shown(line)}")
        if not _STATUS_LINE.fullmatch(line):
            self._departs(f"a status line that is none: {_shown(line)}")
        self._version = b"HTTP/1.0" if loose[2] == b"0" else b"HTTP/1.1"
        self._status = int(loose[3])

    def _field_line(self, line: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        """
        One header field, or what stands in its place.
        """
        if line[:1] in (b" ", b"\t"):
            self._departs("a header field folded onto a second line")
            if fields:
                name, value = fields.pop()
                fields.append((name, value + b" " + line.strip()))
            return
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon:
            self._departs(f"a header line without a colon: {_shown(line)}")
            return
        if name != name.rstrip(b" \t"):
            self._departs(f"a blank before the colon of a header field: {_shown(name)}")
            name = name.rstrip(b" \t")
        if not _TOKEN.fullmatch(name):
            self._departs(f"a header field's name that is no token: {_shown(name)}")
        if _CONTROL.search(value):
            self._departs(f"a control character in a header field: {_shown(name)}")
        fields.append((name, value))

    def _values(self, name: bytes) -> list[bytes]:
        """
        Every value of a header field, *name* being in lower case.
        """
        return [value for key, value in self._fields if key.lower() == name]

    # ------------------------------------------------------------------ the body

    def _content(self) -> Generator[None, None, None]:
        """
        The body, by whatever says where it ends (RFC 9112 §6.3).
        """
        codings = [each.strip().lower() for value in self._values(b"transfer-encoding") for each in value.split(b",")]
        length = self._length()
        if self.method == "HEAD" or self._status in (204, 304):
            self._unframed()
            return
        if codings:
            self._coded(codings, length)
            yield from self._chunks()
        elif length is not None:
            yield from self._exactly(length, "its body")
        else:
            self._to_the_end = True
            while not self.connection_closed:
                self._take(len(self._rest))
                yield
            self._take(len(self._rest))

    def _unframed(self) -> None:
        """
        An answer that has no body must not speak of one (RFC 9110 §8.6, RFC 9112 §6.1).
        """
        bodiless = self._status < 200 or self._status == 204
        if bodiless and self._values(b"transfer-encoding"):
            self._departs(f"a {self._status} with Transfer-Encoding")
        # A 204 with `Content-Length: 0` says nothing that is not so, and some frameworks send it.
        if bodiless and any(value != b"0" for value in self._values(b"content-length")):
            self._departs(f"a {self._status} with Content-Length")

    def _length(self) -> int | None:
        """
        What Content-Length says.
        """
        given = self._values(b"content-length")
        lengths = {value.strip() for each in given for value in each.split(b",")}
        if not given:
            return None
        if not all(map(_DIGITS.fullmatch, lengths)):
            raise UnparsableAnswer(f"a Content-Length that is no number: {_shown(b', '.join(given))}")
        if len({int(value) for value in lengths}) > 1:
            raise UnparsableAnswer(f"two lengths: {_shown(b', '.join(given))}")
        if any(b"," in value for value in given):
            self._departs(f"a Content-Length that is no number: {_shown(given[0])}")
        return int(lengths.pop())

    def _coded(self, codings: list[bytes], length: int | None) -> None:
        """
        What is wrong with a transfer coding, if anything. Raises Unreadable where the end cannot be told.
        """
        if codings[-1] != b"chunked":
            raise UnparsableAnswer(f"a transfer coding that nobody asked for: {_shown(b', '.join(codings))}")
        if codings != [b"chunked"]:
            self._departs(f"transfer codings that nobody asked for: {_shown(b', '.join(codings))}")
        if length is not None:
            self._departs("both Transfer-Encoding and Content-Length")
        if self.http_1_0:
            self._departs("chunks in answer to an HTTP/1.0 request")
        if self._version == b"HTTP/1.0":
            self._departs("chunks in an HTTP/1.0 answer")

    def _chunks(self) -> Generator[None, None, None]:
        """
        Chunks to the last one, and the trailer section behind it.
        """
        size = 1
        while size:
            line = yield from self._line("the chunks")
            size = self._size(line)
            if not size:
                break
            yield from self._exactly(size, "a chunk")
            behind = yield from self._line("the chunks")
            if behind:
                raise UnparsableAnswer(f"a chunk that is longer than its size: {_shown(behind)}")
        yield from self._trailers()

    def _size(self, line: bytes) -> int:
        """
        A chunk's size.
        """
        strict = _CHUNK_LINE.fullmatch(line)
        loose = strict or _LOOSE_SIZE.match(line)
        if loose is None or len(loose[1]) > 15:
            raise UnparsableAnswer(f"a chunk size that is none: {_shown(line)}")
        if strict is None:
            self._departs(f"a chunk size with something behind it that is no extension: {_shown(line)}")
        return int(loose[1], 16)

    def _trailers(self) -> Generator[None, None, None]:
        """
        Fields behind the last chunk; none may frame the message.
        """
        fields: list[tuple[bytes, bytes]] = []
        while line := (yield from self._line("the trailers")):
            self._field_line(line, fields)
        for name, _ in fields:
            if name.lower() in (b"transfer-encoding", b"content-length", b"host", b"content-encoding", b"content-type"):
                self._departs(f"a trailer field that belongs into the head: {_shown(name)}")

    def _exactly(self, length: int, part: str) -> Generator[None, None, None]:
        """
        So many bytes of the body.
        """
        while True:
            taken = self._take(min(length, len(self._rest)))
            length -= taken
            if not length:
                return
            if self.connection_closed:
                raise UnparsableAnswer(f"the connection was closed {length} bytes before the end of {part}")
            yield

    def _take(self, count: int) -> int:
        """
        Move bytes to the body.
        """
        self._body += self._rest[:count]
        del self._rest[:count]
        return count


def _shown(text: bytes) -> str:
    """
    As much of some bytes as a line carries.
    """
    return ascii(text[:_SHOWN].decode("latin-1")) + ("…" if len(text) > _SHOWN else "")
