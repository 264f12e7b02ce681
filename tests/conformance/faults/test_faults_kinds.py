"""Each check of one kind of fault finds it in an endpoint that shares no code with the emulator, and accuses no correct one."""

from __future__ import annotations

import gzip
import io
import itertools
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

import pytest

from chainproof.conformance.checks import framing
from chainproof.conformance.checks.catalogue import ALL_CHECKS

from ..conftest import SHORT_WAITS, RunSuite, checks_named
from ..endpoints import (
    KEY,
    PATH,
    AnswerFunction,
    EndpointAnswer,
    EndpointHandler,
    EndpointRequest,
    InvalidRequest,
    answer_bytes,
    correct_endpoint,
    error,
    is_object,
    on_every_answer,
    on_status,
    serve,
    typed_endpoint,
    when,
    with_right_key,
)
from .faulty_endpoints import Condition, FaultyEndpoint, answering, changed_if, changed_on, faulty

CHECKS = {check.name: check for check in ALL_CHECKS}


def returning_object_if(condition: Condition) -> AnswerFunction:
    """The correct endpoint, which returns the body of requests that meet a condition."""
    return when(condition, lambda request, answer: EndpointAnswer(status=200, body=request.body))


def with_field(name: str, value: str) -> Callable[[EndpointAnswer], EndpointAnswer]:
    """A change that adds a header field to an answer."""
    return lambda answer: replace(answer, extra_fields=(*answer.extra_fields, (name, value)))


def host_name(request: EndpointRequest) -> str:
    """The name in the Host header."""
    return "".join(request.values("host")).partition(":")[0]


class ReadsOneOption(EndpointHandler):
    """Does not know `close` in a list of connection options."""

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        fields = tuple(each for each in request.fields if each[0].lower() != "connection" or "," not in each[1])
        return super().send_answer(replace(request, fields=fields), answer)


HEADER_FIELDS = {
    ("connections_are_closed_on_request", "close-in-list"): {"close in a list of options is ignored": ReadsOneOption},
    ("every_valid_request_framing_is_accepted", "upgrade-offer"): {
        "an offer of HTTP/2 is rejected": answering(
            lambda request: bool(request.values("upgrade")), error(400, "client_error")
        ),
    },
    ("every_kind_of_answer_is_valid", "date-accurate"): {
        "a Date of 1994": on_every_answer(with_field("Date", "Sun, 06 Nov 1994 08:49:37 GMT")),
    },
    ("every_kind_of_answer_is_valid", "field-conventions"): {
        "a name of a cookie with a space": on_every_answer(with_field("Set-Cookie", "a b=c")),
        "a charset that JSON does not have": changed_on(200, media_type="application/json; charset=ISO-8859-1"),
    },
    ("every_kind_of_answer_is_valid", "field-syntax"): {
        **{
            f"{name}: {value}": on_every_answer(with_field(name, value))
            for name, value in (
                ("Date", "2026-11-27 10:00:00"),
                ("ETag", "abc"),
                ("Cache-Control", "max-age=1.5"),
                ("Vary", "Accept; Origin"),
            )
        },
        "Retry-After in an old form of dates": on_status(400, with_field("Retry-After", "Sun Nov  6 08:49:37 1994")),
        "WWW-Authenticate on a 401 only": on_status(401, with_field("WWW-Authenticate", "")),
    },
    ("many_header_fields_are_accepted", "field-count"): {
        "at most 80 header fields": answering(lambda request: len(request.fields) > 80, error(431, None)),
    },
    ("many_header_fields_are_accepted", "request-line-length"): {
        "request lines of at most 4 KiB": answering(lambda request: len(request.path) > 4096, error(414, None)),
    },
    ("every_form_of_the_own_host_name_is_recognised", "host-forms"): {
        "an own name in capitals is unknown": answering(
            lambda request: host_name(request) != host_name(request).lower(), error(404, None)
        ),
    },
    ("every_form_of_the_own_host_name_is_recognised", "host-trailing-dot"): {
        "an own name with a dot is unknown": answering(
            lambda request: host_name(request).endswith("."), error(400, "client_error")
        ),
    },
    ("unknown_methods_are_rejected", "unknown-methods"): {
        "500 for an unknown method": answering(lambda request: request.method == "BREW", error(500, None)),
    },
}


# ------------------------------------------------------------------ recovery


