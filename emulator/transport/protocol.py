"""
HTTP/1.1 on one connection: bytes in, decisions asked for, bytes out. The only file that knows HTTP's framing.

Requests are decided as they arrive, each waits its own service time, and they are answered in the order they came
(RFC 9112 §9.3.2).
"""

from __future__ import annotations

import re
from collections import deque
from functools import partial
from http import HTTPStatus
from time import CLOCK_REALTIME, clock_gettime, monotonic

import httptools

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer

from ..behaviour.request import ReceivedRequest
from ..chain.replica import ChainCall
from ..decision import ChainRequest, Decision
from .connection import TcpConnection
from .server_state import ServerState

HEAD_LIMIT = 1 << 16
"""Bytes of request line and header fields."""
MAX_PIPELINED = 64
"""Requests of one connection that wait at once; beyond them nothing more is read."""
IDLE_TIMEOUT: Seconds = 60.0
"""After this long without a byte or a waiting request a connection is closed, as Baseten's gateway does."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_VERSIONS = ("1.0", "1.1")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-fv:.]+\])(?::[0-9]*)?")
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class PendingAnswer:
    """
    A request that waits for its answer, or an interim answer in its place among them.
    """

    __slots__ = (
        "call",
        "close",
        "decision",
        "first_byte_at",
        "kernel_timestamp",
        "last_byte_at",
        "method",
        "path",
        "ready",
        "request",
    )

    def __init__(
        self, *, method: bytes, path: bytes, first_byte_at: Seconds, last_byte_at: Seconds, kernel_timestamp: bool
    ) -> None:
        self.method = method
        self.path = path
        self.first_byte_at = first_byte_at
        self.last_byte_at = last_byte_at
        self.kernel_timestamp = kernel_timestamp
        self.decision: Decision | None = None
        """None for `100 Continue`, and until the chain has answered."""
        self.call: ChainCall | None = None
        self.request: ReceivedRequest | None = None
        """None where there was none to decide: `100 Continue`, and what is no request."""
        self.close = False
        self.ready = False


class _Incoming:
    """
    A request on its way in.
    """

    __slots__ = ("chunks", "first_byte_at", "headers", "http_1_0", "length", "method", "target")

    def __init__(self, first_byte_at: Seconds) -> None:
        self.first_byte_at = first_byte_at
        self.method = b""
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.length = 0
        self.http_1_0 = False

    def request(self, *, body: bytes = b"", length: int) -> ReceivedRequest:
        """What has come, as a request."""
        return ReceivedRequest(
            method=self.method, target=self.target, headers=tuple(self.headers), body=body, length=length
        )


class HttpProtocol:
    """
    The server's side of one connection.
    """

    def __init__(self, connection: TcpConnection, site: ServerState, number: int) -> None:
        self._connection = connection
        self._site = site
        self._number = number
        self._turns: deque[PendingAnswer] = deque()
        """The requests that wait, in the order they came."""
        self._deaf = False
        """Whether the last request of this connection has come: nothing behind it counts."""
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._incoming = _Incoming(0.0)
        self._in_head = False
        """Whether the head of a request has begun and is not whole."""
        self._head_so_far = 0
        self._upgrade = False
        self._seen = monotonic()
        self._idle = site.loop.call_later(IDLE_TIMEOUT, self._check_idle)

    # ------------------------------------------------------------------ what the connection tells

    def data_received(self, data: memoryview) -> None:
        """Feed the parser; whatever it refuses is answered 400."""
        if self._deaf or self._parser is None:
            return
        self._seen = monotonic()
        before = self._incoming
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            self._connection.abort()
            raise  # our own error, which the server reports
        except httptools.HttpParserError as wrong:
            self._malformed(f"Expected an HTTP/1.1 request: {wrong}.")
        # Exact counting waits for the whole head; this bounds what a head without end can make us hold.
        self._head_so_far = self._head_so_far + len(data) if self._in_head and self._incoming is before else 0
        if self._head_so_far > HEAD_LIMIT:
            self._malformed(_TOO_LONG)

    def eof_received(self) -> None:
        """Take whoever closes its end to have left, as gateways do: nothing tells a half-closed connection apart."""
        self._connection.abort()

    def connection_lost(self) -> None:
        """Drop what waits; nobody is there to read it."""
        self._deaf = True
        self._parser = None  # the parser refers back to us
        for pending in self._turns:
            if pending.call is not None:
                pending.call.abandon()
        self._turns.clear()
        self._idle.cancel()
        self._site.remove_connection(self)

    def abort(self) -> None:
        """End the connection at once."""
        self._connection.abort()

    # ------------------------------------------------------------------ what the parser tells

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        self._incoming = _Incoming(self._connection.received_at)
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._incoming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field; or a trailer field, which nothing here may depend on (RFC 9110 §6.5.1)."""
        if self._in_head:
            self._incoming.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is whole: what can be refused without the body is refused before it is read."""
        assert self._parser is not None
        self._in_head = False
        incoming = self._incoming
        incoming.method = self._parser.get_method()
        self._upgrade = self._parser.should_upgrade() and incoming.method != b"CONNECT"
        if self._deaf or self._upgrade:
            return
        version = self._parser.get_http_version()
        incoming.http_1_0 = version == "1.0"
        wrong = _wrong_head(incoming, version)
        if wrong:
            self._malformed(wrong)
            return
        request = incoming.request(length=_declared_length(incoming.headers))
        if request.length > self._site.config.scenario.max_body_bytes:
            self._decide(request, close=True)
        elif not incoming.http_1_0 and _expects_continue(incoming.headers):
            if self._site.rejects_head(request):
                self._decide(request, close=True)
            else:
                self._interim()

    def on_body(self, body: bytes) -> None:
        """A part of the body; never more of it is kept than the limit."""
        if self._deaf:
            return
        incoming = self._incoming
        incoming.length += len(body)
        if incoming.length > self._site.config.scenario.max_body_bytes:
            incoming.chunks.clear()
            self._decide(incoming.request(length=incoming.length), close=True)
        else:
            incoming.chunks.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._deaf or self._upgrade or self._parser is None:
            return
        incoming = self._incoming
        body = incoming.chunks[0] if len(incoming.chunks) == 1 else b"".join(incoming.chunks)
        close = incoming.http_1_0 or incoming.method == b"CONNECT" or not self._parser.should_keep_alive()
        self._decide(incoming.request(body=body, length=incoming.length), close=close)

    def _without_upgrade(self, rest: memoryview) -> None:
        """
        Read on as if nobody had asked for another protocol, as a server may (RFC 9110 §7.8).

        The parser stops at such a head and takes what follows for the other protocol: a new one is given the same head
        without the wish.
        """
        if self._deaf:
            return
        before = self._incoming
        fields = [field for field in before.headers if field[0] != b"upgrade"]
        lines = [b"%s %s HTTP/1.1" % (before.method, before.target), *(b"%s: %s" % field for field in fields), b"", b""]
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"\r\n".join(lines))
        self._incoming.first_byte_at = before.first_byte_at
        if rest:
            self.data_received(rest)

    # ------------------------------------------------------------------ answers

    def _decide(self, request: ReceivedRequest, *, close: bool) -> None:
        """
        Have a request decided, and its answer sent when it is due.
        """
        pending = self._turn(request.method, request.path)
        pending.close = self._deaf = close
        pending.request = request
        decision = self._decided(request)
        self._turns.append(pending)
        if len(self._turns) >= MAX_PIPELINED:
            self._connection.pause()
        if isinstance(decision, ChainRequest):
            pending.call = self._site.forward(decision, partial(self._answered, pending))
            return
        pending.decision = decision
        # The service time counts from when the kernel had the request, not from when we came to read it.
        read_late = min(max(clock_gettime(CLOCK_REALTIME) - pending.last_byte_at, 0.0), decision.service_time)
        now = monotonic()
        due = now + decision.service_time - read_late
        if due <= now:
            self._ready(pending)
        else:
            self._site.timers.call_at(due, partial(self._ready, pending))

    def _decided(self, request: ReceivedRequest) -> Decision | ChainRequest:
        """
        What is said to a whole request, or that the chain is to say it.
        """
        return self._site.decide(request)

    def _answered(self, pending: PendingAnswer, decision: Decision) -> None:
        """
        The chain has answered.
        """
        pending.decision = decision
        self._ready(pending)

    def _malformed(self, why: str) -> None:
        """
        Answer what is no request, behind those that were, and hear no more: where the next begins is unknown.
        """
        if self._deaf:
            return
        self._deaf = True
        pending = self._turn(self._incoming.method, b"")
        pending.close = True
        pending.decision = self._site.decide_malformed(why)
        self._turns.append(pending)
        self._ready(pending)

    def _interim(self) -> None:
        """
        Ask for the body, in turn.
        """
        pending = self._turn(self._incoming.method, b"")
        self._turns.append(pending)
        self._ready(pending)

    def _turn(self, method: bytes, path: bytes) -> PendingAnswer:
        """
        A place among those who wait, with the instants of the request.
        """
        connection = self._connection
        first_byte_at = self._incoming.first_byte_at or connection.received_at
        return PendingAnswer(
            method=method,
            path=path,
            first_byte_at=first_byte_at,
            last_byte_at=connection.received_at,
            kernel_timestamp=connection.kernel_timestamp,
        )

    def _ready(self, pending: PendingAnswer) -> None:
        """
        Send whatever is due at the head of the queue.
        """
        pending.ready = True
        turns = self._turns
        while turns and turns[0].ready:
            self._send(turns.popleft())
        if len(turns) < MAX_PIPELINED:
            self._connection.resume()

    def _send(self, pending: PendingAnswer) -> None:
        """
        Put one answer on the wire.
        """
        self._seen = monotonic()
        if pending.decision is None:
            self._connection.send(_CONTINUE)
            return
        wire = serialize_answer(
            pending.decision.answer, self._site.date(), close=pending.close, bodiless=pending.method == b"HEAD"
        )
        self._connection.send(wire, partial(self._sent, pending) if self._site.access_log.enabled else None)
        if pending.close:
            self._connection.close()

    def _sent(self, pending: PendingAnswer, sent: Seconds) -> None:
        """
        Tell the truth about an answer.
        """
        decision = pending.decision
        assert decision is not None
        self._site.access_log.record(
            {
                "number": decision.number,
                "connection": self._number,
                "method": pending.method.decode("latin-1"),
                "path": pending.path.decode("latin-1"),
                "received_first_s": pending.first_byte_at,
                "received_s": pending.last_byte_at,
                "kernel_timestamp": pending.kernel_timestamp,
                "sent_s": sent,
                "status": decision.answer.status,
                "error_code": decision.error_code,
                "request_id": decision.answer.request_id,
                "service_time_s": decision.service_time,
            }
        )

    def _check_idle(self) -> None:
        """
        Close a connection on which nothing has happened for long, or look again when that could be.
        """
        left = self._seen + IDLE_TIMEOUT - monotonic()
        if left <= 0 and not self._turns:
            self._connection.abort()
        else:
            self._idle = self._site.loop.call_later(max(left, 1.0), self._check_idle)


_TOO_LONG = f"Expected at most {HEAD_LIMIT} bytes of request line and header fields."


def serialize_answer(answer: Answer, date: str, *, close: bool = False, bodiless: bool = False) -> bytes:
    """
    An answer as it goes over the wire.
    """
    fields = "".join([f"{name}: {value}\r\n" for name, value in answer.headers])
    line = _STATUS_LINES.get(answer.status) or f"HTTP/1.1 {answer.status} \r\n"
    connection = "Connection: close\r\n" if close else ""
    head = f"{line}{fields}Content-Length: {len(answer.body)}\r\nDate: {date}\r\n{connection}\r\n".encode("latin-1")
    return head if bodiless else head + answer.body


def _wrong_head(incoming: _Incoming, version: str) -> str | None:
    """
    What is wrong with a head that the parser let pass, if anything.
    """
    if version not in _VERSIONS:
        return "Expected HTTP/1.1."
    headers = incoming.headers
    if len(incoming.target) + sum([len(name) + len(value) + 4 for name, value in headers]) > HEAD_LIMIT:
        return _TOO_LONG
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1") or not all(map(_HOST.fullmatch, hosts)):
        return "Expected one valid Host header."
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (version == "1.0" or codings != [b"chunked"]):
        return "Expected no Transfer-Encoding but chunked, and that in HTTP/1.1 alone."
    return None


def _declared_length(headers: list[tuple[bytes, bytes]]) -> int:
    """
    What Content-Length says; 0 without one. The parser has refused all but plain numbers.
    """
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def _expects_continue(headers: list[tuple[bytes, bytes]]) -> bool:
    """
    Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    """
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)
