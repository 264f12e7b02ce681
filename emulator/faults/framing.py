"""
Faults of the wire: an answer that is no whole HTTP message, and a connection that is not what the answers say of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from chainproof.contract.clauses import (
    ANSWERS,
    CONNECTION,
    FRAMING,
    SINGLETON_FIELDS,
)

from .fault import Entry, Stage
from .hooks import End, Send, Sending, Step, headed, without_lines

_at = Entry(stage=Stage.FRAMING)

Lines = Callable[[list[bytes], Sending], list[bytes]]


def _heads(change: Lines, *statuses: int) -> Send:
    """
    Answers with the lines of their heads changed; those of other statuses are honest.
    """

    def send(sending: Sending) -> Iterator[Step]:
        if sending.answer is None or (statuses and sending.status not in statuses):
            yield sending.wire
        else:
            yield headed(change(sending.lines(), sending)) + sending.body

    return send


def _length(lines: list[bytes], length: bytes) -> list[bytes]:
    """
    The lines with another Content-Length.
    """
    return [*without_lines(lines, b"content-length"), b"Content-Length: " + length]


def _chunked(sending: Sending, *chunks: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """
    An answer in chunks that are given as they are.
    """
    lines = without_lines(sending.lines(), b"content-length")
    lines[0] = version + lines[0][8:]
    return headed([*lines, b"Transfer-Encoding: chunked"]) + b"".join(chunks)


def _whole(body: bytes) -> bytes:
    """
    A body as one chunk.
    """
    return b"%x\r\n%s\r\n" % (len(body), body)


def _bodied(sending: Sending) -> bool:
    """
    Whether an answer has a body that can be reframed.
    """
    return sending.answer is not None and bool(sending.body) and sending.status not in (204, 304)


def _chunks(*made: Callable[[bytes], bytes]) -> Send:
    """
    Answers in chunks, each a function of the body.
    """

    def send(sending: Sending) -> Iterator[Step]:
        yield _chunked(sending, *(one(sending.body) for one in made)) if _bodied(sending) else sending.wire

    return send


_END = b"0\r\n\r\n"

for _name, _words, _send in (
    (
        "length-short",
        "Content-Length is a byte too short.",
        _heads(lambda lines, sending: _length(lines, b"%d" % max(len(sending.body) - 1, 0))),
    ),
    (
        "length-of-characters",
        "Content-Length counts characters, not bytes.",
        _heads(lambda lines, sending: _length(lines, b"%d" % len(sending.body.decode("utf-8", "replace")))),
    ),
    (
        "length-and-chunks",
        "An answer in chunks has a Content-Length too.",
        lambda sending: iter(
            [
                headed([*sending.lines(), b"Transfer-Encoding: chunked"]) + _whole(sending.body) + _END
                if _bodied(sending)
                else sending.wire
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
        "bytes-behind",
        "Two bytes stand behind the body.",
        lambda sending: iter([sending.wire + (b"{}" if sending.answer else b"")]),
    ),
    (
        "line-feeds-alone",
        "Lines of the head end with LF alone.",
        lambda sending: iter(
            [(sending.head.replace(b"\r\n", b"\n") if sending.answer else sending.head) + sending.body]
        ),
    ),
    (
        "folded-field",
        "A field is folded over two lines.",
        _heads(lambda lines, _: [*lines, b"X-Note: one,", b" two"]),
    ),
    ("zero-in-head", "A zero byte stands in a field.", _heads(lambda lines, _: [*lines, b"X-Note: o\0ne"])),
    (
        "status-line-of-letters",
        "The status line has no number.",
        _heads(lambda lines, _: [b"HTTP/1.1 OK", *lines[1:]], 200),
    ),
    (
        "length-of-letters",
        "Content-Length is a hexadecimal number.",
        _heads(lambda lines, sending: _length(lines, b"0x%x" % len(sending.body))),
    ),
    (
        "lengths-differ",
        "There are two Content-Lengths that differ.",
        _heads(lambda lines, sending: [*lines, b"Content-Length: %d" % (len(sending.body) + 1)]),
    ),
    (
        "coding-unknown",
        "Transfer-Encoding is `gzip`, and the body is neither that nor in chunks.",
        _heads(lambda lines, _: [*without_lines(lines, b"content-length"), b"Transfer-Encoding: gzip"]),
    ),
):
    _at.enter_send(_name, _words, _send, FRAMING)


@_at.sends(FRAMING)
def length_long(sending: Sending) -> Iterator[Step]:
    """Content-Length is a byte too long, and the connection ends there."""
    if sending.answer is None:
        yield sending.wire
        return
    yield headed(_length(sending.lines(), b"%d" % (len(sending.body) + 1))) + sending.body
    yield End.CLOSE


@_at.sends(FRAMING)
def no_last_chunk(sending: Sending) -> Iterator[Step]:
    """An answer in chunks ends without the last one."""
    if not _bodied(sending):
        yield sending.wire
        return
    yield _chunked(sending, _whole(sending.body))
    yield End.CLOSE


@_at.sends(FRAMING)
def cut_in_the_middle(sending: Sending) -> Iterator[Step]:
    """Answers of more than 4 KiB end half-way."""
    if len(sending.body) <= 4096:
        yield sending.wire
        return
    yield sending.wire[: len(sending.wire) // 2]
    yield End.CLOSE


@_at.sends(FRAMING)
def cut_now_and_then(sending: Sending) -> Iterator[Step]:
    """Every 30th answer ends in the middle of its body."""
    if not _bodied(sending) or not sending.memory.every(30, "answers"):
        yield sending.wire
        return
    yield sending.wire[:-1]
    yield End.CLOSE


@_at.sends(FRAMING)
def body_on_head(sending: Sending) -> Iterator[Step]:
    """The answer to HEAD has a body."""
    head = sending.request is not None and sending.request.method == b"HEAD" and sending.answer is not None
    yield sending.wire + (sending.answer.body if head and sending.answer else b"")


@_at.sends(FRAMING)
def answer_twice(sending: Sending) -> Iterator[Step]:
    """An error is sent twice: by the check, and by whoever called it."""
    yield sending.wire * (2 if sending.status in (400, 401) else 1)


@_at.sends(FRAMING)
def chunks_to_http_1_0(sending: Sending) -> Iterator[Step]:
    """Answers are in chunks, also to a client of HTTP/1.0, which cannot read them."""
    yield _chunked(sending, _whole(sending.body), _END) if _bodied(sending) else sending.wire


@_at.sends(ANSWERS)
def no_end_told(sending: Sending) -> Iterator[Step]:
    """Neither length nor chunks tell where an answer ends, and the connection stays open."""
    yield (
        sending.wire
        if sending.answer is None
        else headed(without_lines(sending.lines(), b"content-length")) + sending.body
    )
    if sending.answer is not None:
        yield End.STAY


@_at.sends(CONNECTION)
def closes_unannounced(sending: Sending) -> Iterator[Step]:
    """The connection is closed behind every answer, without a word."""
    yield sending.wire
    if sending.answer is not None:
        yield End.CLOSE


@_at.sends(CONNECTION)
def close_not_done(sending: Sending) -> Iterator[Step]:
    """Where the client asks for it, Connection: close is said and not done."""
    yield sending.wire
    if sending.close:
        yield End.STAY


@_at.sends(CONNECTION)
def close_always_said(sending: Sending) -> Iterator[Step]:
    """Connection: close is said with every answer, and the connection goes on."""
    if sending.answer is None or sending.close:
        yield sending.wire
    else:
        yield headed([*sending.lines(), b"Connection: close"]) + sending.body


@_at.sends(CONNECTION)
def close_not_heard(sending: Sending) -> Iterator[Step]:
    """Connection: close is not heard: nothing is said, and the connection stays open."""
    yield headed(without_lines(sending.lines(), b"connection")) + sending.body if sending.answer else sending.wire
    if sending.close:
        yield End.STAY


@_at.sends(SINGLETON_FIELDS)
def length_twice(sending: Sending) -> Iterator[Step]:
    """Content-Length stands there twice, with one value."""
    if sending.answer is None:
        yield sending.wire
    else:
        yield headed([*sending.lines(), b"Content-Length: %d" % len(sending.body)]) + sending.body


@_at.sends(FRAMING)
def interim_behind(sending: Sending) -> Iterator[Step]:
    """`100 Continue` is sent behind the answer to a request that asked for it."""
    expects = sending.request is not None and sending.request.fields(b"expect")
    if sending.answer is not None:
        yield sending.wire + (b"HTTP/1.1 100 Continue\r\n\r\n" if expects else b"")
    else:
        yield sending.wire


@_at.sends(ANSWERS)
def reset_in_place_of_400(sending: Sending) -> Iterator[Step]:
    """What is malformed is not answered: the connection is reset."""
    if sending.status == 400:
        yield End.RESET
    yield sending.wire


@_at.sends(ANSWERS)
def closed_in_place_of_large(sending: Sending) -> Iterator[Step]:
    """A large body is not answered: the connection is closed."""
    if sending.request is not None and len(sending.request.body) > 100_000:
        yield End.CLOSE
    yield sending.wire


@_at.sends(ANSWERS)
def reset_now_and_then(sending: Sending) -> Iterator[Step]:
    """Every 40th answer is a reset."""
    if sending.answer is not None and sending.memory.every(40, "answers"):
        yield End.RESET
    yield sending.wire


@_at.sends(ANSWERS)
def crashes_on_deep(sending: Sending) -> Iterator[Step]:
    """Very deep nesting ends the worker: the connection is closed without an answer."""
    if sending.request is not None and sending.request.body.count(b"[") + sending.request.body.count(b"{") > 1000:
        yield End.CLOSE
    yield sending.wire


@_at.reads(CONNECTION)
def refused_body_is_next_request(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # as every reading bend
    """Who has no key is refused before the body is read, and the body is taken for the next request."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not begins or not blank or b"\r\nauthorization:" in head.lower():
        return data
    return re.sub(rb"(?i)\r\ncontent-length:[^\r]*", b"\r\nContent-Length: 0", head) + blank + rest