class LateAnswers(EndpointHandler):
    """Sends the output of the chain after the 504 that the gateway has sent."""

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        late = answer_bytes(EndpointAnswer(status=200, body=request.body)) if answer.status == 504 else b""
        return super().send_answer(request, replace(answer, late=late))


class ReadsOn(EndpointHandler):
    """Reads on after a message whose length is invalid."""

    def handle_request(self) -> bool:
        try:
            request = self.read_request()
        except InvalidRequest:
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return True
        return request is not None and self.send_answer(request, type(self).answer_function(request))


class KeepsHttp10Open(EndpointHandler):
    """Honours `Connection: keep-alive` of HTTP/1.0 requests."""

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        if self.is_http_1_0 and "keep-alive" in request.values("connection"):
            self.is_http_1_0 = False
            answer = replace(answer, extra_fields=(*answer.extra_fields, ("Connection", "keep-alive")))
        return super().send_answer(request, answer)


class SilentAfterHttp10(KeepsHttp10Open):
    """Says that it keeps HTTP/1.0 connections open, and closes them."""

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        was_http_1_0 = self.is_http_1_0
        return super().send_answer(request, answer) and not was_http_1_0


class Leaking:
    """An endpoint of which each answer with a status uses up one of 20 places."""

    def __init__(self, status: int, busy: EndpointAnswer) -> None:
        self._status = status
        self._busy = busy
        self._used = 0
        self._lock = threading.Lock()

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        with self._lock:
            self._used += answer.status == self._status
            is_full = self._used >= 20
        return replace(self._busy, request_id=answer.request_id) if answer.status == 200 and is_full else answer


class LeaksOnAbort(EndpointHandler):
    """Uses up one of 10 places with each body that ends early."""

    def read_body(self, request: EndpointRequest) -> bytes | None:
        body = super().read_body(request)
        counts = type(self).__dict__["counts"]
        counts.append(body is None)
        return body if sum(counts) < 10 else b"{"

    counts: list[bool]

    def __init_subclass__(cls) -> None:
        cls.counts = []


