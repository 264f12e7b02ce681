"""
Whoever breaks a clause on the wire is caught for it: in an answer's bytes, in the reading of a request, over a connection,
from one request to the next, or now and then.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import random
import re
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from .conftest import WIRE_CHECKS, RunSuite
from .endpoints import (
    KEY,
    AnswerFunction,
    EndpointAnswer,
    EndpointHandler,
    EndpointRequest,
    InvalidRequest,
    answer_bytes,
    correct_endpoint,
    error,
    serve,
    when,
    with_right_key,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyEndpoint:
    """
    A server that breaks the contract in one way on the wire.
    """

    name: str
    breaks: str
    """The clause for which it is caught, and no other."""
    server: Callable[[], AnswerFunction] = lambda: correct_endpoint
    """Made anew for each test: what it remembers is its own."""
    reading: type[EndpointHandler] = EndpointHandler
    """How it reads requests."""
    options: dict[str, object] = field(default_factory=dict)


def sent(
    change: Callable[[bytes], bytes], condition: Callable[[EndpointRequest], bool] = lambda asked: True
) -> Callable[[], AnswerFunction]:
    """
    The honest endpoint, except for the bytes of its answers, behind which the connection stays open.
    """

    def server(asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        if not condition(asked) or "close" in asked.values("connection"):
            return said
        return replace(said, raw=change(answer_bytes(said, asked.method)), stays_open=True)

    return lambda: server


def in_the_head(old: bytes, new: bytes) -> Callable[[], AnswerFunction]:
    """
    The honest endpoint, except for something in the head of its answers.
    """

    def change(raw: bytes) -> bytes:
        head, end, body = raw.partition(b"\r\n\r\n")
        return head.replace(old, new) + end + body

    return sent(change)


def with_field(line: bytes) -> Callable[[], AnswerFunction]:
    """
    The honest endpoint, except for a line more in the head of its answers.
    """
    return in_the_head(b"Whatever\r\n", b"Whatever\r\n" + line + b"\r\n")


def chunked(form: bytes, end: bytes = b"0\r\n\r\n", *, length: bool = False) -> Callable[[bytes], bytes]:
    """
    An answer with its body in one chunk, whatever was asked.
    """

    def change(raw: bytes) -> bytes:
        head, _, body = raw.partition(b"\r\n\r\n")
        kept = head if length else head.rpartition(b"\r\n")[0]
        return kept + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + form % len(body) + b"\r\n" + body + b"\r\n" + end

    return change


def is_for_operation(asked: EndpointRequest) -> bool:
    """
    Whether it is a POST, and its answer no HTTP/1.0 client's.
    """
    return asked.method == "POST" and asked.version == "HTTP/1.1"


FRAMING = (
    FaultyEndpoint(
        name="bare line feeds", breaks="response-framing", server=sent(lambda raw: raw.replace(b"\r\n", b"\n", 3))
    ),
    FaultyEndpoint(name="a folded header field", breaks="response-framing", server=with_field(b"X-Folded: a\r\n b")),
    FaultyEndpoint(name="a blank before a colon", breaks="response-framing", server=in_the_head(b"Type:", b"Type :")),
    FaultyEndpoint(
        name="a control character in a header field", breaks="response-framing", server=with_field(b"X-Odd: a\x01b")
    ),
    FaultyEndpoint(
        name="a bare CR in a header field", breaks="response-framing", server=with_field(b"X-Odd: a\rX-Other: b")
    ),
    FaultyEndpoint(name="a header name that is no token", breaks="response-framing", server=with_field(b"X(Odd): a")),
    FaultyEndpoint(name="a header line without a colon", breaks="response-framing", server=with_field(b"X-Odd")),
    FaultyEndpoint(
        name="no blank behind the status", breaks="response-framing", server=in_the_head(b" Whatever\r\n", b"\r\n")
    ),
    FaultyEndpoint(
        name="HTTP/2 in the status line", breaks="response-framing", server=in_the_head(b"HTTP/1.1", b"HTTP/2")
    ),
    FaultyEndpoint(
        name="http/1.1 in lower case", breaks="response-framing", server=in_the_head(b"HTTP/1.1", b"http/1.1")
    ),
    FaultyEndpoint(name="two dates", breaks="singleton-fields", server=with_field(b"Date: today\r\nDate: tomorrow")),
    FaultyEndpoint(
        name="a length with a sign", breaks="response-framing", server=in_the_head(b"Length: ", b"Length: +")
    ),
    FaultyEndpoint(
        name="a length and chunks",
        breaks="response-framing",
        server=sent(chunked(b"%x", length=True), is_for_operation),
    ),
    FaultyEndpoint(
        name="chunk sizes with 0x", breaks="response-framing", server=sent(chunked(b"0x%x"), is_for_operation)
    ),
    FaultyEndpoint(
        name="chunk sizes before blanks", breaks="response-framing", server=sent(chunked(b"%x  "), is_for_operation)
    ),
    FaultyEndpoint(
        name="no empty line behind the last chunk",
        breaks="response-framing",
        server=lambda: _closed(chunked(b"%x", b"0\r\n")),
    ),
    FaultyEndpoint(name="no last chunk", breaks="response-framing", server=lambda: _closed(chunked(b"%x", b""))),
    FaultyEndpoint(
        name="chunks to HTTP/1.0",
        breaks="response-framing",
        server=lambda: when(
            lambda asked: asked.version == "HTTP/1.0",
            lambda asked, said: replace(said, raw=chunked(b"%x")(answer_bytes(said))),
        ),
    ),
    FaultyEndpoint(
        name="a body under HEAD",
        breaks="response-framing",
        server=lambda: when(
            lambda asked: asked.method == "HEAD",
            lambda asked, said: replace(said, raw=answer_bytes(said), stays_open=True),
        ),
    ),
    FaultyEndpoint(
        name="a body under 204",
        breaks="response-framing",
        server=lambda: when(
            lambda asked: asked.method == "OPTIONS",
            lambda asked, said: replace(said, raw=answer_bytes(replace(said, status=204)), stays_open=True),
        ),
    ),
    FaultyEndpoint(
        name="bytes that come late",
        breaks="response-framing",
        server=lambda: when(lambda asked: asked.body == b"[]", lambda asked, said: replace(said, late=b"\r\n")),
    ),
    FaultyEndpoint(
        name="a length that is one too small",
        breaks="response-framing",
        server=sent(
            lambda raw: re.sub(rb"Length: (\d+)", lambda m: b"Length: %d" % (int(m[1]) - 1), raw), is_for_operation
        ),
    ),
    FaultyEndpoint(
        name="a length that is one too large",
        breaks="response-framing",
        server=lambda: _closed(lambda raw: re.sub(rb"Length: (\d+)", lambda m: b"Length: %d" % (int(m[1]) + 1), raw)),
    ),
    FaultyEndpoint(
        name="another protocol that nobody asked for",
        breaks="response-framing",
        server=sent(lambda raw: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + raw),
    ),
)


def _closed(change: Callable[[bytes], bytes]) -> AnswerFunction:
    """
    The honest endpoint, except for the bytes of its answers to the operation, behind which the connection is closed.
    """
    return when(
        is_for_operation,
        lambda asked, said: replace(
            said, raw=change(answer_bytes(replace(said, more=(*said.more, ("Connection", "close")))))
        ),
    )


def coded(
    coding: str, code: Callable[[bytes], bytes], condition: Callable[[EndpointRequest], bool] = lambda asked: True
) -> Callable[[], AnswerFunction]:
    """
    The honest endpoint, except that it codes its bodies.
    """
    return lambda: when(
        condition,
        lambda asked, said: (
            replace(said, body=code(said.body), more=(*said.more, ("Content-Encoding", coding))) if said.body else said
        ),
    )


def asks_for_gzip(asked: EndpointRequest) -> bool:
    """
    Whether gzip is acceptable in so many words.
    """
    return asked.method == "POST" and "gzip" in "".join(asked.values("accept-encoding"))


def raw_deflate(body: bytes) -> bytes:
    """
    Deflate without zlib's wrapping.
    """
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(body) + machine.flush()


CODING = (
    FaultyEndpoint(
        name="gzip that is none",
        breaks="content-coding",
        server=coded("gzip", lambda body: body, asks_for_gzip),
    ),
    FaultyEndpoint(
        name="gzip cut short",
        breaks="content-coding",
        server=coded("gzip", lambda body: gzip.compress(body)[:-4], asks_for_gzip),
    ),
    FaultyEndpoint(
        name="deflate without its wrapping",
        breaks="content-coding",
        server=coded("deflate", raw_deflate, asks_for_gzip),
    ),
    FaultyEndpoint(
        name="gzip where identity is wanted",
        breaks="content-coding",
        server=coded("gzip", gzip.compress, lambda asked: bool(asked.values("accept-encoding"))),
    ),
    FaultyEndpoint(
        name="gzip where it has the weight of 0",
        breaks="http-recommendations",
        server=coded("gzip", gzip.compress, asks_for_gzip),
    ),
)


# ------------------------------------------------------------------ connections


class LeavesOpen(EndpointHandler):
    """
    Pays no attention to `Connection: close`.
    """

    def answer(self, asked: EndpointRequest, said: EndpointAnswer) -> bool:
        self.write(answer_bytes(said, asked.method), 0.0)
        return True


class LeavesOldOpen(EndpointHandler):
    """
    Keeps HTTP/1.0 connections.
    """

    def answer(self, asked: EndpointRequest, said: EndpointAnswer) -> bool:
        self.old = False
        return super().answer(asked, said)


class RefusesEarly(EndpointHandler):
    """
    Answers 401 before it reads the body, and leaves the body where it is.
    """

    def body(self, asked: EndpointRequest) -> bytes | None:
        return super().body(asked) if asked.authorized else b""


class LeavesChunks(EndpointHandler):
    """
    Reads bodies by their length alone where it does not serve the path.
    """

    def body(self, asked: EndpointRequest) -> bytes | None:
        if correct_endpoint(replace(asked, body=b"{}")).status == 404 and asked.values("transfer-encoding"):
            return b""
        return super().body(asked)


class Counting(EndpointHandler):
    """
    Gets the tenth request of a connection wrong.
    """

    number = 0

    def answer(self, asked: EndpointRequest, said: EndpointAnswer) -> bool:
        self.number += 1
        return super().answer(asked, error(400, "client_error") if self.number == 10 else said)


class Sleepy(EndpointHandler):
    """
    Gets a request behind a pause wrong.
    """

    last = 0.0

    def answer(self, asked: EndpointRequest, said: EndpointAnswer) -> bool:
        before, self.last = self.last, time.monotonic()
        slept = bool(before) and self.last - before > 0.08
        return super().answer(asked, error(400, "client_error") if slept else said)


CONNECTION = (
    FaultyEndpoint(
        name="closed behind every answer without a word",
        breaks="connection-persistence",
        server=lambda: when(lambda asked: True, lambda asked, said: replace(said, closes=True)),
    ),
    FaultyEndpoint(
        name="a close that is not one",
        breaks="connection-persistence",
        server=lambda: when(
            lambda asked: asked.body == b"" and asked.method == "POST",
            lambda asked, said: replace(said, more=(*said.more, ("Connection", "close"))),
        ),
    ),
    FaultyEndpoint(name="`Connection: close` passed over", breaks="connection-persistence", reading=LeavesOpen),
    FaultyEndpoint(name="HTTP/1.0 kept open", breaks="connection-persistence", reading=LeavesOldOpen),
    FaultyEndpoint(name="a body left unread behind a 401", breaks="connection-persistence", reading=RefusesEarly),
    FaultyEndpoint(name="chunks left unread behind a 404", breaks="connection-persistence", reading=LeavesChunks),
    FaultyEndpoint(name="the tenth request of a connection", breaks="connection-persistence", reading=Counting),
    FaultyEndpoint(name="a request behind a pause", breaks="connection-persistence", reading=Sleepy),
)


# ------------------------------------------------------------------ reading requests


class NoChunks(EndpointHandler):
    """
    Wants a length.
    """

    def check(self, asked: EndpointRequest) -> None:
        super().check(asked)
        if asked.values("transfer-encoding"):
            raise InvalidRequest


class FirstChunk(EndpointHandler):
    """
    Takes the first chunk for the body.
    """

    def chunks(self) -> bytes | None:
        body, own = super().chunks(), self.first
        return None if body is None else body[: own[0]] if own else body

    @property
    def first(self) -> list[int]:
        return [5]


class OneRead(EndpointHandler):
    """
    Takes what comes at once for the whole body.
    """

    def body(self, asked: EndpointRequest) -> bytes | None:
        if asked.values("transfer-encoding"):
            return super().body(asked)
        length = int("".join(asked.values("content-length")) or 0)
        return self.rfile.read1(length) if length else b""  # type: ignore[attr-defined]  # it is a BufferedReader


class Impatient(EndpointHandler):
    """
    Waits for a tenth of a second for the rest of a body.
    """

    def body(self, asked: EndpointRequest) -> bytes | None:
        self.connection.settimeout(0.1)
        try:
            return super().body(asked)
        finally:
            self.connection.settimeout(None)


class Capitals(EndpointHandler):
    """
    Knows header fields in one letter case alone.
    """

    def fields(self) -> tuple[tuple[str, str], ...]:
        return tuple((name if name == name.title() else f"X-{name}", value) for name, value in super().fields())


class FewFields(EndpointHandler):
    """
    Takes 40 header fields.
    """

    def fields(self) -> tuple[tuple[str, str], ...]:
        fields = super().fields()
        if len(fields) > 40:
            raise InvalidRequest
        return fields


class NeverContinues(EndpointHandler):
    """
    Refuses whoever waits.
    """

    def check(self, asked: EndpointRequest) -> None:
        super().check(asked)
        if asked.values("expect"):
            raise InvalidRequest


class Forgetful(EndpointHandler):
    """
    Throws away what has come behind a request.
    """

    def exchange(self) -> bool:
        stays_open = super().exchange()
        if self.rfile.peek(1) if self._more() else b"":  # type: ignore[attr-defined]  # it is a BufferedReader
            self.rfile.read1(2**20)  # type: ignore[attr-defined]
        return stays_open

    def _more(self) -> bool:
        self.connection.settimeout(0.002)
        try:
            return bool(self.rfile.peek(1))  # type: ignore[attr-defined]
        except TimeoutError:
            return False
        finally:
            self.connection.settimeout(None)


class NoEmptyLine(EndpointHandler):
    """
    Refuses an empty line before a request.
    """

    def asked(self) -> EndpointRequest | None:
        if self.rfile.peek(1)[:1] == b"\r":  # type: ignore[attr-defined]
            raise InvalidRequest
        return super().asked()


READING = (
    FaultyEndpoint(name="no chunks", breaks="request-framing", reading=NoChunks),
    FaultyEndpoint(name="the first chunk alone", breaks="request-framing", reading=FirstChunk),
    FaultyEndpoint(name="what comes at once alone", breaks="request-framing", reading=OneRead),
    FaultyEndpoint(name="no patience with a body", breaks="request-framing", reading=Impatient),
    FaultyEndpoint(name="header names in one letter case", breaks="request-framing", reading=Capitals),
    FaultyEndpoint(name="forty header fields", breaks="request-framing", reading=FewFields),
    FaultyEndpoint(name="no waiting", breaks="request-framing", reading=NeverContinues),
    FaultyEndpoint(
        name="no query",
        breaks="request-framing",
        server=lambda: when(lambda asked: "?a=b" in asked.path, lambda asked, said: error(404, None)),
    ),
    FaultyEndpoint(name="an empty line before a request", breaks="http-recommendations", reading=NoEmptyLine),
)


class ByLength(EndpointHandler):
    """
    Goes by the length where there are chunks as well.
    """

    def check(self, asked: EndpointRequest) -> None:
        if not (asked.values("content-length") and asked.values("transfer-encoding")):
            super().check(asked)

    def body(self, asked: EndpointRequest) -> bytes | None:
        lengths = asked.values("content-length")
        if lengths:
            return self.rfile.read(int(lengths[0]))
        return super().body(asked)


class OnePerName(EndpointHandler):
    """
    Takes the first of several lengths.
    """

    def check(self, asked: EndpointRequest) -> None:
        fields = {name.lower(): (name, value) for name, value in reversed(asked.fields)}
        super().check(replace(asked, fields=tuple(fields.values())))

    def body(self, asked: EndpointRequest) -> bytes | None:
        lengths = asked.values("content-length")
        return self.rfile.read(int(lengths[0])) if lengths else super().body(asked)


class Unknown(EndpointHandler):
    """
    Passes over a transfer coding that it does not know.
    """

    def check(self, asked: EndpointRequest) -> None:
        known = tuple(
            (name, value)
            for name, value in asked.fields
            if name.lower() != "transfer-encoding" or value.lower() == "chunked"
        )
        super().check(replace(asked, fields=known))

    def body(self, asked: EndpointRequest) -> bytes | None:
        if asked.values("transfer-encoding") == ["chunked"]:
            return super().body(asked)
        return self.rfile.read(int("".join(asked.values("content-length")) or 0))


class Half(EndpointHandler):
    """
    Takes what there is of a body when the connection ends.
    """

    def body(self, asked: EndpointRequest) -> bytes | None:
        length = "".join(asked.values("content-length"))
        return self.rfile.read(int(length)) if length else super().body(asked)

    def chunks(self) -> bytes | None:
        pieces = []
        while size := int(self.rfile.readline() or b"0", 16):
            pieces.append(self.rfile.read(size))
            self.rfile.read(2)
        self.rfile.readline()
        return b"".join(pieces)


class Wrapping(EndpointHandler):
    """
    Counts chunks in 32 bits.
    """

    def chunks(self) -> bytes | None:
        pieces = []
        while size := int(self.rfile.readline(), 16) & 0xFFFFFFFF:
            pieces.append(self.rfile.read(size))
            self.rfile.read(2)
        self.fields()
        return b"".join(pieces)


class Falling(EndpointHandler):
    """
    Has an error of its own with what it cannot read.
    """

    def exchange(self) -> bool:
        try:
            asked = self.asked()
        except InvalidRequest:
            self.wfile.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.linger()
            return False
        return False if asked is None else self.answer(asked, type(self).answer_function(asked))


class Trusting(EndpointHandler):
    """
    Asks for the key once per connection.
    """

    trusted = False

    def asked(self) -> EndpointRequest | None:
        asked = super().asked()
        if asked is None:
            return None
        self.trusted |= asked.authorized
        return with_right_key(asked) if self.trusted and not asked.values("authorization") else asked


MALFORMED = (
    FaultyEndpoint(name="by the length, though there are chunks", breaks="invalid-framing-rejected", reading=ByLength),
    FaultyEndpoint(name="the first of two lengths", breaks="http-strictness", reading=OnePerName),
    FaultyEndpoint(name="an unknown coding passed over", breaks="http-strictness", reading=Unknown),
    FaultyEndpoint(name="half a body", breaks="invalid-framing-rejected", reading=Half),
    FaultyEndpoint(name="chunk sizes in 32 bits", breaks="invalid-framing-rejected", reading=Wrapping),
    FaultyEndpoint(name="500 to what is no message", breaks="http-strictness", reading=Falling),
    FaultyEndpoint(name="one key per connection", breaks="invalid-framing-rejected", reading=Trusting),
)


# ------------------------------------------------------------------ from one request to the next


class Remembering:
    """
    An endpoint that answers by what it has answered before to what seemed the same.
    """

    def __init__(self, seems: Callable[[EndpointRequest], object]) -> None:
        self._seems = seems
        self._known: dict[object, bytes] = {}

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        key = self._seems(asked)
        if said.status != 200 or key is None:
            return said
        return replace(said, body=self._known.setdefault(key, said.body))


class Merging:
    """
    An endpoint whose objects keep the members of earlier ones.
    """

    def __init__(self) -> None:
        self._members: dict[bytes, bytes] = {}

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        pairs = re.findall(rb'"(member\d+)":("[0-9a-f]{16}"|\d+)', asked.body)
        if said.status != 200 or not pairs:
            return said
        self._members |= dict(pairs)
        return replace(said, body=b"{" + b",".join(b'"%b":%b' % pair for pair in self._members.items()) + b"}")


class Poisoned:
    """
    An endpoint that does to requests what follows from an earlier one.
    """

    def __init__(self, poison: Callable[[EndpointRequest, EndpointAnswer], bool], doses: int = 1) -> None:
        self._poison = poison
        self._doses = doses
        self._lock = threading.Lock()
        self._taken = 0

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        with self._lock:
            if said.status == 200 and self._taken >= self._doses:
                self._taken = 0
                return error(400, "client_error")
            self._taken += self._poison(asked, said)
        return said


class Cutting(EndpointHandler):
    """
    Keeps what it has read of a cut body for the next.
    """

    spoiled = False

    def body(self, asked: EndpointRequest) -> bytes | None:
        body = super().body(asked)
        if body is None:
            Cutting.spoiled = True
        elif Cutting.spoiled:
            Cutting.spoiled = False
            return b"{" + body
        return body


STATE = (
    FaultyEndpoint(
        name="answers by the body's length",
        breaks="answer-matches-request",
        server=lambda: Remembering(lambda asked: len(asked.body) if b"token" in asked.body else None),
    ),
    FaultyEndpoint(
        name="answers by the body's beginning",
        breaks="answer-matches-request",
        server=lambda: Remembering(lambda asked: asked.body[:128] if len(asked.body) > 128 else None),
    ),
    FaultyEndpoint(
        name="answers by the query",
        breaks="answer-matches-request",
        server=lambda: Remembering(lambda asked: asked.path.partition("?")[2] or None),
    ),
    FaultyEndpoint(
        name="answers by an id of the caller's",
        breaks="answer-matches-request",
        server=lambda: Remembering(lambda asked: "".join(asked.values("x-request-id")) or None),
    ),
    FaultyEndpoint(name="members that stay", breaks="answer-matches-request", server=Merging),
    FaultyEndpoint(
        name="a malformed body spoils the next",
        breaks="request-isolation",
        server=lambda: Poisoned(lambda asked, said: asked.body == b'{"a":'),
    ),
    FaultyEndpoint(
        name="refusals lock out",
        breaks="request-isolation",
        server=lambda: Poisoned(lambda asked, said: said.status == 401, 8),
    ),
    FaultyEndpoint(name="a cut body spoils the next", breaks="request-isolation", reading=Cutting),
)


def numbered(make: Callable[[EndpointRequest, int], str]) -> Callable[[], AnswerFunction]:
    """
    The honest endpoint, except for its request ids.
    """

    def made() -> AnswerFunction:
        numbers = itertools.count()
        lock = threading.Lock()

        def server(asked: EndpointRequest) -> EndpointAnswer:
            with lock:
                number = next(numbers)
            return replace(correct_endpoint(asked), request_id=make(asked, number))

        return server

    return made


class PerConnection(EndpointHandler):
    """
    Counts the requests of each connection.
    """

    number = 0

    def answer(self, asked: EndpointRequest, said: EndpointAnswer) -> bool:
        self.number += 1
        return super().answer(asked, replace(said, request_id=f"request-{self.number}"))


_CHANCE = random.Random(1)

IDS = (
    FaultyEndpoint(name="ids by connection", breaks="request-id-unique", reading=PerConnection),
    FaultyEndpoint(
        name="ids by body",
        breaks="request-id-unique",
        server=numbered(lambda asked, number: hashlib.sha256(asked.body).hexdigest()),
    ),
    FaultyEndpoint(
        name="ids by the clock",
        breaks="request-id-unique",
        server=numbered(lambda asked, number: f"{time.time() * 100:.0f}"),
    ),
    FaultyEndpoint(
        name="ids with an earlier one",
        breaks="request-id-unique",
        server=numbered(lambda asked, number: f"proxy-1, {number}"),
    ),
    FaultyEndpoint(
        name="ids that differ in letter case",
        breaks="request-id-unique",
        server=numbered(
            lambda asked, number: (
                f"request-{'abcdefghij'[number // 2 % 10]}-{number // 2}".title()
                if number % 2
                else f"request-{'abcdefghij'[number // 2 % 10]}-{number // 2}"
            )
        ),
    ),
    FaultyEndpoint(
        name="the caller's X-Request-Id",
        breaks="request-id-unique",
        server=numbered(lambda asked, number: "".join(asked.values("x-request-id")) or f"own-{number}"),
    ),
    FaultyEndpoint(
        name="one id for HEAD",
        breaks="request-id-unique",
        server=numbered(lambda asked, number: "0" if asked.method == "HEAD" else f"own-{number}"),
    ),
    FaultyEndpoint(
        name="short ids",
        breaks="request-id-unique",
        server=numbered(lambda asked, number: f"{_CHANCE.getrandbits(14):04x}"),
    ),
)


# ------------------------------------------------------------------ now and then


def every(
    count: int,
    answer: Callable[[EndpointRequest, EndpointAnswer], EndpointAnswer],
    condition: Callable[[EndpointRequest, EndpointAnswer], bool],
) -> Callable[[], AnswerFunction]:
    """
    The honest endpoint, except for every so many of the requests on a condition.
    """

    def made() -> AnswerFunction:
        numbers = itertools.count(1)
        lock = threading.Lock()

        def server(asked: EndpointRequest) -> EndpointAnswer:
            said = correct_endpoint(asked)
            if not condition(asked, said):
                return said
            with lock:
                number = next(numbers)
            return said if number % count else answer(asked, said)

        return server

    return made


def served(asked: EndpointRequest, said: EndpointAnswer) -> bool:
    """
    Whether it is an answer of the chain.
    """
    return said.status == 200


RARE = (
    FaultyEndpoint(
        name="500 now and then", breaks="status", server=every(70, lambda asked, said: error(500, None), served)
    ),
    FaultyEndpoint(
        name="no answer now and then",
        breaks="request-answered",
        server=every(
            8,
            lambda asked, said: replace(said, raw=b""),
            lambda asked, said: said.status == 401,
        ),
    ),
    FaultyEndpoint(
        name="let in now and then",
        breaks="authentication-required",
        server=every(
            15,
            lambda asked, said: correct_endpoint(with_right_key(asked)),
            lambda asked, said: said.status == 401 and not asked.values("authorization"),
        ),
    ),
    FaultyEndpoint(
        name="cut short now and then",
        breaks="response-framing",
        server=every(70, lambda asked, said: replace(said, raw=answer_bytes(said)[:-1]), served),
    ),
    FaultyEndpoint(
        name="an id twice now and then",
        breaks="request-id-unique",
        server=every(70, lambda asked, said: replace(said, request_id="again"), served),
    ),
    FaultyEndpoint(
        name="without a media type now and then",
        breaks="output-media-type",
        server=every(70, lambda asked, said: replace(said, media_type=None), served),
    ),
)


class Overloaded:
    """
    An endpoint that drops what is too much.
    """

    def __init__(self, overflow: EndpointAnswer) -> None:
        self._overflow = overflow
        self._inside = 0
        self._lock = threading.Lock()

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        with self._lock:
            self._inside += 1
            many = self._inside > 6
        try:
            time.sleep(0.02)
            return replace(self._overflow, request_id=uuid.uuid4().hex) if many else correct_endpoint(asked)
        finally:
            with self._lock:
                self._inside -= 1


OVERLOAD = (
    FaultyEndpoint(
        name="dropped when there are many",
        breaks="overload",
        server=lambda: Overloaded(EndpointAnswer(status=0, raw=b"")),
        options={"overload": True},
    ),
    FaultyEndpoint(
        name="500 when there are many",
        breaks="overload",
        server=lambda: Overloaded(error(500, None)),
        options={"overload": True},
    ),
)

FAULTS = (*FRAMING, *CODING, *CONNECTION, *READING, *MALFORMED, *STATE, *IDS, *RARE, *OVERLOAD)

_OF = {
    "framing": FRAMING,
    "identity": IDS,
    "repetition": (*RARE, *OVERLOAD),
    "state": STATE,
    "connection": CONNECTION,
    "malformed": MALFORMED,
}


def checks_for(fault: FaultyEndpoint) -> list[object]:
    """
    The part of the checks on the wire that is for it.
    """
    part = next((part for part, faults in _OF.items() if fault in faults), "framing")
    of_rare = (
        "overload_gets_documented_answers"
        if fault.breaks == "overload"
        else "repeated_requests_are_answered_consistently"
    )
    return [check for check in WIRE_CHECKS if check.module == part and (part != "repetition" or check.name == of_rare)]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_on_the_wire_is_caught_for_its_clause(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """
    For its clause, and for no other but advice.
    """
    with serve(fault.server(), reading=fault.reading) as url:
        examined = run_suite(url, checks=checks_for(fault), **fault.options)

    assert {fault.breaks} == examined.clauses - ({"http-recommendations", "http-strictness"} - {fault.breaks}), (
        examined.lines
    )


def test_the_faults_are_faults_of_this_endpoint(run_suite: RunSuite) -> None:
    """
    Without a fault the same endpoint is accused of nothing, by any of the checks on the wire.
    """
    examined = run_suite(correct_endpoint, checks=WIRE_CHECKS, overload=True)

    assert [] == examined.lines
    assert KEY not in "".join(found.reproduce for found in examined.findings)
