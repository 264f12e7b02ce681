"""
HTTP/1.1 on one connection: parses requests, gets decisions, sends answers. Only this module knows HTTP framing.

Requests are decided as they arrive; each waits its own service time. Answers are sent in the order of the requests
(RFC 9112 §9.3.2).
"""

from __future__ import annotations

import re
from collections import deque
from functools import partial
from time import CLOCK_REALTIME, clock_gettime, monotonic

import httptools

from chainproof.clock import Seconds

from ..behaviour.request import ReceivedRequest
from ..chain.chain_request import ChainRequest
from ..chain.retried_call import RetriedCall
from ..decision import Decision
from .connection import TcpConnection
from .serialization import OutgoingStream, serialize_answer
from .server_state import ServerState

HEAD_LIMIT = 1 << 16
"""Maximum bytes of request line and header fields."""
MAX_PIPELINED = 64
"""Maximum unanswered requests of one connection; reading pauses at this number."""
IDLE_TIMEOUT: Seconds = 60.0
"""Seconds without activity after which a connection is closed, as by Baseten's gateway."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HTTP_VERSIONS = ("1.0", "1.1")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-fv:.]+\])(?::[0-9]*)?")


class PendingAnswer:
    """A request without an answer yet, or a `100 Continue` in the same queue."""

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
        "stream",
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
        self.call: RetriedCall | None = None
        self.request: ReceivedRequest | None = None
        """None for `100 Continue` and for malformed requests."""
        self.close = False
        self.ready = False
        self.stream: OutgoingStream | None = None
        """The body of an answer of unknown length; None for other answers."""


class _IncomingRequest:
    """A request that is being received."""

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
        """The request received so far."""
        return ReceivedRequest(
            method=self.method, target=self.target, headers=tuple(self.headers), body=body, length=length
        )


class HttpProtocol:
    """The server side of one connection."""

    def __init__(self, connection: TcpConnection, server: ServerState, number: int) -> None:
        self._connection = connection
        self._server = server
        self._number = number
        self._pending: deque[PendingAnswer] = deque()
        """Unanswered requests in the order of arrival."""
        self._ended = False
        """Whether the last request of this connection has arrived; later bytes are ignored."""
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._incoming = _IncomingRequest(0.0)
        self._in_head = False
        """Whether a request head has been received in part."""
        self._head_size = 0
        self._upgrade = False
        self._last_activity = monotonic()
        self._idle = server.loop.call_later(IDLE_TIMEOUT, self._check_idle)

    # ------------------------------------------------------------------ connection callbacks

    def data_received(self, data: memoryview) -> None:
        """Feed the parser. Bytes that it rejects are answered 400."""
        if self._ended or self._parser is None:
            return
        self._last_activity = monotonic()
        previous = self._incoming
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            self._connection.abort()
            raise  # an error of the emulator, which the server reports
        except httptools.HttpParserError as error:
            self._malformed(f"Expected an HTTP/1.1 request: {error}.")
        # The exact limit is checked once the head is complete; this bounds the memory of a head that never ends.
        self._head_size = self._head_size + len(data) if self._in_head and self._incoming is previous else 0
        if self._head_size > HEAD_LIMIT:
            self._malformed(_TOO_LONG)

    def eof_received(self) -> None:
        """Abort: like gateways, treat a half-closed connection as a client that left."""
        self._connection.abort()

    def connection_lost(self) -> None:
        """Drop unanswered requests."""
        self._ended = True
        self._parser = None  # breaks the reference cycle with the parser
        for pending in self._pending:
            if pending.call is not None:
                pending.call.abandon()
        self._pending.clear()
        self._idle.cancel()
        self._server.remove_connection(self)

    def abort(self) -> None:
        """End the connection at once."""
        self._connection.abort()

    # ------------------------------------------------------------------ parser callbacks

    def on_message_begin(self) -> None:
        """The first byte of a request has arrived."""
        self._incoming = _IncomingRequest(self._connection.received_at)
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """A part of the request target has arrived."""
        self._incoming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field has arrived; trailer fields are ignored (RFC 9110 §6.5.1)."""
        if self._in_head:
            self._incoming.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is complete. What can be rejected without the body is rejected now."""
        if self._parser is None:  # the connection was lost with the answer to an earlier request of the same bytes
            return
        self._in_head = False
        incoming = self._incoming
        incoming.method = self._parser.get_method()
        self._upgrade = self._parser.should_upgrade() and incoming.method != b"CONNECT"
        if self._ended or self._upgrade:
            return
        version = self._parser.get_http_version()
        incoming.http_1_0 = version == "1.0"
        error = _head_error(incoming, version)
        if error:
            self._malformed(error)
            return
        request = incoming.request(length=_declared_length(incoming.headers))
        if request.length > self._server.config.scenario.max_body_bytes:
            self._decide(request, close=True)
        elif not incoming.http_1_0 and _expects_continue(incoming.headers):
            if self._server.rejects_head(request):
                self._decide(request, close=True)
            else:
                self._send_continue()

    def on_body(self, body: bytes) -> None:
        """A part of the body has arrived. At most `max_body_bytes` are stored."""
        if self._ended:
            return
        incoming = self._incoming
        incoming.length += len(body)
        if incoming.length > self._server.config.scenario.max_body_bytes:
            incoming.chunks.clear()
            self._decide(incoming.request(length=incoming.length), close=True)
        else:
            incoming.chunks.append(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._ended or self._upgrade or self._parser is None:
            return
        incoming = self._incoming
        body = incoming.chunks[0] if len(incoming.chunks) == 1 else b"".join(incoming.chunks)
        close = incoming.http_1_0 or incoming.method == b"CONNECT" or not self._parser.should_keep_alive()
        self._decide(incoming.request(body=body, length=incoming.length), close=close)

    def _ignore_upgrade(self, rest: memoryview) -> None:
        """
        Continue in HTTP/1.1 after a request for another protocol, as a server may (RFC 9110 §7.8).

        The parser stops at such a head and would treat the following bytes as the other protocol. A new parser gets
        the same head without the Upgrade field.
        """
        if self._ended:
            return
        previous = self._incoming
        fields = [field for field in previous.headers if field[0] != b"upgrade"]
        lines = [
            b"%s %s HTTP/1.1" % (previous.method, previous.target),
            *(b"%s: %s" % field for field in fields),
            b"",
            b"",
        ]
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"\r\n".join(lines))
        self._incoming.first_byte_at = previous.first_byte_at
        if rest:
            self.data_received(rest)

    # ------------------------------------------------------------------ answers

    def _decide(self, request: ReceivedRequest, *, close: bool) -> None:
        """Decide a request, and send its answer when it is due."""
        pending = self._new_pending(request.method, request.path)
        pending.close = self._ended = close
        pending.request = request
        decision = self._decision(request)
        self._pending.append(pending)
        if len(self._pending) >= MAX_PIPELINED:
            self._connection.pause()
        if isinstance(decision, ChainRequest):
            answered = partial(self._chain_answered, pending, chunked=not self._incoming.http_1_0)
            pending.call = self._server.forward(decision, answered, partial(self._chunk_arrived, pending))
            return
        pending.decision = decision
        # The service time starts when the kernel received the request, not when the loop read it.
        read_delay = min(max(clock_gettime(CLOCK_REALTIME) - pending.last_byte_at, 0.0), decision.service_time)
        now = monotonic()
        due = now + decision.service_time - read_delay
        if due <= now:
            self._ready(pending)
        else:
            self._server.timers.call_at(due, partial(self._ready, pending))

    def _decision(self, request: ReceivedRequest) -> Decision | ChainRequest:
        """The decision on a complete request, or a request to run the chain. A faulty server changes it."""
        return self._server.decide(request)

    def _chain_answered(self, pending: PendingAnswer, decision: Decision, *, chunked: bool) -> None:
        """Send the answer of the chain."""
        pending.decision = decision
        if decision.streaming:
            pending.stream = OutgoingStream(chunked=chunked)
        self._ready(pending)

    def _chunk_arrived(self, pending: PendingAnswer, chunk: bytes | None) -> None:
        """Send a chunk of a stream, or its end, as soon as the answers before it have been sent."""
        if pending.stream is not None:
            pending.stream.add(chunk)
            self._ready(pending)

    def _malformed(self, why: str) -> None:
        """
        Answer a malformed request after those before it, then ignore further bytes: the next request has no known
        start.
        """
        if self._ended:
            return
        self._ended = True
        pending = self._new_pending(self._incoming.method, b"")
        pending.close = True
        pending.decision = self._server.decide_malformed(why)
        self._pending.append(pending)
        self._ready(pending)

    def _send_continue(self) -> None:
        """Queue `100 Continue`."""
        pending = self._new_pending(self._incoming.method, b"")
        self._pending.append(pending)
        self._ready(pending)

    def _new_pending(self, method: bytes, path: bytes) -> PendingAnswer:
        """A pending answer with the timestamps of the request."""
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
        """Mark an answer as due, and send every due answer at the head of the queue."""
        pending.ready = True
        queue = self._pending
        while queue and queue[0].ready:
            if queue[0].stream is not None and not self._send_stream(queue[0], queue[0].stream):
                return
            self._send(queue.popleft())
        if len(queue) < MAX_PIPELINED:
            self._connection.resume()

    def _send_stream(self, pending: PendingAnswer, stream: OutgoingStream) -> bool:
        """Send what has arrived of a stream; True if it has ended, so that only its end is left to be sent."""
        self._last_activity = monotonic()
        if not stream.started:
            assert pending.decision is not None
            stream.started = True
            self._connection.send(stream.head(pending.decision.answer, self._server.date(), close=pending.close))
        self._connection.send(stream.take())
        return stream.ended

    def _send(self, pending: PendingAnswer) -> None:
        """Send one answer, or the end of a stream."""
        self._last_activity = monotonic()
        if pending.decision is None:
            self._connection.send(_CONTINUE)
            return
        if pending.stream is not None:
            wire = pending.stream.last_chunk
        else:
            wire = serialize_answer(
                pending.decision.answer, self._server.date(), close=pending.close, bodiless=pending.method == b"HEAD"
            )
        self._connection.send(wire, partial(self._sent, pending) if self._server.access_log.enabled else None)
        if pending.close:
            self._connection.close()

    def _sent(self, pending: PendingAnswer, sent: Seconds) -> None:
        """Write an answer to the access log."""
        decision = pending.decision
        assert decision is not None
        self._server.access_log.record(
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
        """Close an idle connection, or schedule the next check."""
        remaining = self._last_activity + IDLE_TIMEOUT - monotonic()
        if remaining <= 0 and not self._pending:
            self._connection.abort()
        else:
            self._idle = self._server.loop.call_later(max(remaining, 1.0), self._check_idle)


_TOO_LONG = f"Expected at most {HEAD_LIMIT} bytes of request line and header fields."


def _head_error(incoming: _IncomingRequest, version: str) -> str | None:
    """An error of a head that the parser accepted; None without one."""
    if version not in _HTTP_VERSIONS:
        return "Expected HTTP/1.1."
    headers = incoming.headers
    if len(incoming.target) + sum([len(name) + len(value) + 4 for name, value in headers]) > HEAD_LIMIT:
        return _TOO_LONG
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1") or not all(map(_HOST.fullmatch, hosts)):
        return "Expected one valid Host header."
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (version == "1.0" or codings != [b"chunked"]):
        return "Expected no Transfer-Encoding other than chunked, and that only in HTTP/1.1."
    return None


def _declared_length(headers: list[tuple[bytes, bytes]]) -> int:
    """The Content-Length; 0 without one. The parser accepts only plain numbers."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def _expects_continue(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1)."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)