class Sleepy:
    """An endpoint that fails on the first request after 0.3 s without any."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        before, self._last = self._last, time.monotonic()
        answer = correct_endpoint(request)
        return error(502, None) if answer.status == 200 and self._last - before > 0.3 else answer


RECOVERY = {
    ("late_answers_do_not_reach_the_next_request", "answer-matches-request"): {
        "a late answer after a 504": LateAnswers,
    },
    ("nothing_is_read_after_invalid_framing", "message-boundary"): {"reading on after an invalid length": ReadsOn},
    ("http_1_0_connections_with_keep_alive_stay_usable", "connection-persistence"): {
        "HTTP/1.0 connections closed after keep-alive": SilentAfterHttp10,
    },
    ("bad_requests_do_not_use_up_the_target", "request-isolation"): {
        "places used up by invalid bodies": Leaking(400, error(503, "model_unavailable")),
        "places used up by wrong keys": Leaking(401, error(429, "rate_limited")),
        "places used up by aborted bodies": LeaksOnAbort,
    },
}


# ------------------------------------------------------------------ shared state


class QuotesPrevious:
    """An endpoint whose errors quote the body of the request before."""

    def __init__(self) -> None:
        self._last = b""

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        last, self._last = self._last, request.body
        answer = correct_endpoint(request)
        if answer.status != 400 or request.values("x-emulate"):
            return answer
        return error(400, "client_error", f"Invalid: {last[:300].decode('latin-1')}")


class Sessions:
    """An endpoint whose cookie replaces the key."""

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        if "sid=0123456789abcdef" in ";".join(request.values("cookie")):
            return correct_endpoint(with_right_key(request))
        answer = correct_endpoint(request)
        return with_field("Set-Cookie", "sid=0123456789abcdef; HttpOnly")(answer) if answer.status == 200 else answer


class CachesSuccess:
    """An endpoint that serves each 200 again to the same body, whatever the header fields are."""

    def __init__(self, cache_key: Callable[[EndpointRequest], object]) -> None:
        self._cache_key = cache_key
        self._cache: dict[object, EndpointAnswer] = {}

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        key = self._cache_key(request)
        if answer.status == 200:
            self._cache[key] = answer
        stored = self._cache.get(key)
        is_for_it = request.method == "POST" and request.path.startswith(PATH)
        return answer if stored is None or not is_for_it else replace(stored, request_id=answer.request_id)


SHARED_STATE = {
    ("no_answer_contains_data_of_another_request", "answer-matches-request"): {
        "an error that quotes the body before": QuotesPrevious,
    },
    ("sessions_do_not_replace_the_key", "authentication-required"): {"a cookie that replaces the key": Sessions},
    ("cached_answers_are_not_served_to_unauthenticated_callers", "authentication-required"): {
        "a cache that ignores the key": CachesSuccess(lambda request: request.body),
    },
    ("cached_answers_depend_on_the_header_fields", "request-isolation"): {
        "a cache that ignores the media type": CachesSuccess(
            lambda request: (request.body, *request.values("authorization"))
        ),
    },
}


# ------------------------------------------------------------------ sizes

SIZES = {
    ("body_limits_hold_in_every_framing", "request-framing"): {
        "chunked bodies limited to 50,000 bytes": answering(
            lambda request: len(request.body) > 50_000 and bool(request.values("transfer-encoding")),
            error(400, "payload_too_large"),
        ),
    },
    ("no_answer_contains_data_of_another_request", "request-answered"): {
        "no answer to requests with an own header field": changed_if(
            lambda request: bool(request.values("x-chainproof")), raw=b""
        ),
    },
    ("oversized_bodies_get_a_documented_answer_in_every_framing", "request-answered"): {
        "no answer to chunked bodies above 1.5 million bytes": changed_if(
            lambda request: len(request.body) > 1_500_000 and bool(request.values("transfer-encoding")), raw=b""
        ),
    },
}

# ------------------------------------------------------------------ gateways


class ReadsFirstCoding(EndpointHandler):
    """Looks at the first of several Transfer-Encoding fields."""

    def check_head(self, request: EndpointRequest) -> None:
        codings = [field for field in request.fields if field[0].lower() == "transfer-encoding"]
        super().check_head(replace(request, fields=tuple(each for each in request.fields if each not in codings[1:])))


class IgnoresChunkEnd(EndpointHandler):
    """Skips two bytes after a chunk, whatever they are."""

    def read_chunks(self) -> bytes | None:
        pieces = []
        while re.fullmatch(rb"[0-9a-fA-F]+(;[^\r\n]*)?\r\n", line := self.rfile.readline(65536)):
            size = int(line.strip().partition(b";")[0], 16)
            if not size:
                self.read_fields()
                return b"".join(pieces)
            pieces.append(self.rfile.read(size))
            self.rfile.read(2)
        raise InvalidRequest


class ReadsUnderscores(EndpointHandler):
    """Reads an underscore in a field name as a hyphen, as CGI does."""

    def read_fields(self) -> tuple[tuple[str, str], ...]:
        return tuple((name.replace("_", "-"), value) for name, value in super().read_fields())


class LeavesExpectedBody(EndpointHandler):
    """Answers a rejected request at once if the client waits, and reads its body as the next request."""

    def read_body(self, request: EndpointRequest) -> bytes | None:
        waits = "100-continue" in request.values("expect")
        return b"" if waits and not request.authorized else super().read_body(request)


class ForgetsSecondTrailer(EndpointHandler):
    """Rejects more than one trailer field."""

    def read_chunks(self) -> bytes | None:
        self.is_trailer = True
        try:
            return super().read_chunks()
        finally:
            self.is_trailer = False

    is_trailer = False

    def read_fields(self) -> tuple[tuple[str, str], ...]:
        fields = super().read_fields()
        if self.is_trailer and len(fields) > 1:
            raise InvalidRequest
        return fields


def compressed_when_long(body: bytes) -> bytes:
    """A gzip stream without its end, as from a gateway that flushes too early."""
    return gzip.compress(body, 1)[:-8]


def cuts_long_streams(request: EndpointRequest) -> EndpointAnswer:
    """An endpoint that compresses outputs above 32 kB, badly."""
    answer = correct_endpoint(request)
    if answer.status != 200 or len(answer.body) < 32_768 or request.values("accept-encoding") != ["gzip"]:
        return answer
    fields = (*answer.extra_fields, ("Content-Encoding", "gzip"))
    return replace(answer, body=compressed_when_long(answer.body), extra_fields=fields)


def accepts_key_without(characters: str) -> AnswerFunction:
    """An endpoint that drops characters from the key before it compares it."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        fields = tuple(
            (name, value[:8] + re.sub(characters, "", value[8:]) if name.lower() == "authorization" else value)
            for name, value in request.fields
        )
        return correct_endpoint(replace(request, fields=fields))

    return server


