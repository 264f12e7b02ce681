"""
The client: HTTP/1.1 on kept-alive connections, one request at a time on each.

It exists because measuring needs what general clients hide. A request is sent once: redirects are not followed, nothing
is retried. The deadline is one instant for all of it: resolving, connecting, the TLS handshake, sending, every read. The
end is the instant at which the kernel received the answer's last bytes.

An idle connection that the target closed meanwhile is noticed before sending and replaced. One that dies after the
request went out is a lost connection: a POST that may have been carried out must not be sent again (RFC 9110 §9.2.2),
and a client that does so in silence hides what its users will see.
"""

from __future__ import annotations

import time
from time import monotonic_ns

import gevent

from chainproof.clock import Seconds
from chainproof.contract.route import Route
from chainproof.contract.target import Target

from .connect import Connector
from .connection import KeepAliveConnection
from .deadlines import Deadlines
from .receive_timestamps import Nanoseconds, ReceiveTimestamps
from .reply import Reply
from .transport_errors import RequestFailed

_LONG_IDLE: Nanoseconds = 1_000_000
"""A connection idle for longer is looked at before it is used: its end may have come since the loop last looked."""


class LoadClient:
    """
    The connections of one process to one target, the last used first.
    """

    def __init__(self, target: Target, route: Route | None = None) -> None:
        self._hub = gevent.get_hub()
        self._way = Connector(target, route if route is not None else Route())
        self._stamps = ReceiveTimestamps()
        self._deadlines = Deadlines(self._hub)
        self._idle: list[KeepAliveConnection] = []
        self.opened = 0
        """Connections that were opened."""

    def call(self, request: bytes, until: Seconds) -> Reply:
        """
        Send a request and await its answer, at the latest *until* that instant of the monotonic clock.
        """
        idle = self._idle
        replaced = 0
        while idle:
            connection = idle.pop()
            if connection.open and (monotonic_ns() - connection.idle_since < _LONG_IDLE or connection.usable()):
                reply = connection.exchange(request, until)
                return reply if not replaced else reply._replace(replaced=replaced)
            replaced += 1
        try:
            line = self._way.open(until)
        except RequestFailed as failed:
            now = time.monotonic()
            return Reply(failed.transport, now, None, failed.reason, now, replaced=replaced)
        self.opened += 1
        fresh = KeepAliveConnection(line, self._hub, self._stamps, self._deadlines, idle)
        return fresh.exchange(request, until)._replace(replaced=replaced)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()
        self._deadlines.close()
