"""
Faults of the wire: an answer that is no whole HTTP message, and a connection that is not what the answers say of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from chainproof.contract.clauses import (
    CONNECTION_PERSISTENCE,
    REQUEST_ANSWERED,
    RESPONSE_FRAMING,
    SINGLETON_FIELDS,
)

from .fault import FaultRegistrar, FaultStage
from .hooks import ConnectionEnd, OutgoingAnswer, SendHook, Step, head_from_lines, without_lines

_at = FaultRegistrar(stage=FaultStage.FRAMING)

Lines = Callable[[list[bytes], OutgoingAnswer], list[bytes]]


def _heads(change: Lines, *statuses: int) -> SendHook:
    """
    Answers with the lines of their heads changed; those of other statuses are honest.
    """

    def send(outgoing: OutgoingAnswer) -> Iterator[Step]:
        if outgoing.answer is None or (statuses and outgoing.status not in statuses):
            yield outgoing.wire
        else:
            yield head_from_lines(change(outgoing.lines(), outgoing)) + outgoing.body

    return send


def _length(lines: list[bytes], length: bytes) -> list[bytes]:
    """
    The lines with another Content-Length.
    """
    return [*without_lines(lines, b"content-length"), b"Content-Length: " + length]


def _chunked(outgoing: OutgoingAnswer, *chunks: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """
    An answer in chunks that are given as they are.
    """
    lines = without_lines(outgoing.lines(), b"content-length")
    lines[0] = version + lines[0][8:]
    return head_from_lines([*lines, b"Transfer-Encoding: chunked"]) + b"".join(chunks)


def _whole(body: bytes) -> bytes:
    """
    A body as one chunk.
    """
    return b"%x\r\n%s\r\n" % (len(body), body)


def _bodied(outgoing: OutgoingAnswer) -> bool:
    """
    Whether an answer has a body that can be reframed.
    """
    return outgoing.answer is not None and bool(outgoing.body) and outgoing.status not in (204, 304)


def _chunks(*made: Callable[[bytes], bytes]) -> SendHook:
    """
    Answers in chunks, each a function of the body.
    """

    def send(outgoing: OutgoingAnswer) -> Iterator[Step]:
        yield _chunked(outgoing, *(one(outgoing.body) for one in made)) if _bodied(outgoing) else outgoing.wire

    return send


_END = b"0\r\n\r\n"

for _name, _words, _send in (
    (
        "length-short",
        "Content-Length is a byte too short.",
        _heads(lambda lines, outgoing: _length(lines, b"%d" % max(len(outgoing.body) - 1, 0))),
    ),
    (
        "length-in-characters",
        "Content-Length counts characters, not bytes.",
        _heads(lambda lines, outgoing: _length(lines, b"%d" % len(outgoing.body.decode("utf-8", "replace")))),
    ),
    (
        "length-and-chunked",
        "An answer in chunks has a Content-Length too.",
        lambda outgoing: iter(
            [
                head_from_lines([*outgoing.lines(), b"Transfer-Encoding: chunked"]) + _whole(outgoing.body) + _END
                if _bodied(outgoing)
                else outgoing.wire
            ]
        ),
    ),
    (
        "chunk-size-wrong",
        "A chunk's size is too large by one.",
        _chunks(lambda body: b"%x\r\n%s\r\n" % (len(body) + 1, body), lambda _: _END),
    ),
    (
        "chunk-size-decimal",
        "A chunk's size is a decimal number.",
        _chunks(lambda body: b"%d\r\n%s\r\n" % (len(body) + 16, body + b" " * 16), lambda _: _END),
    ),
    (
        "bytes-after-body",
        "Two bytes stand behind the body.",
        lambda outgoing: iter([outgoing.wire + (b"{}" if outgoing.answer else b"")]),
    ),
    (
        "bare-line-feeds",
        "Lines of the head end with LF alone.",
        lambda outgoing: iter(
            [(outgoing.head.replace(b"\r\n", b"\n") if outgoing.answer else outgoing.head) + outgoing.body]
        ),
    ),
    (
        "folded-field",
        "A field is folded over two lines.",
        _heads(lambda lines, _: [*lines, b"X-Note: one,", b" two"]),
    ),
    ("nul-in-head", "A zero byte stands in a field.", _heads(lambda lines, _: [*lines, b"X-Note: o\0ne"])),
    (
        "status-code-missing",
        "The status line has no number.",
        _heads(lambda lines, _: [b"HTTP/1.1 OK", *lines[1:]], 200),
    ),
    (
        "length-hexadecimal",
        "Content-Length is a hexadecimal number.",
        _heads(lambda lines, outgoing: _length(lines, b"0x%x" % len(outgoing.body))),
    ),
    (
        "lengths-differ",
        "There are two Content-Lengths that differ.",
        _heads(lambda lines, outgoing: [*lines, b"Content-Length: %d" % (len(outgoing.body) + 1)]),
    ),
    (
        "transfer-coding-unknown",
        "Transfer-Encoding is `gzip`, and the body is neither that nor in chunks.",
        _heads(lambda lines, _: [*without_lines(lines, b"content-length"), b"Transfer-Encoding: gzip"]),
    ),
):
    _at.add_send(_name, _words, _send, RESPONSE_FRAMING)


@_at.on_send(RESPONSE_FRAMING)
def length_long(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Content-Length is a byte too long, and the connection ends there."""
    if outgoing.answer is None:
        yield outgoing.wire
        return
    yield head_from_lines(_length(outgoing.lines(), b"%d" % (len(outgoing.body) + 1))) + outgoing.body
    yield ConnectionEnd.CLOSE