def fails_on(name: str, pattern: str) -> AnswerFunction:
    """An endpoint that crashes on a header field that does not match a pattern."""
    return when(
        lambda request: any(not re.fullmatch(pattern, value) for value in request.values(name)),
        lambda request, answer: error(500, None),
    )


GATEWAYS = {
    ("invalid_http_messages_are_rejected", "chunked-not-final"): {
        "the first of two Transfer-Encoding fields used": ReadsFirstCoding,
    },
    ("invalid_http_messages_are_rejected", "chunk-end-crlf"): {
        "any two bytes read as the end of a chunk": IgnoresChunkEnd,
    },
    ("other_headers_and_queries_are_ignored", "object-accepted"): {
        "an underscore read as a hyphen": ReadsUnderscores,
        "cookies above 1,000 bytes rejected": answering(
            lambda request: any(len(value) > 1000 for value in request.values("cookie")), error(400, "client_error")
        ),
    },
    ("an_expected_body_is_never_read_as_a_request", "message-boundary"): {
        "an expected body read as the next request": LeavesExpectedBody,
    },
    ("every_form_of_request_is_accepted", "chunked-trailers"): {
        "more than one trailer field rejected": ForgetsSecondTrailer,
    },
    ("content_encoding_matches_the_body", "content-coding"): {"a long compressed output cut": cuts_long_streams},
    ("content_encoding_matches_the_body", "accept-encoding"): {
        "q=0.000 read as accepted": when(
            lambda request: request.values("accept-encoding") == ["gzip;q=0.000"],
            lambda request, answer: replace(
                answer, body=gzip.compress(answer.body, 1), extra_fields=(("Content-Encoding", "gzip"),)
            ),
        ),
    },
    ("almost_correct_keys_are_rejected", "key-verified"): {
        f"{characters} in keys ignored": accepts_key_without(characters) for characters in (" ", "[^!-~]", "[#?&/]")
    },
    ("malformed_headers_do_not_cause_stack_traces", "status"): {
        **{
            f"500 for an invalid {name}": fails_on(name, pattern)
            for name, pattern in (
                ("baggage", ".*=.*"),
                ("Request-Timeout-Ms", "[0-9]+"),
                ("Accept", "[^;]*(;q=[0-9.]+)?"),
            )
        },
        "500 for a query that is not valid": answering(lambda request: "%zz" in request.path, error(500, None)),
    },
    ("other_media_types_are_rejected", "status"): {
        "500 for multipart without a boundary": fails_on("Content-Type", "(?!multipart).*|.*boundary=.*"),
    },
    ("every_kind_of_answer_is_valid", "status"): {
        "406 without Accept": answering(lambda request: not request.values("accept"), error(406, None)),
    },
    ("other_headers_and_queries_are_ignored", "status"): {
        "304 to a POST": answering(
            lambda request: bool(request.values("if-modified-since")), EndpointAnswer(status=304, media_type=None)
        ),
    },
    ("other_headers_do_not_bypass_authentication", "authentication-required"): {
        "Expect in place of a key": returning_object_if(
            lambda request: not request.authorized and bool(request.values("expect")) and is_object(request.body)
        ),
    },
}


# ------------------------------------------------------------------ what a gateway adds to the meaning of a request


def output_of(change: Callable[[EndpointRequest], bytes]) -> AnswerFunction:
    """An endpoint whose outputs are changed."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        return replace(answer, body=change(request)) if answer.status == 200 else answer

    return server


def accepts_without_key(condition: Condition) -> AnswerFunction:
    """An endpoint that returns an object without a key if a condition is met."""
    return returning_object_if(
        lambda request: not request.authorized and is_object(request.body) and condition(request)
    )


class TrustsKnownCallers:
    """An endpoint that recognises a caller by a header field, once that came with the right key."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: set[str] = set()

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        caller = "".join(request.values(self._name))
        if caller and request.authorized:
            self._known.add(caller)
        return correct_endpoint(with_right_key(request) if caller in self._known else request)


