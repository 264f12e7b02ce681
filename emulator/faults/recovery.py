"""Recovery faults: after a timeout, an invalid message, an aborted request or a pause, the endpoint does not work as before."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chainproof.contract import http_clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    ANSWER_MATCHES_REQUEST,
    CONNECTION_PERSISTENCE,
    REQUEST_ANSWERED,
    REQUEST_ISOLATION,
    RESPONSE_FRAMING,
)

from .fault import FaultRegistrar, FaultStage
from .hooks import (
    ConnectionEnd,
    FaultHook,
    Memory,
    OutgoingAnswer,
    RequestContext,
    Step,
    error,
    head_from_lines,
    with_body,
    with_field,
    without_lines,
)

_faults = FaultRegistrar(stage=FaultStage.STATE)

# ------------------------------------------------------------------ late answers


def _late_output(outgoing: OutgoingAnswer) -> bytes:
    """The output that an echo chain returns for a request after the gateway has answered 504."""
    body = outgoing.request.body if outgoing.request is not None else b""
    outgoing.memory.count["late"] += 1
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-BASETEN-REQUEST-ID: late%d\r\nContent-Length: %d\r\n\r\n%s"
        % (outgoing.memory.count["late"], len(body), body)
    )


@_faults.on_send(ANSWER_MATCHES_REQUEST, RESPONSE_FRAMING)
def late_answer_on_connection(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """After a 504 the output of the chain is sent on the same connection, as soon as it is there."""
    yield outgoing.wire
    if outgoing.status == 504 and not outgoing.close:
        yield 0.15
        yield _late_output(outgoing)


@_faults.on_send(ANSWER_MATCHES_REQUEST, RESPONSE_FRAMING)
def late_answer_before_next(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """After a 504 the output of the chain is sent before the answer to the next request of the connection."""
    late = outgoing.connection.answers.pop(b"late", None)
    yield (late.body if late is not None else b"") + outgoing.wire
    if outgoing.status == 504:
        outgoing.connection.answers[b"late"] = Answer(status=200, headers=(), body=_late_output(outgoing))


def _late_to_next(context: RequestContext, memory: Memory) -> Answer:
    """The answer to a request, or the output that came too late for an earlier one."""
    answer = context.correct_answer()
    if answer.status == 504:
        memory.answers[b"late"] = context.serve(with_field(context.request, b"x-emulate", None))
    late = memory.answers.pop(b"late", None) if answer.status == 200 else None
    return answer if late is None else with_body(answer, late.body)


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def late_answer_to_next_request(context: RequestContext) -> Answer:
    """The output that came too late for a 504 is the answer to the next request of the connection."""
    return _late_to_next(context, context.connection)


@_faults.on_decide(ANSWER_MATCHES_REQUEST)
def late_answer_to_another_connection(context: RequestContext) -> Answer:
    """The output that came too late for a 504 is the answer to the next request, on whatever connection."""
    return _late_to_next(context, context.memory)


# ------------------------------------------------------------------ connections kept open after invalid framing

_INVALID_LENGTH = re.compile(rb"(?i)\r\ncontent-length:(?![ \t]*[0-9]+[ \t]*(?:\r|$))[^\r]*")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding:[ \t]*chunked")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}(?:[ \t]*;[^\r]*)?\r\n")
_MARK = b"\r\nContent-Length: 0\r\nX-Invalid-Framing: 1"


def _length_read_as_zero(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # the signature of every ReadHook
    """The bytes with a length of 0 in place of an invalid one."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    return _INVALID_LENGTH.sub(_MARK, head, count=1) + blank + rest if begins and blank else data


