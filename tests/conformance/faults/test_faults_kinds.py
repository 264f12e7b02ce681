"""Each check of one kind of fault finds it in an endpoint that shares no code with the emulator, and accuses no correct one."""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from chainproof.conformance.checks.catalogue import ALL_CHECKS

from ..conftest import SHORT_WAITS, RunSuite
from ..endpoints import (
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

CHECKS = {check.name: check for check in ALL_CHECKS}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyEndpoint:
    """An endpoint that breaks the contract in one way, and the check that finds it alone."""

    name: str
    check: str
    breaks: str
    """Id of the only clause with a finding."""
    server: Callable[[], AnswerFunction] = lambda: correct_endpoint
    """Makes a new answer function for each test, because some keep state."""
    handler: type[EndpointHandler] = EndpointHandler
    options: dict[str, object] = field(default_factory=dict)


def with_field(name: str, value: str) -> Callable[[EndpointAnswer], EndpointAnswer]:
    """A change that adds a header field to an answer."""
    return lambda answer: replace(answer, extra_fields=(*answer.extra_fields, (name, value)))


def host_name(request: EndpointRequest) -> str:
    """The name in the Host header."""
    return "".join(request.values("host")).partition(":")[0]


HEADER_FIELDS = (
    *(
        FaultyEndpoint(
            name=f"{name}: {value}",
            check="every_kind_of_answer_is_valid",
            breaks=clause,
            server=lambda name=name, value=value: on_every_answer(with_field(name, value)),  # type: ignore[misc]
        )
        for name, value, clause in (
            ("Date", "2026-11-27 10:00:00", "field-syntax"),
            ("ETag", "abc", "field-syntax"),
            ("Cache-Control", "max-age=1.5", "field-syntax"),
            ("Vary", "Accept; Origin", "field-syntax"),
            ("Set-Cookie", "a b=c", "field-conventions"),
        )
    ),
    FaultyEndpoint(
        name="Retry-After in an old form of dates",
        check="every_kind_of_answer_is_valid",
        breaks="field-syntax",
        server=lambda: on_status(400, with_field("Retry-After", "Sun Nov  6 08:49:37 1994")),
    ),
    FaultyEndpoint(
        name="WWW-Authenticate on a 401 only",
        check="every_kind_of_answer_is_valid",
        breaks="field-syntax",
        server=lambda: on_status(401, with_field("WWW-Authenticate", "")),
    ),
    FaultyEndpoint(
        name="at most 80 header fields",
        check="many_header_fields_are_accepted",
        breaks="field-count",
        server=lambda: when(lambda request: len(request.fields) > 80, lambda request, answer: error(431, None)),
    ),
    FaultyEndpoint(
        name="an own name in capitals is unknown",
        check="every_form_of_the_own_host_name_is_recognised",
        breaks="host-forms",
        server=lambda: when(
            lambda request: host_name(request) != host_name(request).lower(), lambda request, answer: error(404, None)
        ),
    ),
    FaultyEndpoint(
        name="an own name with a dot is unknown",
        check="every_form_of_the_own_host_name_is_recognised",
        breaks="host-trailing-dot",
        server=lambda: when(
            lambda request: host_name(request).endswith("."), lambda request, answer: error(400, "client_error")
        ),
    ),
    FaultyEndpoint(
        name="500 for an unknown method",
        check="unknown_methods_are_rejected",
        breaks="unknown-methods",
        server=lambda: when(lambda request: request.method == "BREW", lambda request, answer: error(500, None)),
    ),
)


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


RECOVERY = (
    FaultyEndpoint(
        name="a late answer after a 504",
        check="late_answers_do_not_reach_the_next_request",
        breaks="answer-matches-request",
        handler=LateAnswers,
    ),
    FaultyEndpoint(
        name="reading on after an invalid length",
        check="nothing_is_read_after_invalid_framing",
        breaks="message-boundary",
        handler=ReadsOn,
    ),
    FaultyEndpoint(
        name="HTTP/1.0 connections closed after keep-alive",
        check="http_1_0_connections_with_keep_alive_stay_usable",
        breaks="connection-persistence",
        handler=SilentAfterHttp10,
    ),
    FaultyEndpoint(
        name="places used up by invalid bodies",
        check="bad_requests_do_not_use_up_the_target",
        breaks="request-isolation",
        server=lambda: Leaking(400, error(503, "model_unavailable")),
    ),
    FaultyEndpoint(
        name="places used up by wrong keys",
        check="bad_requests_do_not_use_up_the_target",
        breaks="request-isolation",
        server=lambda: Leaking(401, error(429, "rate_limited")),
    ),
    FaultyEndpoint(
        name="places used up by aborted bodies",
        check="bad_requests_do_not_use_up_the_target",
        breaks="request-isolation",
        handler=LeaksOnAbort,
    ),
    FaultyEndpoint(
        name="502 after a pause",
        check="requests_after_a_pause_are_answered",
        breaks="request-isolation",
        server=Sleepy,
        options={"waits": replace(SHORT_WAITS, idle=0.5)},
    ),
)


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


SHARED_STATE = (
    FaultyEndpoint(
        name="an error that quotes the body before",
        check="no_answer_contains_data_of_another_request",
        breaks="answer-matches-request",
        server=QuotesPrevious,
    ),
    FaultyEndpoint(
        name="a cookie that replaces the key",
        check="sessions_do_not_replace_the_key",
        breaks="authentication-required",
        server=Sessions,
    ),
    FaultyEndpoint(
        name="a cache that ignores the key",
        check="cached_answers_are_not_served_to_unauthenticated_callers",
        breaks="authentication-required",
        server=lambda: CachesSuccess(lambda request: request.body),
    ),
    FaultyEndpoint(
        name="a cache that ignores the media type",
        check="cached_answers_depend_on_the_header_fields",
        breaks="request-isolation",
        server=lambda: CachesSuccess(lambda request: (request.body, *request.values("authorization"))),
    ),
)


# ------------------------------------------------------------------ sizes

SIZES = (
    FaultyEndpoint(
        name="chunked bodies limited to 50,000 bytes",
        check="body_limits_hold_in_every_framing",
        breaks="request-framing",
        server=lambda: when(
            lambda request: len(request.body) > 50_000 and bool(request.values("transfer-encoding")),
            lambda request, answer: error(400, "payload_too_large"),
        ),
    ),
    FaultyEndpoint(
        name="no answer to chunked bodies above 1.5 million bytes",
        check="oversized_bodies_get_a_documented_answer_in_every_framing",
        breaks="request-answered",
        server=lambda: when(
            lambda request: len(request.body) > 1_500_000 and bool(request.values("transfer-encoding")),
            lambda request, answer: replace(answer, raw=b""),
        ),
    ),
)

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


GATEWAYS = (
    FaultyEndpoint(
        name="the first of two Transfer-Encoding fields used",
        check="invalid_http_messages_are_rejected",
        breaks="chunked-not-final",
        handler=ReadsFirstCoding,
    ),
    FaultyEndpoint(
        name="any two bytes read as the end of a chunk",
        check="invalid_http_messages_are_rejected",
        breaks="chunk-end-crlf",
        handler=IgnoresChunkEnd,
    ),
    FaultyEndpoint(
        name="an underscore read as a hyphen",
        check="other_headers_and_queries_are_ignored",
        breaks="object-accepted",
        handler=ReadsUnderscores,
    ),
    FaultyEndpoint(
        name="an expected body read as the next request",
        check="an_expected_body_is_never_read_as_a_request",
        breaks="message-boundary",
        handler=LeavesExpectedBody,
    ),
    FaultyEndpoint(
        name="more than one trailer field rejected",
        check="every_form_of_request_is_accepted",
        breaks="chunked-trailers",
        handler=ForgetsSecondTrailer,
    ),
    FaultyEndpoint(
        name="a long compressed output cut",
        check="content_encoding_matches_the_body",
        breaks="content-coding",
        server=lambda: cuts_long_streams,
    ),
    FaultyEndpoint(
        name="q=0.000 read as accepted",
        check="content_encoding_matches_the_body",
        breaks="accept-encoding",
        server=lambda: when(
            lambda request: request.values("accept-encoding") == ["gzip;q=0.000"],
            lambda request, answer: replace(
                answer, body=gzip.compress(answer.body, 1), extra_fields=(("Content-Encoding", "gzip"),)
            ),
        ),
    ),
    *(
        FaultyEndpoint(
            name=f"{characters} in keys ignored",
            check="almost_correct_keys_are_rejected",
            breaks="key-verified",
            server=lambda characters=characters: accepts_key_without(characters),  # type: ignore[misc]
        )
        for characters in (" ", "[^!-~]", "[#?&/]")
    ),
    *(
        FaultyEndpoint(
            name=f"500 for an invalid {name}",
            check="malformed_headers_do_not_cause_stack_traces",
            breaks="status",
            server=lambda name=name, pattern=pattern: fails_on(name, pattern),  # type: ignore[misc]
        )
        for name, pattern in (("baggage", ".*=.*"), ("Request-Timeout-Ms", "[0-9]+"), ("Accept", "[^;]*(;q=[0-9.]+)?"))
    ),
    FaultyEndpoint(
        name="500 for a query that is not valid",
        check="malformed_headers_do_not_cause_stack_traces",
        breaks="status",
        server=lambda: when(lambda request: "%zz" in request.path, lambda request, answer: error(500, None)),
    ),
    FaultyEndpoint(
        name="500 for multipart without a boundary",
        check="other_media_types_are_rejected",
        breaks="status",
        server=lambda: fails_on("Content-Type", "(?!multipart).*|.*boundary=.*"),
    ),
    FaultyEndpoint(
        name="406 without Accept",
        check="every_kind_of_answer_is_valid",
        breaks="status",
        server=lambda: when(lambda request: not request.values("accept"), lambda request, answer: error(406, None)),
    ),
    FaultyEndpoint(
        name="304 to a POST",
        check="other_headers_and_queries_are_ignored",
        breaks="status",
        server=lambda: when(
            lambda request: bool(request.values("if-modified-since")),
            lambda request, answer: EndpointAnswer(status=304, media_type=None),
        ),
    ),
    FaultyEndpoint(
        name="cookies above 1,000 bytes rejected",
        check="other_headers_and_queries_are_ignored",
        breaks="object-accepted",
        server=lambda: when(
            lambda request: any(len(value) > 1000 for value in request.values("cookie")),
            lambda request, answer: error(400, "client_error"),
        ),
    ),
    FaultyEndpoint(
        name="Expect in place of a key",
        check="other_headers_do_not_bypass_authentication",
        breaks="authentication-required",
        server=lambda: when(
            lambda request: not request.authorized and bool(request.values("expect")) and is_object(request.body),
            lambda request, answer: EndpointAnswer(status=200, body=request.body),
        ),
    ),
)

FAULTS = (*HEADER_FIELDS, *RECOVERY, *SHARED_STATE, *SIZES, *GATEWAYS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_by_the_check_of_its_kind_alone(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """The check reports the fault for its clause, and no other clause."""
    with serve(fault.server(), handler=fault.handler) as url:
        result = run_suite(url, checks=[CHECKS[fault.check]], **fault.options)

    assert {fault.breaks} == result.clauses, result.lines


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
