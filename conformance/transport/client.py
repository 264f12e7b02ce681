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
from chainproof.command import Mistake
from chainproof.contract.header_fields import Field
from chainproof.contract.route import Route
from chainproof.contract.target import Target, is_loopback
from chainproof.durations import format_duration
from chainproof.results.exchange import Transport

from .connection import Connection, Reception, Way
from .rate_limit import ANY
from .raw_connection import Conversation, uncoded
from .request import Request, message

DEFAULT_DEADLINE: Seconds = 30.0

PLAIN = Route()
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
        route: Route = PLAIN,
        fields: tuple[Field, ...] = (),
    ) -> None:
        self.target = target
        self.fields = fields
        """What goes along with every request."""
        self._way = Way(target, route)
        self.deadline = deadline
        """Seconds that a whole exchange may take, connecting included."""
        self._idle: list[Connection] = []
        self._last: dict[Connection, Request] = {}
        """What each idle connection was last used for."""
        self._late: list[tuple[Request, bytes]] = []
        self._lock = Lock()
        self.sent = 0
        """How many requests were put on the wire, by whatever way."""
        self.allowance = ANY
        """How many may be, and how fast."""

    @property
    def on_loopback(self) -> bool:
        """Whether the bytes stay on this machine."""
        return is_loopback(self._way.route.first_hop(self.target).host)

    def send(self, request: Request) -> Reception:
        """
        Send one request, exactly as it is, and wait for what comes back.
        """
        until = monotonic() + self.deadline
        while True:
            connection = self._taken()
            fresh = connection is None
            if connection is None:
                try:
                    connection = Connection(self._way, until)
                except OSError as wrong:
                    return unconnected(wrong)
            try:
                self._before_sending()
                until = monotonic() + self.deadline  # whoever has to wait for a turn is not late
                reception = connection.exchange(message(request, self.target), request.method, until)
                # What a refusal leaves unread would spoil the next exchange, and is the affair of the checks on connections.
                connection.reusable &= reception.answer is not None and reception.answer.status < 400
            finally:
                self._put_back(connection, request)
            # A target may close an idle connection at the very moment we use it: that says nothing about the request.
            if fresh or reception.transport is not Transport.CONNECTION_LOST or reception.raw:
                return uncoded(reception, request)

    def converse(self, count: Callable[[], None] = lambda: None) -> Conversation:
        """
        A connection of its own, to be spoken over by hand; *count* is told of each request too. Raises OSError where there
        is none.
        """

        def before() -> None:
            self._before_sending()
            count()

        connection = Connection(self._way, monotonic() + self.deadline)
        return Conversation(connection, self.target, deadline=self.deadline, before=before)

    def late(self) -> list[tuple[Request, bytes]]:
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
        self.allowance.take()
        with self._lock:
            self.sent += 1

    def check(self) -> None:
        """
        Connect, and send nothing. Raises Mistake where TCP or TLS stands in the way.
        """
        try:
            self._put_back(Connection(self._way, monotonic() + self.deadline))
        except OSError as wrong:
            reception = unconnected(wrong)
            limit = f" within {format_duration(self.deadline)}" if reception.transport is Transport.DEADLINE else ""
            raise Mistake(f"cannot connect to {self.target.origin}{limit}: {reception.reason}") from None

    def close(self) -> None:
        """Close whatever is still open."""
        with self._lock:
            for connection in self._idle:
                self._is_good(connection)
                connection.close()
            self._idle.clear()

    def _taken(self) -> Connection | None:
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

    def _is_good(self, connection: Connection) -> bool:
        """
        Whether an idle connection may be used again; whatever has come over it unasked is kept.
        """
        heard = connection.heard(0.0)
        request = self._last.pop(connection, None)
        # RFC 9110 §15.5.9: a 408 may end a connection on which nothing was asked for long.
        if heard and request is not None and not _TIRED.match(heard):
            self._late.append((request, heard))
        return heard is None

    def _put_back(self, connection: Connection, request: Request | None = None) -> None:
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


def unconnected(wrong: OSError) -> Reception:
    """
    Why there is no connection.
    """
    if isinstance(wrong, socket.gaierror):
        transport = Transport.NAME_UNKNOWN
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
    return Reception(transport=transport, reason=reason)
