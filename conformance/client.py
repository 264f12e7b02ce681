"""
One request, one answer.
"""

from __future__ import annotations

import socket
import ssl
from threading import Lock

from chainproof.clock import Seconds, monotonic
from chainproof.command import Mistake
from chainproof.contract.fields import Field
from chainproof.contract.route import Route
from chainproof.contract.targets import Target
from chainproof.durations import format_duration
from chainproof.results.exchange import Transport

from .request import Request, message
from .wire import Connection, Reception, Way

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
        self._lock = Lock()

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
                    return _unconnected(wrong)
            try:
                reception = connection.exchange(message(request, self.target), request.method, until)
            finally:
                self._put_back(connection)
            # A target may close an idle connection at the very moment we use it: that says nothing about the request.
            if fresh or reception.transport is not Transport.CONNECTION_LOST or reception.raw:
                return reception

    def check(self) -> None:
        """
        Connect, and send nothing. Raises Mistake where TCP or TLS stands in the way.
        """
        try:
            self._put_back(Connection(self._way, monotonic() + self.deadline))
        except OSError as wrong:
            reception = _unconnected(wrong)
            limit = f" within {format_duration(self.deadline)}" if reception.transport is Transport.DEADLINE else ""
            raise Mistake(f"cannot connect to {self.target.origin}{limit}: {reception.reason}") from None

    def close(self) -> None:
        """Close whatever is still open."""
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _taken(self) -> Connection | None:
        """
        An idle connection that is still good, if there is one.
        """
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not connection.stale:
                    return connection
                connection.close()
        return None

    def _put_back(self, connection: Connection) -> None:
        """
        Keep a connection for the next exchange, or close it.
        """
        if not connection.reusable:
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)


def _unconnected(wrong: OSError) -> Reception:
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
