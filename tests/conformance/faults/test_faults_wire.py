"""The checks find faults in messages, connections, request parsing and shared state, and rare ones."""

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
from dataclasses import replace

import pytest

from chainproof.contract.clauses import CLAUSES
from chainproof.contract.levels import Level

from ..conftest import WIRE_CHECKS, RunSuite
from ..endpoints import (
    KEY,
    AnswerFunction,
    EndpointAnswer,
    EndpointHandler,
    EndpointRequest,
    InvalidRequest,
    answer_bytes,
    correct_endpoint,
    error,
    on_every_answer,
    when,
    with_right_key,
)
from ..sampling import sample
from .faulty_endpoints import FaultyEndpoint, answering, changed_if, faults, faulty


def with_bytes(
    change: Callable[[bytes], bytes], condition: Callable[[EndpointRequest], bool] = lambda request: True
) -> AnswerFunction:
    """The correct endpoint with a change to the bytes of its answers; the connection stays open."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        if not condition(request) or "close" in request.values("connection"):
            return answer
        return replace(answer, raw=change(answer_bytes(answer, request.method)), stays_open=True)

    return server


def with_head(old: bytes, new: bytes) -> AnswerFunction:
    """The correct endpoint with a replacement in the head of its answers."""

    def change(raw: bytes) -> bytes:
        head, end, body = raw.partition(b"\r\n\r\n")
        return head.replace(old, new) + end + body

    return with_bytes(change)


def with_field(line: bytes) -> AnswerFunction:
    """The correct endpoint with another line in the head of its answers."""
    return with_head(b"Whatever\r\n", b"Whatever\r\n" + line + b"\r\n")


def chunked(form: bytes, end: bytes = b"0\r\n\r\n", *, length: bool = False) -> Callable[[bytes], bytes]:
    """A function that puts the body of an answer into one chunk."""

    def change(raw: bytes) -> bytes:
        head, _, body = raw.partition(b"\r\n\r\n")
        head_lines = head if length else head.rpartition(b"\r\n")[0]
        return (
            head_lines + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + form % len(body) + b"\r\n" + body + b"\r\n" + end
        )

    return change


def is_for_operation(request: EndpointRequest) -> bool:
    """True if it is a POST from an HTTP/1.1 client."""
    return request.method == "POST" and request.version == "HTTP/1.1"


def with_closing_bytes(change: Callable[[bytes], bytes]) -> AnswerFunction:
    """The correct endpoint with a change to the bytes of its answers, after which the connection is closed."""
    return when(
        is_for_operation,
        lambda request, answer: replace(
            answer,
            raw=change(answer_bytes(replace(answer, extra_fields=(*answer.extra_fields, ("Connection", "close"))))),
        ),
    )


FRAMING = {
    "response-framing": {
        "bare line feeds": with_bytes(lambda raw: raw.replace(b"\r\n", b"\n", 3)),
        "a folded header field": with_field(b"X-Folded: a\r\n b"),
        "a space before a colon": with_head(b"Type:", b"Type :"),
        "a control character in a header field": with_field(b"X-Odd: a\x01b"),
        "a bare CR in a header field": with_field(b"X-Odd: a\rX-Other: b"),
        "an invalid header name": with_field(b"X(Odd): a"),
        "a header line without a colon": with_field(b"X-Odd"),
        "no space after the status": with_head(b" Whatever\r\n", b"\r\n"),
        "HTTP/2 in the status line": with_head(b"HTTP/1.1", b"HTTP/2"),
        "http/1.1 in lower case": with_head(b"HTTP/1.1", b"http/1.1"),
        "a Content-Length with a plus sign": with_head(b"Length: ", b"Length: +"),
        "Content-Length and chunked": with_bytes(chunked(b"%x", length=True), is_for_operation),
        "chunk sizes with 0x": with_bytes(chunked(b"0x%x"), is_for_operation),
        "chunk sizes with trailing spaces": with_bytes(chunked(b"%x  "), is_for_operation),
        "no empty line after the last chunk": with_closing_bytes(chunked(b"%x", b"0\r\n")),
        "no last chunk": with_closing_bytes(chunked(b"%x", b"")),
        "chunked to an HTTP/1.0 client": when(
            lambda request: request.version == "HTTP/1.0",
            lambda request, answer: replace(answer, raw=chunked(b"%x")(answer_bytes(answer))),
        ),
        "a body in an answer to HEAD": when(
            lambda request: request.method == "HEAD",
            lambda request, answer: replace(answer, raw=answer_bytes(answer), stays_open=True),
        ),
        "a body with status 204": when(
            lambda request: request.method == "OPTIONS",
            lambda request, answer: replace(answer, raw=answer_bytes(replace(answer, status=204)), stays_open=True),
        ),
        "bytes a moment after the answer": changed_if(lambda request: request.body == b"[]", late=b"\r\n"),
        "a Content-Length that is one too small": with_bytes(
            lambda raw: re.sub(rb"Length: (\d+)", lambda m: b"Length: %d" % (int(m[1]) - 1), raw), is_for_operation
        ),
        "a Content-Length that is one too large": with_closing_bytes(
            lambda raw: re.sub(rb"Length: (\d+)", lambda m: b"Length: %d" % (int(m[1]) + 1), raw)
        ),
        "101 without an upgrade request": with_bytes(
            lambda raw: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + raw
        ),
    },
    "singleton-fields": {
        "two Date fields": with_field(b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT"),
    },
}


def with_coding(
    coding: str, encode: Callable[[bytes], bytes], condition: Callable[[EndpointRequest], bool] = lambda request: True
) -> AnswerFunction:
    """The correct endpoint with a content coding."""
    return when(
        condition,
        lambda request, answer: (
            replace(answer, body=encode(answer.body), extra_fields=(*answer.extra_fields, ("Content-Encoding", coding)))
            if answer.body
            else answer
        ),
    )


def asks_for_gzip(request: EndpointRequest) -> bool:
    """True if the request accepts gzip by name."""
    return request.method == "POST" and "gzip" in "".join(request.values("accept-encoding"))


def raw_deflate(body: bytes) -> bytes:
    """Deflate without the zlib format."""
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(body) + machine.flush()


CODING = {
    "content-coding": {
        "Content-Encoding: gzip on a plain body": with_coding("gzip", lambda body: body, asks_for_gzip),
        "truncated gzip": with_coding("gzip", lambda body: gzip.compress(body)[:-4], asks_for_gzip),
        "deflate without the zlib format": with_coding("deflate", raw_deflate, asks_for_gzip),
        "gzip despite Accept-Encoding: identity": with_coding(
            "gzip", gzip.compress, lambda request: bool(request.values("accept-encoding"))
        ),
    },
    "accept-encoding": {"gzip despite a quality of 0": with_coding("gzip", gzip.compress, asks_for_gzip)},
}


# ------------------------------------------------------------------ connections


class LeavesOpen(EndpointHandler):
    """Ignores `Connection: close`."""

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        self.write(answer_bytes(answer, request.method), 0.0)
        return True


class LeavesHttp10Open(EndpointHandler):
    """Keeps HTTP/1.0 connections open."""

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        self.is_http_1_0 = False
        return super().send_answer(request, answer)


class RejectsEarly(EndpointHandler):
    """Answers 401 before it reads the body, and leaves the body unread."""

    def read_body(self, request: EndpointRequest) -> bytes | None:
        return super().read_body(request) if request.authorized else b""


class LeavesChunksUnread(EndpointHandler):
    """Does not read chunked bodies at unknown paths."""

    def read_body(self, request: EndpointRequest) -> bytes | None:
        if correct_endpoint(replace(request, body=b"{}")).status == 404 and request.values("transfer-encoding"):
            return b""
        return super().read_body(request)


class FailsAtTenth(EndpointHandler):
    """Answers the tenth request of a connection wrongly."""

    number = 0

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        self.number += 1
        return super().send_answer(request, error(400, "client_error") if self.number == 10 else answer)


CONNECTION = {
    "connection-persistence": {
        "closed after every answer without Connection: close": on_every_answer(
            lambda answer: replace(answer, closes=True)
        ),
        "`Connection: close` sent, but left open": when(
            lambda request: request.body == b"" and request.method == "POST",
            lambda request, answer: replace(answer, extra_fields=(*answer.extra_fields, ("Connection", "close"))),
        ),
        "`Connection: close` ignored": LeavesOpen,
        "HTTP/1.0 kept open": LeavesHttp10Open,
        "a body left unread after a 401": RejectsEarly,
        "chunks left unread after a 404": LeavesChunksUnread,
        "the tenth request of a connection rejected": FailsAtTenth,
    },
}


# ------------------------------------------------------------------ request parsing


class RejectsChunked(EndpointHandler):
    """Requires a Content-Length."""

    def check_head(self, request: EndpointRequest) -> None:
        super().check_head(request)
        if request.values("transfer-encoding"):
            raise InvalidRequest


class ReadsFirstChunk(EndpointHandler):
    """Reads the first chunk as the body."""

    def read_chunks(self) -> bytes | None:
        body = super().read_chunks()
        return None if body is None else body[:5]


class ReadsOnce(EndpointHandler):
    """Reads what arrives first as the body."""

    def read_body(self, request: EndpointRequest) -> bytes | None:
        if request.values("transfer-encoding"):
            return super().read_body(request)
        length = int("".join(request.values("content-length")) or 0)
        return self.rfile.read1(length) if length else b""  # type: ignore[attr-defined]  # it is a BufferedReader


class ImpatientReader(EndpointHandler):
    """Waits only a tenth of a second for the rest of a body."""

    def read_body(self, request: EndpointRequest) -> bytes | None:
        self.connection.settimeout(0.1)
        try:
            return super().read_body(request)
        finally:
            self.connection.settimeout(None)


class CaseSensitive(EndpointHandler):
    """Knows header names in one letter case only."""

    def read_fields(self) -> tuple[tuple[str, str], ...]:
        return tuple((name if name == name.title() else f"X-{name}", value) for name, value in super().read_fields())


class LimitsFields(EndpointHandler):
    """Accepts up to 40 header fields."""

    def read_fields(self) -> tuple[tuple[str, str], ...]:
        fields = super().read_fields()
        if len(fields) > 40:
            raise InvalidRequest
        return fields


class RejectsExpect(EndpointHandler):
    """Rejects `Expect: 100-continue`."""

    def check_head(self, request: EndpointRequest) -> None:
        super().check_head(request)
        if request.values("expect"):
            raise InvalidRequest


class RejectsEmptyLine(EndpointHandler):
    """Rejects an empty line before a request."""

    def read_request(self) -> EndpointRequest | None:
        if self.rfile.peek(1)[:1] == b"\r":  # type: ignore[attr-defined]
            raise InvalidRequest
        return super().read_request()


PARSING = {
    "request-framing": {
        "chunked bodies rejected": RejectsChunked,
        "only the first chunk read": ReadsFirstChunk,
        "a slow body rejected": ImpatientReader,
        "header names in other letter case ignored": CaseSensitive,
        "more than 40 header fields rejected": LimitsFields,
        "`Expect: 100-continue` rejected": RejectsExpect,
        "a query rejected": answering(lambda request: "?a=b" in request.path, error(404, None)),
    },
    "leading-empty-line": {"an empty line before a request rejected": RejectsEmptyLine},
}


class PrefersLength(EndpointHandler):
    """Ignores chunked framing if there is a Content-Length."""

    def check_head(self, request: EndpointRequest) -> None:
        if not (request.values("content-length") and request.values("transfer-encoding")):
            super().check_head(request)

    def read_body(self, request: EndpointRequest) -> bytes | None:
        lengths = request.values("content-length")
        if lengths:
            return self.rfile.read(int(lengths[0]))
        return super().read_body(request)


class UsesFirstLength(EndpointHandler):
    """Uses the first of several lengths."""

    def check_head(self, request: EndpointRequest) -> None:
        lengths = [field for field in request.fields if field[0].lower() == "content-length"]
        fields = tuple(field for field in request.fields if field not in lengths)
        super().check_head(replace(request, fields=(*fields, *lengths[:1])))

    def read_body(self, request: EndpointRequest) -> bytes | None:
        lengths = request.values("content-length")
        return self.rfile.read(int(lengths[0])) if lengths else super().read_body(request)


class IgnoresUnknownCoding(EndpointHandler):
    """Ignores an unknown transfer coding."""

    def check_head(self, request: EndpointRequest) -> None:
        understood = tuple(
            (name, value)
            for name, value in request.fields
            if name.lower() != "transfer-encoding" or value.lower() == "chunked"
        )
        super().check_head(replace(request, fields=understood))

    def read_body(self, request: EndpointRequest) -> bytes | None:
        if request.values("transfer-encoding") == ["chunked"]:
            return super().read_body(request)
        return self.rfile.read(int("".join(request.values("content-length")) or 0))


class AcceptsIncomplete(EndpointHandler):
    """Accepts an incomplete body when the connection ends."""

    def read_body(self, request: EndpointRequest) -> bytes | None:
        length = "".join(request.values("content-length"))
        return self.rfile.read(int(length)) if length else super().read_body(request)

    def read_chunks(self) -> bytes | None:
        pieces = []
        while size := int(self.rfile.readline() or b"0", 16):
            pieces.append(self.rfile.read(size))
            self.rfile.read(2)
        self.rfile.readline()
        return b"".join(pieces)


class WrapsChunkSizes(EndpointHandler):
    """Reads chunk sizes as 32-bit integers."""

    def read_chunks(self) -> bytes | None:
        pieces = []
        while size := int(self.rfile.readline(), 16) & 0xFFFFFFFF:
            pieces.append(self.rfile.read(size))
            self.rfile.read(2)
        self.read_fields()
        return b"".join(pieces)


class FailsOnInvalid(EndpointHandler):
    """Answers 500 to a request that it cannot read."""

    def handle_request(self) -> bool:
        try:
            request = self.read_request()
        except InvalidRequest:
            self.wfile.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.drain()
            return False
        return False if request is None else self.send_answer(request, type(self).answer_function(request))


class TrustsConnection(EndpointHandler):
    """Checks the key once per connection."""

    trusted = False

    def read_request(self) -> EndpointRequest | None:
        request = super().read_request()
        if request is None:
            return None
        self.trusted |= request.authorized
        return with_right_key(request) if self.trusted and not request.values("authorization") else request


MALFORMED = {
    "chunked-overrides-length": {"the Content-Length used despite chunked": PrefersLength},
    "length-conflict": {"the first of two Content-Length fields used": UsesFirstLength},
    "transfer-coding-known": {"an unknown transfer coding ignored": IgnoresUnknownCoding},
    "incomplete-body": {"an incomplete body accepted": AcceptsIncomplete},
    "chunk-size-overflow": {"chunk sizes read as 32-bit integers": WrapsChunkSizes},
    "malformed-answered": {"500 for an invalid message": FailsOnInvalid},
    "message-boundary": {"the key checked once per connection": TrustsConnection},
}


# ------------------------------------------------------------------ shared state


class Caching:
    """An endpoint with a cache whose key is too simple."""

    def __init__(self, cache_key: Callable[[EndpointRequest], object]) -> None:
        self._cache_key = cache_key
        self._cache: dict[object, bytes] = {}

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        key = self._cache_key(request)
        if answer.status != 200 or key is None:
            return answer
        return replace(answer, body=self._cache.setdefault(key, answer.body))


class Merging:
    """An endpoint that adds the members of earlier objects."""

    def __init__(self) -> None:
        self._members: dict[bytes, bytes] = {}

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        pairs = re.findall(rb'"(member\d+)":("[0-9a-f]{16}"|\d+)', request.body)
        if answer.status != 200 or not pairs:
            return answer
        self._members |= dict(pairs)
        return replace(answer, body=b"{" + b",".join(b'"%b":%b' % pair for pair in self._members.items()) + b"}")


class FailsAfter:
    """An endpoint that fails after some kind of request."""

    def __init__(self, trigger: Callable[[EndpointRequest, EndpointAnswer], bool], times: int = 1) -> None:
        self._trigger = trigger
        self._times = times
        self._lock = threading.Lock()
        self._received = 0

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        with self._lock:
            if answer.status == 200 and self._received >= self._times:
                self._received = 0
                return error(400, "client_error")
            self._received += self._trigger(request, answer)
        return answer


class KeepsIncomplete(EndpointHandler):
    """Carries over the state of an incomplete body to the next request."""

    spoiled = False

    def read_body(self, request: EndpointRequest) -> bytes | None:
        body = super().read_body(request)
        if body is None:
            KeepsIncomplete.spoiled = True
        elif KeepsIncomplete.spoiled:
            KeepsIncomplete.spoiled = False
            return b"{" + body
        return body


STATE = {
    "answer-matches-request": {
        "answers cached by the body's length": Caching(
            lambda request: len(request.body) if b"token" in request.body else None
        ),
        "answers cached by the body's beginning": Caching(
            lambda request: request.body[:128] if len(request.body) > 128 else None
        ),
        "answers cached by the query": Caching(lambda request: request.path.partition("?")[2] or None),
        "answers cached by X-Request-Id": Caching(lambda request: "".join(request.values("x-request-id")) or None),
        "members of earlier objects returned": Merging,
    },
    "request-isolation": {
        "the request after a malformed body rejected": FailsAfter(lambda request, answer: request.body == b'{"a":'),
        "clients locked out after rejections": FailsAfter(lambda request, answer: answer.status == 401, 8),
        "the request after an interrupted body rejected": KeepsIncomplete,
    },
}


def with_request_ids(make: Callable[[EndpointRequest, int], str]) -> AnswerFunction:
    """The correct endpoint with other request ids."""
    numbers = itertools.count()
    lock = threading.Lock()

    def server(request: EndpointRequest) -> EndpointAnswer:
        with lock:
            number = next(numbers)
        return replace(correct_endpoint(request), request_id=make(request, number))

    return server


class PerConnection(EndpointHandler):
    """Counts the requests of each connection."""

    number = 0

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        self.number += 1
        return super().send_answer(request, replace(answer, request_id=f"request-{self.number}"))


_CHANCE = random.Random(1)

IDS = {
    "request-id-unique": {
        "ids counted per connection": PerConnection,
        "ids made from the body": with_request_ids(lambda request, number: hashlib.sha256(request.body).hexdigest()),
        "ids made from the clock": with_request_ids(lambda request, number: f"{time.time() * 100:.0f}"),
        "ids with a constant one before them": with_request_ids(lambda request, number: f"proxy-1, {number}"),
        "ids that differ only in letter case": with_request_ids(
            lambda request, number: (
                f"request-{'abcdefghij'[number // 2 % 10]}-{number // 2}".title()
                if number % 2
                else f"request-{'abcdefghij'[number // 2 % 10]}-{number // 2}"
            )
        ),
        "the client's X-Request-Id used": with_request_ids(
            lambda request, number: "".join(request.values("x-request-id")) or f"own-{number}"
        ),
        "a constant id for HEAD": with_request_ids(
            lambda request, number: "0" if request.method == "HEAD" else f"own-{number}"
        ),
        "short random ids": with_request_ids(lambda request, number: f"{_CHANCE.getrandbits(14):04x}"),
    },
}


# ------------------------------------------------------------------ rare defects


def every(
    count: int,
    change: Callable[[EndpointRequest, EndpointAnswer], EndpointAnswer],
    condition: Callable[[EndpointRequest, EndpointAnswer], bool],
) -> AnswerFunction:
    """The correct endpoint with a change to every n-th answer that meets a condition."""
    numbers = itertools.count(1)
    lock = threading.Lock()

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        if not condition(request, answer):
            return answer
        with lock:
            number = next(numbers)
        return answer if number % count else change(request, answer)

    return server


def is_output(request: EndpointRequest, answer: EndpointAnswer) -> bool:
    """True if it is an output of the chain."""
    return answer.status == 200


RARE = {
    "status": {"500 sometimes": every(70, lambda request, answer: error(500, None), is_output)},
    "request-answered": {
        "no answer sometimes": every(
            8,
            lambda request, answer: replace(answer, raw=b""),
            lambda request, answer: answer.status == 401,
        ),
    },
    "authentication-required": {
        "authentication skipped sometimes": every(
            15,
            lambda request, answer: correct_endpoint(with_right_key(request)),
            lambda request, answer: answer.status == 401 and not request.values("authorization"),
        ),
    },
    "response-framing": {
        "truncated sometimes": every(
            70, lambda request, answer: replace(answer, raw=answer_bytes(answer)[:-1]), is_output
        ),
    },
    "request-id-unique": {
        "a repeated id sometimes": every(70, lambda request, answer: replace(answer, request_id="again"), is_output),
    },
    "output-media-type": {
        "without a media type sometimes": every(
            70, lambda request, answer: replace(answer, media_type=None), is_output
        ),
    },
}


class Overloaded:
    """An endpoint that fails under concurrent requests."""

    def __init__(self, overflow: EndpointAnswer) -> None:
        self._overflow = overflow
        self._in_flight = 0
        self._lock = threading.Lock()

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        with self._lock:
            self._in_flight += 1
            is_overloaded = self._in_flight > 6
        try:
            time.sleep(0.02)
            return replace(self._overflow, request_id=uuid.uuid4().hex) if is_overloaded else correct_endpoint(request)
        finally:
            with self._lock:
                self._in_flight -= 1


OVERLOAD = tuple(
    faulty("overload", name, Overloaded(overflow), options={"overload": True})
    for name, overflow in (
        ("connections closed under load", EndpointAnswer(status=0, raw=b"")),
        ("500 under load", error(500, None)),
    )
)

ONE_READ = faulty("request-framing", "only the first read used", ReadsOnce, implies="expect-continue")

_FAULTS_BY_MODULE = {
    "framing": (*faults(FRAMING), *faults(CODING), *faults(PARSING), ONE_READ),
    "connection": faults(CONNECTION),
    "malformed": faults(MALFORMED),
    "state": faults(STATE),
    "identity": faults(IDS),
    "repetition": (*faults(RARE), *OVERLOAD),
}

FAULTS = [fault for faults_of_module in _FAULTS_BY_MODULE.values() for fault in faults_of_module]


def checks_for(fault: FaultyEndpoint) -> list[object]:
    """The checks on the wire that should find a fault."""
    module = next(module for module, faults_of_module in _FAULTS_BY_MODULE.items() if fault in faults_of_module)
    repetition_check = (
        "overload_gets_documented_answers"
        if "overload" in fault.breaks
        else "repeated_requests_are_answered_consistently"
    )
    return [
        check
        for check in WIRE_CHECKS
        if check.module == module and (module != "repetition" or check.name == repetition_check)
    ]


@pytest.mark.parametrize("fault", sample(FAULTS, lambda fault: fault.breaks), ids=lambda fault: fault.name)
def test_a_fault_on_the_wire_is_reported_for_its_clause_only(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """A fault is reported for its clause only, other warnings aside."""
    with fault.serve() as url:
        result = run_suite(url, checks=checks_for(fault), **fault.options)

    others = {clause.id for clause in CLAUSES if clause.level is Level.SHOULD} | {fault.implies}
    assert fault.breaks == result.clauses - (others - fault.breaks), result.lines


def test_the_endpoint_without_faults_has_no_findings(run_suite: RunSuite) -> None:
    """The endpoint without faults has no findings from these checks."""
    result = run_suite(correct_endpoint, checks=WIRE_CHECKS, overload=True)

    assert [] == result.lines
    assert KEY not in "".join(found.reproduce for found in result.findings)


def test_a_wrong_length_is_one_finding(run_suite: RunSuite) -> None:
    """Bytes after an answer are no answer to another request: the connection is not accused, also if the number of bytes differs."""

    def is_next(request: EndpointRequest) -> bool:
        return is_for_operation(request) and len(request.body) > len(b"[]")

    short = when(
        is_next,
        lambda request, answer: replace(
            answer,
            raw=re.sub(
                rb"Length: (\d+)",
                lambda found: b"Length: %d" % (int(found[1]) - 1 - len(request.body) % 2),
                answer_bytes(answer),
            ),
            stays_open=True,
        ),
    )
    checks = [each for each in WIRE_CHECKS if each.module == "connection"]
    result = run_suite(short, checks=checks)

    assert ["response-framing"] == [each.clause for each in result.findings], result.lines


def test_a_body_is_no_request_of_its_own_if_the_request_was_accepted(run_suite: RunSuite) -> None:
    """A target that answers anything with the right key, such as a cache, has rejected nothing: one answer is no second request."""

    def lenient(request: EndpointRequest) -> EndpointAnswer:
        return EndpointAnswer(status=200, body=b"{}") if request.authorized else correct_endpoint(request)

    checks = [each for each in WIRE_CHECKS if each.name == "an_expected_body_is_never_read_as_a_request"]

    assert "message-boundary" not in run_suite(lenient, checks=checks).clauses