@_at.on_send(RESPONSE_FRAMING)
def no_last_chunk(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """An answer in chunks ends without the last one."""
    if not _bodied(outgoing):
        yield outgoing.wire
        return
    yield _chunked(outgoing, _whole(outgoing.body))
    yield ConnectionEnd.CLOSE


@_at.on_send(RESPONSE_FRAMING)
def truncated_when_large(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answers of more than 4 KiB end half-way."""
    if len(outgoing.body) <= 4096:
        yield outgoing.wire
        return
    yield outgoing.wire[: len(outgoing.wire) // 2]
    yield ConnectionEnd.CLOSE


@_at.on_send(RESPONSE_FRAMING)
def truncated_now_and_then(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Every 30th answer ends in the middle of its body."""
    if not _bodied(outgoing) or not outgoing.memory.every_nth(30, "answers"):
        yield outgoing.wire
        return
    yield outgoing.wire[:-1]
    yield ConnectionEnd.CLOSE


@_at.on_send(RESPONSE_FRAMING)
def head_with_body(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """The answer to HEAD has a body."""
    head = outgoing.request is not None and outgoing.request.method == b"HEAD" and outgoing.answer is not None
    yield outgoing.wire + (outgoing.answer.body if head and outgoing.answer else b"")


@_at.on_send(RESPONSE_FRAMING)
def answer_twice(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """An error is sent twice: by the check, and by whoever called it."""
    yield outgoing.wire * (2 if outgoing.status in (400, 401) else 1)


@_at.on_send(RESPONSE_FRAMING)
def chunked_to_http_1_0(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answers are in chunks, also to a client of HTTP/1.0, which cannot read them."""
    yield _chunked(outgoing, _whole(outgoing.body), _END) if _bodied(outgoing) else outgoing.wire


@_at.on_send(REQUEST_ANSWERED)
def no_length_and_no_close(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Neither length nor chunks tell where an answer ends, and the connection stays open."""
    yield (
        outgoing.wire
        if outgoing.answer is None
        else head_from_lines(without_lines(outgoing.lines(), b"content-length")) + outgoing.body
    )
    if outgoing.answer is not None:
        yield ConnectionEnd.KEEP_OPEN


@_at.on_send(CONNECTION_PERSISTENCE)
def closes_unannounced(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """The connection is closed behind every answer, without a word."""
    yield outgoing.wire
    if outgoing.answer is not None:
        yield ConnectionEnd.CLOSE


@_at.on_send(CONNECTION_PERSISTENCE)
def close_announced_not_done(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Where the client asks for it, Connection: close is said and not done."""
    yield outgoing.wire
    if outgoing.close:
        yield ConnectionEnd.KEEP_OPEN


@_at.on_send(CONNECTION_PERSISTENCE)
def close_always_announced(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Connection: close is said with every answer, and the connection goes on."""
    if outgoing.answer is None or outgoing.close:
        yield outgoing.wire
    else:
        yield head_from_lines([*outgoing.lines(), b"Connection: close"]) + outgoing.body


@_at.on_send(CONNECTION_PERSISTENCE)
def close_ignored(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Connection: close is not heard: nothing is said, and the connection stays open."""
    yield (
        head_from_lines(without_lines(outgoing.lines(), b"connection")) + outgoing.body
        if outgoing.answer
        else outgoing.wire
    )
    if outgoing.close:
        yield ConnectionEnd.KEEP_OPEN


@_at.on_send(SINGLETON_FIELDS)
def length_twice(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Content-Length stands there twice, with one value."""
    if outgoing.answer is None:
        yield outgoing.wire
    else:
        yield head_from_lines([*outgoing.lines(), b"Content-Length: %d" % len(outgoing.body)]) + outgoing.body


@_at.on_send(RESPONSE_FRAMING)
def continue_after_answer(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """`100 Continue` is sent behind the answer to a request that asked for it."""
    expects = outgoing.request is not None and outgoing.request.fields(b"expect")
    if outgoing.answer is not None:
        yield outgoing.wire + (b"HTTP/1.1 100 Continue\r\n\r\n" if expects else b"")
    else:
        yield outgoing.wire


@_at.on_send(REQUEST_ANSWERED)
def reset_instead_of_400(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """What is malformed is not answered: the connection is reset."""
    if outgoing.status == 400:
        yield ConnectionEnd.RESET
    yield outgoing.wire


@_at.on_send(REQUEST_ANSWERED)
def closes_on_large_body(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """A large body is not answered: the connection is closed."""
    if outgoing.request is not None and len(outgoing.request.body) > 100_000:
        yield ConnectionEnd.CLOSE
    yield outgoing.wire


@_at.on_send(REQUEST_ANSWERED)
def reset_now_and_then(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Every 40th answer is a reset."""
    if outgoing.answer is not None and outgoing.memory.every_nth(40, "answers"):
        yield ConnectionEnd.RESET
    yield outgoing.wire


@_at.on_send(REQUEST_ANSWERED)
def crashes_on_deep_nesting(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Very deep nesting ends the worker: the connection is closed without an answer."""
    if outgoing.request is not None and outgoing.request.body.count(b"[") + outgoing.request.body.count(b"{") > 1000:
        yield ConnectionEnd.CLOSE
    yield outgoing.wire


@_at.on_read(CONNECTION_PERSISTENCE)
def rejected_body_is_next_request(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # as every reading bend
    """Who has no key is refused before the body is read, and the body is taken for the next request."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not begins or not blank or b"\r\nauthorization:" in head.lower():
        return data
    return re.sub(rb"(?i)\r\ncontent-length:[^\r]*", b"\r\nContent-Length: 0", head) + blank + rest
