"""Framing faults: answers that are not complete HTTP messages, and connections closed or kept open against the headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from chainproof.contract.clauses import CONNECTION_PERSISTENCE, REQUEST_ANSWERED, RESPONSE_FRAMING, SINGLETON_FIELDS

from .fault import FaultRegistrar, FaultStage
from .hooks import ConnectionEnd, OutgoingAnswer, SendHook, Step, head_from_lines, without_lines

_faults = FaultRegistrar(stage=FaultStage.FRAMING)

HeadChange = Callable[[list[bytes], OutgoingAnswer], list[bytes]]


def _changed_head(change: HeadChange, *statuses: int) -> SendHook:
    """A hook that changes the head lines of answers with these statuses; without statuses, of all answers."""

    def send(outgoing: OutgoingAnswer) -> Iterator[Step]:
        if outgoing.answer is None or (statuses and outgoing.status not in statuses):
            yield outgoing.wire
        else:
            yield head_from_lines(change(outgoing.lines(), outgoing)) + outgoing.body

    return send


def _with_length(lines: list[bytes], length: bytes) -> list[bytes]:
    """The lines with another Content-Length."""
    return [*without_lines(lines, b"content-length"), b"Content-Length: " + length]


def _chunked(outgoing: OutgoingAnswer, *chunks: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """The answer with Transfer-Encoding: chunked and these chunks, written as given."""
    lines = without_lines(outgoing.lines(), b"content-length")
    lines[0] = version + lines[0][8:]
    return head_from_lines([*lines, b"Transfer-Encoding: chunked"]) + b"".join(chunks)


def _chunk(body: bytes) -> bytes:
    """A body as one chunk."""
    return b"%x\r\n%s\r\n" % (len(body), body)


def _has_body(outgoing: OutgoingAnswer) -> bool:
    """Whether an answer has a body that can be framed in another way."""
    return outgoing.answer is not None and bool(outgoing.body) and outgoing.status not in (204, 304)


def _chunks(*parts: Callable[[bytes], bytes]) -> SendHook:
    """A hook that sends chunked answers; each part is a function of the body."""

    def send(outgoing: OutgoingAnswer) -> Iterator[Step]:
        yield _chunked(outgoing, *(part(outgoing.body) for part in parts)) if _has_body(outgoing) else outgoing.wire

    return send


_LAST_CHUNK = b"0\r\n\r\n"

for _name, _description, _send in (
    (
        "length-short",
        "Content-Length is one byte too short.",
        _changed_head(lambda lines, outgoing: _with_length(lines, b"%d" % max(len(outgoing.body) - 1, 0))),
    ),
    (
        "length-in-characters",
        "Content-Length counts characters instead of bytes.",
        _changed_head(
            lambda lines, outgoing: _with_length(lines, b"%d" % len(outgoing.body.decode("utf-8", "replace")))
        ),
    ),
    (
        "length-and-chunked",
        "Chunked answers also have a Content-Length.",
        lambda outgoing: iter(
            [
                head_from_lines([*outgoing.lines(), b"Transfer-Encoding: chunked"])
                + _chunk(outgoing.body)
                + _LAST_CHUNK
                if _has_body(outgoing)
                else outgoing.wire
            ]
        ),
    ),
    (
        "chunk-size-wrong",
        "The chunk size is one byte too large.",
        _chunks(lambda body: b"%x\r\n%s\r\n" % (len(body) + 1, body), lambda _: _LAST_CHUNK),
    ),
    (
        "chunk-size-decimal",
        "The chunk size is written in decimal.",
        _chunks(lambda body: b"%d\r\n%s\r\n" % (len(body) + 16, body + b" " * 16), lambda _: _LAST_CHUNK),
    ),
    (
        "bytes-after-body",
        "Two extra bytes follow the body.",
        lambda outgoing: iter([outgoing.wire + (b"{}" if outgoing.answer else b"")]),
    ),
    (
        "bare-line-feeds",
        "Header lines end with LF instead of CRLF.",
        lambda outgoing: iter(
            [(outgoing.head.replace(b"\r\n", b"\n") if outgoing.answer else outgoing.head) + outgoing.body]
        ),
    ),
    (
        "folded-field",
        "A header field is folded over two lines.",
        _changed_head(lambda lines, _: [*lines, b"X-Note: one,", b" two"]),
    ),
    ("nul-in-head", "A header value contains a NUL byte.", _changed_head(lambda lines, _: [*lines, b"X-Note: o\0ne"])),
    (
        "status-code-missing",
        "The status line of a 200 has no status code.",
        _changed_head(lambda lines, _: [b"HTTP/1.1 OK", *lines[1:]], 200),
    ),
    (
        "length-hexadecimal",
        "Content-Length is written in hexadecimal.",
        _changed_head(lambda lines, outgoing: _with_length(lines, b"0x%x" % len(outgoing.body))),
    ),
    (
        "lengths-differ",
        "There are two different Content-Length headers.",
        _changed_head(lambda lines, outgoing: [*lines, b"Content-Length: %d" % (len(outgoing.body) + 1)]),
    ),
    (
        "transfer-coding-unknown",
        "Transfer-Encoding is `gzip`, but the body is neither compressed nor chunked.",
        _changed_head(lambda lines, _: [*without_lines(lines, b"content-length"), b"Transfer-Encoding: gzip"]),
    ),
):
    _faults.add_send(_name, _description, _send, RESPONSE_FRAMING)


@_faults.on_send(RESPONSE_FRAMING)
def length_long(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Content-Length is one byte too long, and the connection closes before that byte."""
    if outgoing.answer is None:
        yield outgoing.wire
        return
    yield head_from_lines(_with_length(outgoing.lines(), b"%d" % (len(outgoing.body) + 1))) + outgoing.body
    yield ConnectionEnd.CLOSE


