"""Serialization: the bytes of answers on the wire."""

from __future__ import annotations

from http import HTTPStatus

from chainproof.contract.answer import Answer

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_BODILESS_STATUSES = (204, 304)


class OutgoingStream:
    """The body of an answer whose length is not known: chunked, or in HTTP/1.0 ended by the end of the connection."""

    __slots__ = ("_chunked", "_unsent", "ended", "started")

    def __init__(self, *, chunked: bool) -> None:
        self._chunked = chunked
        self._unsent: list[bytes] = []
        self.started = False
        """Whether the head was sent."""
        self.ended = False
        """Whether the last chunk has arrived."""

    def add(self, chunk: bytes | None) -> None:
        """Add a chunk that has arrived; None for the end. An empty chunk would end a chunked body, so it is left out."""
        if chunk is None:
            self.ended = True
        elif chunk:
            self._unsent.append(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)

    def take(self) -> bytes:
        """The bytes to send now."""
        data = b"".join(self._unsent)
        self._unsent.clear()
        return data

    def head(self, answer: Answer, date: str, *, close: bool) -> bytes:
        """Status line and header fields."""
        return _head(answer, date, "Transfer-Encoding: chunked\r\n" if self._chunked else "", close=close)

    @property
    def last_chunk(self) -> bytes:
        """The bytes that end the body."""
        return b"0\r\n\r\n" if self._chunked else b""


def serialize_answer(answer: Answer, date: str, *, close: bool = False, bodiless: bool = False) -> bytes:
    """The bytes of an answer of known length."""
    if answer.status in _BODILESS_STATUSES:  # RFC 9110 §8.6 forbids Content-Length in a 204
        return _head(answer, date, "", close=close)
    head = _head(answer, date, f"Content-Length: {len(answer.body)}\r\n", close=close)
    return head if bodiless else head + answer.body


def _head(answer: Answer, date: str, framing: str, *, close: bool) -> bytes:
    """Status line and header fields."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in answer.headers])
    line = _STATUS_LINES.get(answer.status) or f"HTTP/1.1 {answer.status} \r\n"
    connection = "Connection: close\r\n" if close else ""
    return f"{line}{fields}{framing}Date: {date}\r\n{connection}\r\n".encode("latin-1")