class KeepsOutputs:
    """An endpoint that returns the first output for each value of a header field again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first: dict[str, bytes] = {}

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer, value = correct_endpoint(request), "".join(request.values(self._name))
        first = self._first.setdefault(value, request.body) if value and answer.status == 200 else answer.body
        return replace(answer, body=first)


class Tunnels(EndpointHandler):
    """Authenticates nothing on a connection after a request with `Upgrade`."""

    is_tunnel = False

    def read_request(self) -> EndpointRequest | None:
        request = super().read_request()
        if request is None:
            return None
        was_tunnel, self.is_tunnel = self.is_tunnel, self.is_tunnel or bool(request.values("upgrade"))
        return with_right_key(request) if was_tunnel else request


class BelievesProxyLines(EndpointHandler):
    """Believes a line of the PROXY protocol from anybody."""

    def read_request(self) -> EndpointRequest | None:
        is_local = self.rfile.peek(6).startswith(b"PROXY ")  # type: ignore[attr-defined]  # a BufferedReader
        if is_local:
            self.rfile.readline()
        request = super().read_request()
        return with_right_key(request) if is_local and request is not None else request


class LosesTrackOfClients(EndpointHandler):
    """Sends the output that a client did not wait for to the next client, in place of its own."""

    lost: list[bytes]

    def __init_subclass__(cls) -> None:
        cls.lost = []

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        if answer.status != 200:
            return super().send_answer(request, answer)
        # A client that leaves closes its end in another thread: real sockets have no clock to replace.
        time.sleep(0.001)
        try:
            has_left = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            has_left = False
        if has_left:
            self.lost[:] = [answer.body]
            return False
        return super().send_answer(request, replace(answer, body=self.lost.pop() if self.lost else answer.body))


def is_complete(content: bytes) -> bool:
    """True if bytes begin with a complete request."""
    head, end, body = content.partition(b"\r\n\r\n")
    if b"chunked" in head:
        return b"0\r\n\r\n" in body
    length = re.search(rb"Content-Length:\s*([0-9]+)", head, re.IGNORECASE)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


class ForgetsTheRest(EndpointHandler):
    """Forgets the beginning of the next request that has come with the end of one."""

    def handle(self) -> None:
        content = b""
        while piece := self.connection.recv(65_536):
            content += piece
            is_answered = False
            while is_complete(content):
                self.rfile = io.BytesIO(content)  # type: ignore[assignment]  # what has come so far
                if not self.handle_request():
                    return
                content, is_answered = content[self.rfile.tell() :], True
            content = b"" if is_answered else content


class CutsBeforeClose(EndpointHandler):
    """Sends no more than 64 KiB before it closes a connection on request."""

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        if self.is_http_1_0 or "close" in "".join(request.values("connection")):
            return super().send_answer(request, replace(answer, raw=answer_bytes(answer)[:65_536]))
        return super().send_answer(request, answer)


class CutsLongOutputs:
    """A gateway that cuts every 20th long output."""

    def __init__(self) -> None:
        self._counted = itertools.count(1)

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        is_cut = answer.status == 200 and len(answer.body) > 2000 and next(self._counted) % 20 == 0
        return replace(answer, raw=answer_bytes(answer)[:-500]) if is_cut else answer


class SharesBuffer:
    """A gateway that compresses concurrent answers in one buffer."""

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        if answer.status != 200 or "gzip" not in request.values("accept-encoding"):
            return answer
        self.buffer = gzip.compress(answer.body, 1)
        time.sleep(0.004)  # real threads have no clock to replace
        return replace(answer, body=self.buffer, extra_fields=(("Content-Encoding", "gzip"),))


class RepeatsErrors(EndpointHandler):
    """Sends the error of the second request on a connection to the next one too."""

    count = 0
    error: EndpointAnswer | None = None

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        self.count += 1
        shown, self.error = self.error or answer, answer if self.count == 2 and answer.status == 400 else None
        return super().send_answer(request, shown)


class ExpectsSmallLetters(EndpointHandler):
    """Compares the value of `Expect` with its letter case."""

    def is_continue_expected(self, request: EndpointRequest) -> bool:
        return "100-continue" in request.values("expect")


class LosesExpectedBody(EndpointHandler):
    """Reads no more than 64 KiB of a body that was announced with `Expect`."""

    def read_body(self, request: EndpointRequest) -> bytes | None:
        body = super().read_body(request)
        return body[:65_536] if body is not None and request.values("expect") else body


class NeedsExactCoding(EndpointHandler):
    """Looks at Transfer-Encoding with the whitespace after it."""

    def read_fields(self) -> tuple[tuple[str, str], ...]:
        fields = []
        while (line := self.rfile.readline(65536)) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            is_exact = name.lower() in ("transfer-encoding", "content-length")
            fields.append((name, value[1:-2] if is_exact else value.strip()))
        return tuple(fields)


def fills_buffer(request: EndpointRequest) -> bool:
    """True if a body fills a buffer of 4 KiB exactly, perhaps several times."""
    return bool(request.body) and len(request.body) % 4096 == 0


def as_brotli(request: EndpointRequest) -> EndpointAnswer:
    """An endpoint that calls gzip `br`."""
    answer = correct_endpoint(request)
    if answer.status != 200 or request.values("accept-encoding") != ["br"]:
        return answer
    return replace(answer, body=gzip.compress(answer.body, 1), extra_fields=(("Content-Encoding", "br"),))


def reflects_query(request: EndpointRequest) -> EndpointAnswer:
    """An endpoint that repeats the decoded query in a header field."""
    answer = correct_endpoint(request)
    query = unquote(request.path.partition("?")[2], "latin-1")
    return replace(answer, extra_fields=(*answer.extra_fields, ("X-Query", query)))


def masked(pattern: bytes) -> AnswerFunction:
    """An endpoint that masks a part of its outputs."""
    return output_of(lambda request: re.sub(pattern, b"***", request.body))


def without_flag(request: EndpointRequest) -> EndpointAnswer:
    """An endpoint that streams the output of an object with `stream`."""
    answer = correct_endpoint(request)
    is_stream = answer.status == 200 and b'"stream":true' in request.body
    return replace(answer, media_type="text/event-stream", body=b"data: " + answer.body) if is_stream else answer


MEANINGS = {
    ("objects_with_any_kind_of_value_are_accepted", "echo-exact"): {
        "times with an offset changed": masked(rb"00\+02:00"),
        "numbers of cards masked": masked(rb'(?<=")4[0-9]{15}(?=")'),
        "addresses of mail masked": masked(rb"[a-z]+@example\.com"),
        "variables masked": masked(rb"\$\{HOME\}"),
        "identifiers in capitals masked": masked(rb"[0-9A-F]{4}(?=-9141)"),
        "members that look like true masked": masked(rb'(?<="m1[0-9]":")true(?=")'),
        "members of inner objects masked": masked(rb'(?<="y":{"m0":" )a'),
    },
    ("valid_json_objects_are_accepted", "echo-exact"): {
        "passwords masked": masked(rb'(?<="password":")[^"]+'),
        "own addresses masked": masked(rb"127\.0\.0\.1:[0-9]+"),
        "types masked": masked(rb"java\.lang\.Object"),
        "names that count from 0 read as an array": output_of(
            lambda request: request.body.replace(b'{"0":"a","1":"b"}', b'["a","b"]')
        ),
        "vectors of single precision": output_of(
            lambda request: re.sub(rb"(?<=[0-9]{10})[0-9]+(?=,[0-9.]{12})", b"", request.body)
        ),
    },
    ("other_paths_are_rejected", "other-paths-rejected"): {
        "a field that names the right path": returning_object_if(
            lambda request: request.values("x-original-url") == [PATH] and is_object(request.body)
        ),
    },
    ("keys_outside_the_authorization_header_are_rejected", "key-location"): {
        "a key in the metadata of gRPC": returning_object_if(
            lambda request: KEY in "".join(request.values("grpc-metadata-authorization"))
        ),
    },
    ("answers_do_not_repeat_the_api_key", "no-credential-leak"): {
        "a switch for debugging that shows the key": when(
            lambda request: bool(request.values("x-debug")),
            lambda request, answer: with_field("X-Seen", "".join(request.values("authorization")))(answer),
        ),
    },
    ("valid_json_objects_are_accepted", "output-media-type"): {"a flag that asks for a stream": without_flag},
    ("valid_json_objects_are_accepted", "object-accepted"): {
        "bodies that fill a buffer rejected": answering(fills_buffer, error(400, "client_error")),
    },
    ("other_headers_and_queries_are_ignored", "output-json"): {
        "outputs in Latin-1 on Accept-Charset": output_of(
            lambda request: (
                request.body.decode().encode("latin-1", "replace") if request.values("accept-charset") else request.body
            )
        ),
    },
    ("content_type_case_and_parameters_are_ignored", "echo-exact"): {
        "bodies read as Latin-1 if the charset is quoted": output_of(
            lambda request: (
                request.body.decode("latin-1").encode()
                if '"utf-8"' in request.values("content-type")[0]
                else request.body
            )
        ),
    },
    ("other_headers_and_queries_are_ignored", "object-accepted"): {
        "a query whose parameters contradict each other rejected": answering(
            lambda request: "%5B" in request.path, error(400, "client_error")
        ),
        "more than 100 parameters of a query rejected": answering(
            lambda request: request.path.count("&") > 100, error(400, "client_error")
        ),
        "a client library rejected": answering(
            lambda request: request.values("user-agent")[:1] == ["python-requests/2.32.3"], error(400, "client_error")
        ),
    },
    ("other_headers_and_queries_are_ignored", "echo-exact"): {
        "members selected by a query": output_of(lambda request: b"{}" if "?fields=" in request.path else request.body),
        "a member for debugging": output_of(
            lambda request: request.body[:-1] + b',"debug":0}' if request.values("x-debug") else request.body
        ),
    },
    ("other_headers_and_queries_are_ignored", "response-framing"): {
        "a decoded query in a header field": reflects_query,
    },
    ("similar_requests_get_their_own_answers", "answer-matches-request"): {
        "an output kept for each trace": KeepsOutputs("traceparent"),
    },
    ("sessions_do_not_replace_the_key", "authentication-required"): {
        f"a known {name} in place of the key": TrustsKnownCallers(name) for name in ("Cookie", "X-Forwarded-For")
    },
    ("request_bodies_do_not_bypass_authentication", "authentication-required"): {
        "the media type of gRPC in place of the key": accepts_without_key(
            lambda request: request.values("content-type") == ["application/grpc"]
        ),
        "more than 1 MiB in place of the key": accepts_without_key(lambda request: len(request.body) > 2**20),
        "a compressed body in place of the key": when(
            lambda request: request.body.startswith(b"\x1f\x8b"),
            lambda request, answer: EndpointAnswer(status=200, body=gzip.decompress(request.body)),
        ),
    },
    ("wrong_keys_are_rejected", "status"): {
        "500 for a long key": answering(
            lambda request: len("".join(request.values("authorization"))) > 4000, error(500, None)
        ),
    },
    ("other_headers_do_not_bypass_authentication", "authentication-required"): {
        "options of Connection in place of the key": accepts_without_key(
            lambda request: "X-Real-IP" in "".join(request.values("connection"))
        ),
        "If-None-Match in place of the key": accepts_without_key(
            lambda request: request.values("if-none-match") == ["*"]
        ),
        "a method in place of the key": accepts_without_key(
            lambda request: request.values("x-http-method-override") == ["GET"]
        ),
        "no authentication after an upgrade": Tunnels,
        "a PROXY line in place of the key": BelievesProxyLines,
    },
    ("every_valid_request_framing_is_accepted", "response-framing"): {
        "answers cut before the connection is closed": CutsBeforeClose,
    },
    ("every_form_of_request_is_accepted", "response-framing"): {"answers cut in HTTP/1.0": CutsBeforeClose},
    ("repeated_requests_are_answered_consistently", "response-framing"): {
        "long outputs cut by chance": CutsLongOutputs
    },
    ("concurrent_requests_get_their_own_answers", "answer-matches-request"): {"a shared buffer": SharesBuffer},
    ("one_connection_serves_many_requests", "connection-persistence"): {"an error repeated": RepeatsErrors},
    ("expect_100_continue_is_honoured", "expect-continue"): {"`100-Continue` ignored": ExpectsSmallLetters},
    ("expect_100_continue_is_honoured", "request-framing"): {"a long expected body cut": LosesExpectedBody},
    ("every_valid_request_framing_is_accepted", "request-framing"): {
        "whitespace after a transfer coding rejected": NeedsExactCoding,
    },
    ("no_answer_contains_data_of_another_request", "answer-matches-request"): {
        "the output of a client that has left sent to the next one": LosesTrackOfClients,
    },
    ("pipelined_requests_are_answered_in_order", "request-framing"): {
        "the beginning of the next request forgotten": ForgetsTheRest,
    },
    ("unusual_framings_do_not_bypass_authentication", "authentication-required"): {
        "a long header field in place of the key": accepts_without_key(
            lambda request: any(len(value) > 4000 for _, value in request.fields)
        ),
    },
    ("other_media_types_are_rejected", "error-json"): {
        "a media type quoted without escapes": when(
            lambda request: '"' in "".join(request.values("content-type")),
            lambda request, answer: replace(
                answer, body=b'{"error":"%b"}' % request.values("content-type")[0].encode()
            ),
        ),
    },
    ("content_encoding_matches_the_body", "content-coding"): {
        "gzip called br": as_brotli,
        "a stored error in gzip": when(
            lambda request: not request.authorized,
            lambda request, answer: replace(
                answer, body=gzip.compress(answer.body, 1), extra_fields=(("Content-Encoding", "gzip"),)
            ),
        ),
    },
}

FAULTS = (
    *(
        faulty(clause, name, server, check=check)
        for table in (HEADER_FIELDS, RECOVERY, SHARED_STATE, SIZES, GATEWAYS, MEANINGS)
        for (check, clause), servers in table.items()
        for name, server in servers.items()
    ),
    faulty(
        "request-isolation",
        "502 after a pause",
        Sleepy,
        check="requests_after_a_pause_are_answered",
        options={"waits": replace(SHORT_WAITS, idle=0.5)},
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_by_the_check_of_its_kind_alone(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """The check reports the fault for its clause, and no other clause."""
    with fault.serve() as url:
        result = run_suite(url, checks=[CHECKS[fault.check]], **fault.options)

    assert fault.breaks == result.clauses, result.lines


def test_only_codings_that_can_be_decoded_are_asked_for(run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A correct endpoint that compresses with a library that is not installed here has no warning."""
    monkeypatch.setattr(framing, "can_decode", lambda coding: False)
    server = when(
        lambda request: request.values("accept-encoding") == ["zstd"],
        lambda request, answer: replace(answer, extra_fields=(("Content-Encoding", "zstd"),)),
    )
    with serve(server) as url:
        result = run_suite(url, checks=[CHECKS["content_encoding_matches_the_body"]])

    assert [] == result.lines