def _invalid_chunks_skipped(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # the signature of every ReadHook
    """The bytes without a chunked body whose first size is invalid, up to what looks like the next request."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not begins or not rest or not _CHUNKED.search(head) or _CHUNK_SIZE.match(rest):
        return data
    following = rest.find(b"POST ")
    return _CHUNKED.sub(_MARK, head, count=1) + blank + (rest[following:] if following >= 0 else b"")


def _invalid_framing_is_400(context: RequestContext) -> Answer:
    """A 400 for requests that one of these hooks has marked."""
    answer = context.correct_answer()
    return error(answer, 400, "client_error") if context.field(b"x-invalid-framing") else answer


for _name, _description, _read in (
    (
        "open-after-invalid-length",
        "After a 400 for an invalid Content-Length, the bytes behind the head are read as the next request.",
        _length_read_as_zero,
    ),
    (
        "open-after-invalid-chunk",
        "After a 400 for an invalid chunk size, reading goes on at what looks like the next request.",
        _invalid_chunks_skipped,
    ),
):
    _faults.add(
        _name,
        _description,
        FaultHook(read=_read, decide=_invalid_framing_is_400),
        http_clauses.MESSAGE_BOUNDARY,
    )


@_faults.on_read(http_clauses.MESSAGE_BOUNDARY)
def expected_body_is_next_request(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # the signature of every ReadHook
    """The body of a request without a key is left unread after `Expect: 100-continue`, and parsed as the next request."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    lines = head.lower()
    if not begins or not blank or b"\r\nauthorization:" in lines or b"\r\nexpect:" not in lines:
        return data
    unread = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", head)
    return re.sub(rb"(?i)\r\ncontent-length:[^\r]*", b"\r\nContent-Length: 0", unread) + blank + rest


# ------------------------------------------------------------------ HTTP/1.0 with keep-alive


def _is_http_1_0_keep_alive(outgoing: OutgoingAnswer) -> bool:
    """Whether it answers an HTTP/1.0 request that asks to keep the connection open. The emulator closes after HTTP/1.0."""
    if outgoing.answer is None or outgoing.request is None or not outgoing.close:
        return False
    return b"keep-alive" in b",".join(outgoing.request.fields(b"connection")).lower()


def _kept_alive(
    outgoing: OutgoingAnswer,
    *without: bytes,
    added: bytes = b"",
    body: bytes | None = None,
    end: ConnectionEnd = ConnectionEnd.KEEP_OPEN,
) -> Iterator[Step]:
    """An answer that says that the connection stays open, *without* some fields, with an *added* line or another body."""
    if not _is_http_1_0_keep_alive(outgoing):
        yield outgoing.wire
        return
    lines = [*without_lines(outgoing.lines(), b"connection", *without), b"Connection: keep-alive"]
    yield head_from_lines([*lines, added] if added else lines) + (outgoing.body if body is None else body)
    yield end


@_faults.on_send(CONNECTION_PERSISTENCE)
def keep_alive_without_length(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """An HTTP/1.0 request with keep-alive gets an answer without a length, and the connection stays open."""
    return _kept_alive(outgoing, b"content-length")


@_faults.on_send(CONNECTION_PERSISTENCE)
def keep_alive_then_silent(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """After an HTTP/1.0 request with keep-alive the connection stays open, but the next request gets no answer."""
    return _kept_alive(outgoing)


@_faults.on_send(CONNECTION_PERSISTENCE)
def keep_alive_then_closed(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """An HTTP/1.0 request with keep-alive gets `Connection: keep-alive`, and the connection closes."""
    return _kept_alive(outgoing, end=ConnectionEnd.CLOSE)


@_faults.on_send(RESPONSE_FRAMING, CONNECTION_PERSISTENCE)
def keep_alive_with_chunks(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """An HTTP/1.0 request with keep-alive gets a chunked answer."""
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(outgoing.body), outgoing.body)
    return _kept_alive(outgoing, b"content-length", added=b"Transfer-Encoding: chunked", body=chunks)


# ------------------------------------------------------------------ resources that leak


def _leaks_on(status: int, places: int, busy_status: int) -> FaultHook:
    """A hook for an endpoint of which each answer with a status uses up one of its places."""

    def decide(context: RequestContext) -> Answer:
        answer = context.correct_answer()
        context.memory.count["leaked"] += answer.status == status and context.targets_operation()
        used_up = answer.status == 200 and context.memory.count["leaked"] >= places
        code = "rate_limited" if busy_status == 429 else "model_unavailable"
        return error(answer, busy_status, code) if used_up else answer

    return FaultHook(decide=decide)


for _name, _description, _hook in (
    ("leaks-on-400", "After 24 requests answered 400, valid requests are answered 503.", _leaks_on(400, 24, 503)),
    ("leaks-on-401", "After 30 requests answered 401, valid requests are answered 429.", _leaks_on(401, 30, 429)),
    ("leaks-on-502", "After 16 errors of the chain, valid requests are answered 503.", _leaks_on(502, 16, 503)),
):
    _faults.add(_name, _description, _hook, REQUEST_ISOLATION)


def _count_aborted(memory: Memory, body: bytes) -> None:
    """Count an aborted request."""
    del body
    memory.count["aborted"] += 1


def _no_place_after_aborts(context: RequestContext) -> Answer:
    """503 if aborted requests use up every place."""
    answer = context.correct_answer()
    used_up = answer.status == 200 and context.memory.count["aborted"] >= 20
    return error(answer, 503, "model_unavailable") if used_up else answer


_faults.add(
    "leaks-on-abort",
    "After 20 requests that the client aborted, valid requests are answered 503.",
    FaultHook(decide=_no_place_after_aborts, abort=_count_aborted),
    REQUEST_ISOLATION,
)


# ------------------------------------------------------------------ pauses

_IDLE_LIMIT_MS = 2000
"""Idle time, in milliseconds, after which these endpoints fail."""


def _idle_ms(memory: Memory, now_ms: int) -> int:
    """Milliseconds since the previous request."""
    before, memory.count["last_ms"] = memory.count["last_ms"], now_ms
    return now_ms - before if before else 0


@_faults.on_decide(REQUEST_ISOLATION)
def fails_after_pause(context: RequestContext) -> Answer:
    """The first request after two seconds without any is answered 502: the connection to the chain was closed."""
    answer = context.correct_answer()
    idle = _idle_ms(context.memory, int(context.now * 1000)) > _IDLE_LIMIT_MS
    return error(answer, 502, "internal_baseten_error") if answer.status == 200 and idle else answer


@_faults.on_decide(REQUEST_ISOLATION)
def fails_on_idle_connection(context: RequestContext) -> Answer:
    """A request on a connection that was idle for two seconds is answered 400."""
    answer = context.correct_answer()
    idle = _idle_ms(context.connection, int(context.now * 1000)) > _IDLE_LIMIT_MS
    return error(answer, 400, "client_error") if answer.status == 200 and idle else answer


def _note_idle_connection(context: RequestContext) -> Answer:
    """The correct answer; whether the connection was idle is noted."""
    context.connection.count["idle"] = _idle_ms(context.connection, int(context.now * 1000)) > _IDLE_LIMIT_MS
    return context.correct_answer()


def _silent_if_idle(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Send nothing on a connection that was idle."""
    if outgoing.connection.count["idle"]:
        yield ConnectionEnd.KEEP_OPEN
    yield outgoing.wire


_faults.add(
    "silent-on-idle-connection",
    "A request on a connection that was idle for two seconds gets no answer.",
    FaultHook(decide=_note_idle_connection, send=_silent_if_idle),
    REQUEST_ISOLATION,
    REQUEST_ANSWERED,
)
