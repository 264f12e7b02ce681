"""
One request, one answer.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from threading import Lock

from chainproof.clock import Seconds, monotonic
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.route import Route
from chainproof.contract.target import Target, is_loopback
from chainproof.durations import format_duration
from chainproof.errors import UsageError
from chainproof.results.exchange import Transport

from .connection import ConnectTarget, TargetConnection, TransportResult
from .rate_limit import UNLIMITED
from .raw_connection import RawConnection, without_content_coding
from .request import CheckRequest, request_bytes

DEFAULT_DEADLINE: Seconds = 30.0

DIRECT_ROUTE = Route()
"""Straight to the target."""


class Client:
    """
    Exchanges with one target, from any number of threads, over connections that are kept where the target keeps them.
    """

    def __init__(
        self,
        target: Target,
        deadline: Seconds = DEFAULT_DEADLINE,
        *,
        route: Route = DIRECT_ROUTE,
        fields: tuple[HeaderField, ...] = (),
    ) -> None:
        self.target = target
        self.fields = fields
        """What goes along with every request."""
        self._way = ConnectTarget(target, route)
        self.deadline = deadline
        """Seconds that a whole exchange may take, connecting included."""
        self._idle: list[TargetConnection] = []
        self._last: dict[TargetConnection, CheckRequest] = {}
        """What each idle connection was last used for."""
        self._late: list[tuple[CheckRequest, bytes]] = []
        self._lock = Lock()
        self.sent_count = 0
        """How many requests were put on the wire, by whatever way."""
        self.rate_limiter = UNLIMITED
        """How many may be, and how fast."""

    @property
    def on_loopback(self) -> bool:
        """Whether the bytes stay on this machine."""
        return is_loopback(self._way.route.first_hop(self.target).host)

    def send(self, request: CheckRequest) -> TransportResult:
        """
        Send one request, exactly as it is, and wait for what comes back.
        """
        until = monotonic() + self.deadline
        while True:
            connection = self._taken()
            fresh = connection is None
            if connection is None:
                try:
                    connection = TargetConnection(self._way, until)
                except OSError as wrong:
                    return connection_failure(wrong)
            try:
                self._before_sending()
                until = monotonic() + self.deadline  # whoever has to wait for a turn is not late
                received = connection.exchange(request_bytes(request, self.target), request.method, until)
                # What a refusal leaves unread would spoil the next exchange, and is the affair of the checks on connections.
                connection.reusable &= received.answer is not None and received.answer.status < 400
            finally:
                self._put_back(connection, request)
            # A target may close an idle connection at the very moment we use it: that says nothing about the request.
            if fresh or received.transport is not Transport.CONNECTION_LOST or received.raw:
                return without_content_coding(received, request)

    def open_raw_connection(self, count: Callable[[], None] = lambda: None) -> RawConnection:
        """
        A connection of its own, to be spoken over by hand; *count* is told of each request too. Raises OSError where there
        is none.
        """

        def before() -> None:
            self._before_sending()
            count()

        connection = TargetConnection(self._way, monotonic() + self.deadline)
        return RawConnection(connection, self.target, deadline=self.deadline, before=before)

    def take_late_bytes(self) -> list[tuple[CheckRequest, bytes]]:
        """
        What has come behind answers that were whole already, with what had been asked; each is told once.
        """
        with self._lock:
            late, self._late = self._late, []
        return late

    def _before_sending(self) -> None:
        """
        Pass here with every request, whichever way it takes to the wire.
        """
        self.rate_limiter.acquire()
        with self._lock:
            self.sent_count += 1

    def check_connection(self) -> None:
        """
        Connect, and send nothing. Raises UsageError where TCP or TLS stands in the way.
        """
        try:
            self._put_back(TargetConnection(self._way, monotonic() + self.deadline))
        except OSError as wrong:
            received = connection_failure(wrong)
            limit = f" within {format_duration(self.deadline)}" if received.transport is Transport.DEADLINE else ""
            raise UsageError(f"cannot connect to {self.target.origin}{limit}: {received.reason}") from None

    def close(self) -> None:
        """Close whatever is still open."""
        with self._lock:
            for connection in self._idle:
                self._is_good(connection)
                connection.close()
            self._idle.clear()

    def _taken(self) -> TargetConnection | None:
        """
        An idle connection that is still good, if there is one.
        """
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if self._is_good(connection):
                    return connection
                connection.close()
        return None

    def _is_good(self, connection: TargetConnection) -> bool:
        """
        Whether an idle connection may be used again; whatever has come over it unasked is kept.
        """
        heard = connection.read_available(0.0)
        request = self._last.pop(connection, None)
        # RFC 9110 §15.5.9: a 408 may end a connection on which nothing was asked for long.
        if heard and request is not None and not _TIRED.match(heard):
            self._late.append((request, heard))
        return heard is None

    def _put_back(self, connection: TargetConnection, request: CheckRequest | None = None) -> None:
        """
        Keep a connection for the next exchange, or close it.
        """
        if not connection.reusable:
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)
            if request is not None:
                self._last[connection] = request


_TIRED = re.compile(rb"HTTP/1\.[01] 408 ")


def connection_failure(wrong: OSError) -> TransportResult:
    """
    Why there is no connection.
    """
    if isinstance(wrong, socket.gaierror):
        transport = Transport.NAME_NOT_RESOLVED
    elif isinstance(wrong, ssl.SSLError):
        transport = Transport.TLS_FAILED
    elif isinstance(wrong, TimeoutError):
        transport = Transport.DEADLINE
    else:
        transport = Transport.CONNECT_FAILED
    if isinstance(wrong, ssl.SSLCertVerificationError):
        reason = f"its certificate is not trusted: {wrong.verify_message}"
    else:
        reason = wrong.strerror or str(wrong) or "no connection by the deadline"
    return TransportResult(transport=transport, reason=reason)