@_faults.on_send(RESPONSE_FRAMING)
def no_last_chunk(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Chunked answers end without the last chunk."""
    if not _has_body(outgoing):
        yield outgoing.wire
        return
    yield _chunked(outgoing, _chunk(outgoing.body))
    yield ConnectionEnd.CLOSE


@_faults.on_send(RESPONSE_FRAMING)
def truncated_when_large(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answers above 4 KiB are cut off half-way."""
    if len(outgoing.body) <= 4096:
        yield outgoing.wire
        return
    yield outgoing.wire[: len(outgoing.wire) // 2]
    yield ConnectionEnd.CLOSE


@_faults.on_send(RESPONSE_FRAMING)
def truncated_now_and_then(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Every 30th answer lacks its last byte."""
    if not _has_body(outgoing) or not outgoing.memory.every_nth(30, "answers"):
        yield outgoing.wire
        return
    yield outgoing.wire[:-1]
    yield ConnectionEnd.CLOSE


@_faults.on_send(RESPONSE_FRAMING)
def head_with_body(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answers to HEAD have a body."""
    head = outgoing.request is not None and outgoing.request.method == b"HEAD" and outgoing.answer is not None
    yield outgoing.wire + (outgoing.answer.body if head and outgoing.answer else b"")


@_faults.on_send(RESPONSE_FRAMING)
def answer_twice(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Errors 400 and 401 are sent twice."""
    yield outgoing.wire * (2 if outgoing.status in (400, 401) else 1)


@_faults.on_send(RESPONSE_FRAMING)
def chunked_to_http_1_0(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answers are chunked, even for HTTP/1.0 clients."""
    yield _chunked(outgoing, _chunk(outgoing.body), _LAST_CHUNK) if _has_body(outgoing) else outgoing.wire


@_faults.on_send(REQUEST_ANSWERED)
def no_length_and_no_close(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answers have neither Content-Length nor chunks, and the connection stays open."""
    yield (
        outgoing.wire
        if outgoing.answer is None
        else head_from_lines(without_lines(outgoing.lines(), b"content-length")) + outgoing.body
    )
    if outgoing.answer is not None:
        yield ConnectionEnd.KEEP_OPEN


@_faults.on_send(CONNECTION_PERSISTENCE)
def closes_unannounced(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """The connection closes after every answer without `Connection: close`."""
    yield outgoing.wire
    if outgoing.answer is not None:
        yield ConnectionEnd.CLOSE


@_faults.on_send(CONNECTION_PERSISTENCE)
def close_announced_not_done(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """A requested `Connection: close` is confirmed, but the connection stays open."""
    yield outgoing.wire
    if outgoing.close:
        yield ConnectionEnd.KEEP_OPEN


@_faults.on_send(CONNECTION_PERSISTENCE)
def close_always_announced(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Every answer has `Connection: close`, but the connection stays open."""
    if outgoing.answer is None or outgoing.close:
        yield outgoing.wire
    else:
        yield head_from_lines([*outgoing.lines(), b"Connection: close"]) + outgoing.body


@_faults.on_send(CONNECTION_PERSISTENCE)
def close_ignored(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """A requested `Connection: close` is ignored."""
    yield (
        head_from_lines(without_lines(outgoing.lines(), b"connection")) + outgoing.body
        if outgoing.answer
        else outgoing.wire
    )
    if outgoing.close:
        yield ConnectionEnd.KEEP_OPEN


@_faults.on_send(SINGLETON_FIELDS)
def length_twice(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Content-Length is sent twice with the same value."""
    if outgoing.answer is None:
        yield outgoing.wire
    else:
        yield head_from_lines([*outgoing.lines(), b"Content-Length: %d" % len(outgoing.body)]) + outgoing.body


@_faults.on_send(RESPONSE_FRAMING)
def continue_after_answer(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """`100 Continue` is sent after the final answer."""
    expects = outgoing.request is not None and outgoing.request.fields(b"expect")
    if outgoing.answer is not None:
        yield outgoing.wire + (b"HTTP/1.1 100 Continue\r\n\r\n" if expects else b"")
    else:
        yield outgoing.wire


@_faults.on_send(REQUEST_ANSWERED)
def reset_instead_of_400(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Instead of a 400, the connection is reset."""
    if outgoing.status == 400:
        yield ConnectionEnd.RESET
    yield outgoing.wire


@_faults.on_send(REQUEST_ANSWERED)
def closes_on_large_body(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """For bodies above 100 000 bytes, the connection closes without an answer."""
    if outgoing.request is not None and len(outgoing.request.body) > 100_000:
        yield ConnectionEnd.CLOSE
    yield outgoing.wire


@_faults.on_send(REQUEST_ANSWERED)
def reset_now_and_then(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Instead of every 40th answer, the connection is reset."""
    if outgoing.answer is not None and outgoing.memory.every_nth(40, "answers"):
        yield ConnectionEnd.RESET
    yield outgoing.wire


@_faults.on_send(REQUEST_ANSWERED)
def crashes_on_deep_nesting(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """For bodies with more than 1000 brackets, the connection closes without an answer."""
    if outgoing.request is not None and outgoing.request.body.count(b"[") + outgoing.request.body.count(b"{") > 1000:
        yield ConnectionEnd.CLOSE
    yield outgoing.wire


@_faults.on_read(CONNECTION_PERSISTENCE)
def rejected_body_is_next_request(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # the signature of every ReadHook
    """The body of a request without a key is left unread and parsed as the next request."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not begins or not blank or b"\r\nauthorization:" in head.lower():
        return data
    return re.sub(rb"(?i)\r\ncontent-length:[^\r]*", b"\r\nContent-Length: 0", head) + blank + rest