CHECKS_OF_KINDS = tuple(CHECKS[name] for name in dict.fromkeys(fault.check for fault in FAULTS))


@pytest.mark.parametrize("handler", [EndpointHandler, KeepsHttp10Open])
@pytest.mark.parametrize("server", [correct_endpoint, typed_endpoint], ids=["echo", "typed"])
def test_a_correct_endpoint_has_no_findings(
    server: AnswerFunction, handler: type[EndpointHandler], run_suite: RunSuite
) -> None:
    """Neither an echo chain nor an ordinary chain has findings, warnings included."""
    options = {} if server is correct_endpoint else {"echo": False, "steerable": False}
    with serve(server, handler=handler) as url:
        result = run_suite(url, checks=CHECKS_OF_KINDS, **options)

    assert [] == result.lines


@pytest.mark.parametrize("limit", [500, 20_000, 100_000])
@pytest.mark.parametrize(
    "check",
    [
        "every_valid_request_framing_is_accepted",
        "every_form_of_request_is_accepted",
        "expect_100_continue_is_honoured",
        "pipelined_requests_are_answered_in_order",
    ],
)
def test_a_limit_of_bodies_is_not_reported_as_a_fault_of_framing(check: str, limit: int, run_suite: RunSuite) -> None:
    """Long requests in unusual framing are sent only where bodies of that size are accepted in normal framing."""
    server = when(lambda request: len(request.body) > limit, lambda request, answer: error(400, "client_error"))
    with serve(server) as url:
        result = run_suite(url, checks=[CHECKS[check]])

    assert result.clauses <= {"object-accepted"}, result.lines


@pytest.mark.parametrize(
    ("name", "most"),
    [("objects_with_any_kind_of_value_are_accepted", 50), ("every_unicode_code_point_is_accepted", 10)],
)
def test_a_defect_of_every_answer_is_not_searched_in_single_values(name: str, most: int, run_suite: RunSuite) -> None:
    """If the simplest input fails in the same way, no value is the reason, and hundreds of requests would find nothing more."""
    sent = Counter[bytes]()

    def cut(request: EndpointRequest) -> EndpointAnswer:
        sent[request.body] += 1
        answer = correct_endpoint(request)
        return replace(answer, body=answer.body[:-1]) if answer.status == 200 else answer

    checks = checks_named(name)
    result = run_suite(cut, echo=False, checks=checks)

    assert "output-json" in result.clauses
    assert sent.total() <= most
