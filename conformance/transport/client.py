"""Sends requests to one target over connections that are reused, and enforces the rate limit."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from threading import Lock

from chainproof.clock import Seconds, format_duration, monotonic
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.route import Route
from chainproof.contract.target import Target, is_loopback
from chainproof.endpoint import tls_error_text
from chainproof.errors import UsageError
from chainproof.machine_faults import reject_own_fault
from chainproof.options import DEFAULT_RESPONSE_MEMORY
from chainproof.results.exchange import Transport

from .connection import ConnectTarget, TargetConnection, TransportResult
from .rate_limit import UNLIMITED
from .raw_connection import RawConnection, require_memory, without_content_coding
from .request import CheckRequest, request_bytes
from .response_memory import ResponseMemory

DEFAULT_DEADLINE: Seconds = 30.0

DIRECT_ROUTE = Route()
"""No proxy and no other address."""


class Client:
    """Sends requests to one target. Any thread may use it; connections are reused as long as the target keeps them open."""

    def __init__(
        self,
        target: Target,
        deadline: Seconds = DEFAULT_DEADLINE,
        *,
        route: Route = DIRECT_ROUTE,
        fields: tuple[HeaderField, ...] = (),
        max_response_memory: int = DEFAULT_RESPONSE_MEMORY,
    ) -> None:
        """*max_response_memory* limits the bytes of the answers that are being read and judged."""
        self.target = target
        self._memory = ResponseMemory(max_response_memory)
        self.fields = fields
        """Header fields of every request."""
        self._connect_target = ConnectTarget(target, route)
        self.deadline = deadline
        """Seconds that an exchange may take, connecting included."""
        self._idle: list[TargetConnection] = []
        self._last: dict[TargetConnection, CheckRequest] = {}
        """The last request on each idle connection."""
        self._late: list[tuple[CheckRequest, bytes]] = []
        self._lock = Lock()
        self.sent_count = 0
        """How many requests were sent, on raw connections too."""
        self._versions: set[bytes] = set()
        """How the answers to HTTP/1.1 requests began."""
        self.rate_limiter = UNLIMITED

    @property
    def on_loopback(self) -> bool:
        """Whether the target is on this machine; one behind a proxy on this machine is not."""
        return is_loopback(self._connect_target.route.destination(self.target).host)

    @property
    def speaks_only_http_1_0(self) -> bool:
        """
        Whether every answer so far was HTTP/1.0. To such a target a client must not send chunks (RFC 9112 §6.1), and it sends no 100
        (RFC 9110 §15.2).
        """
        return self._versions == {_HTTP_1_0}

    def send(
        self, request: CheckRequest, *, limit: Callable[[Seconds], Seconds] = lambda seconds: seconds
    ) -> TransportResult:
        """
        Send one request exactly as it is, and wait for the answer. Raises AnswerNotRead.

        *limit* shortens the deadline, and raises if the run may send no more.
        """
        until = monotonic() + limit(self.deadline)
        while True:
            connection = self._idle_connection()
            is_new = connection is None
            if connection is None:
                try:
                    connection = self._connect(until)
                except OSError as error:
                    return connection_failure(error)
            try:
                self._before_sending()
                until = monotonic() + limit(self.deadline)  # waiting for the rate limit does not count
                received = connection.exchange(request_bytes(request, self.target), request.method, until)
                # A target that rejects a request may leave part of it unread, which would spoil the next exchange. The
                # checks on connections test this.
                connection.reusable &= received.answer is not None and received.answer.status < 400
            finally:
                self._put_back(connection, request)
            if received.answer is not None:
                self._versions.add(received.raw[: len(_HTTP_1_0)])
            # A target may close an idle connection just when it is reused. That says nothing about the request.
            if is_new or received.transport is not Transport.CONNECTION_LOST or received.raw:
                received = without_content_coding(received, request)
                require_memory(received)
                return received

    def open_raw_connection(
        self,
        before: Callable[[], None] = lambda: None,
        *,
        limit: Callable[[Seconds], Seconds] = lambda seconds: seconds,
    ) -> RawConnection:
        """
        A new connection that the caller controls; *before* is called before each request. Raises OSError.

        *limit* shortens the deadline of each answer, and raises if the run may send no more.
        """

        def count() -> None:
            self._before_sending()
            before()

        connection = self._connect(monotonic() + limit(self.deadline))
        return RawConnection(connection, self.target, deadline=self.deadline, before=count, limit=limit)

    def _connect(self, deadline: Seconds) -> TargetConnection:
        """A new connection. Raises OSError."""
        return TargetConnection(self._connect_target, deadline, self._memory)

    def take_late_bytes(self) -> list[tuple[CheckRequest, bytes]]:
        """Bytes that arrived after complete answers, with the requests of those answers. Each is returned once."""
        with self._lock:
            late, self._late = self._late, []
        return late

    def _before_sending(self) -> None:
        """Wait for the rate limit and count a request. Called before every request."""
        self.rate_limiter.acquire()
        with self._lock:
            self.sent_count += 1

    def check_connection(self) -> None:
        """Connect without sending anything. Raises UsageError if TCP or TLS fails."""
        try:
            self._put_back(self._connect(monotonic() + self.deadline))
        except OSError as error:
            received = connection_failure(error)
            limit = f" within {format_duration(self.deadline)}" if received.transport is Transport.DEADLINE else ""
            raise UsageError(f"cannot connect to {self.target.origin}{limit}: {received.reason}") from None

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            for connection in self._idle:
                self._is_reusable(connection)
                connection.close()
            self._idle.clear()

    def _idle_connection(self) -> TargetConnection | None:
        """An idle connection that may be reused, if there is one."""
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if self._is_reusable(connection):
                    return connection
                connection.close()
        return None

    def _is_reusable(self, connection: TargetConnection) -> bool:
        """Whether an idle connection is open and silent. Stores the bytes that have arrived on it."""
        late = connection.read_available(0.0)
        request = self._last.pop(connection, None)
        # RFC 9110 §15.5.9: a server may end an idle connection with a 408.
        if late and request is not None and not _IDLE_TIMEOUT.match(late):
            self._late.append((request, late))
        return late is None

    def _put_back(self, connection: TargetConnection, request: CheckRequest | None = None) -> None:
        """Keep a connection for the next exchange, or close it if it is not reusable."""
        if not connection.reusable:
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)
            if request is not None:
                self._last[connection] = request


_HTTP_1_0 = b"HTTP/1.0"
_IDLE_TIMEOUT = re.compile(rb"HTTP/1\.[01] 408 ")


def connection_failure(error: OSError) -> TransportResult:
    """The result of a request for which connecting failed. Raises MachineFault if the target is not responsible."""
    reject_own_fault(error)
    if isinstance(error, socket.gaierror):
        transport = Transport.NAME_NOT_RESOLVED
    elif isinstance(error, ssl.SSLError):
        transport = Transport.TLS_FAILED
    elif isinstance(error, TimeoutError):
        transport = Transport.DEADLINE
    else:
        transport = Transport.CONNECT_FAILED
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate is not trusted: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        reason = f"the TLS handshake failed: {tls_error_text(error)}"
    elif isinstance(error, TimeoutError):  # that of a TLS handshake has a text with a line of the source of Python
        reason = error.strerror or "no connection by the deadline"
    else:
        reason = error.strerror or str(error) or "no connection by the deadline"
    return TransportResult(transport=transport, reason=reason)
