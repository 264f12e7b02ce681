"""
The HTTP client of the load tests: HTTP/1.1 on keep-alive connections, one request at a time on each.

It is made for measuring. Redirects are not followed and nothing is retried. One deadline covers name resolution,
connecting, the TLS handshake, sending and every read. A request ends when the kernel received the end of its answer.

An idle connection that the target closed is replaced before a request is sent. A connection that breaks after the
request was sent counts as lost: a POST that the target may have processed must not be sent again (RFC 9110 §9.2.2).
"""

from __future__ import annotations

import time
from time import monotonic_ns

import gevent

from chainproof.clock import Seconds
from chainproof.contract.route import Route
from chainproof.contract.target import Target
from chainproof.options import DEFAULT_RESPONSE_MEMORY

from .answer_templates import AnswerTemplates
from .connect import Connector
from .connection import KeepAliveConnection
from .deadlines import Deadlines
from .receive_timestamps import Nanoseconds, ReceiveTimestamps
from .reply import Reply
from .response_memory import ResponseMemory
from .transport_errors import RequestFailed

_LONG_IDLE: Nanoseconds = 1_000_000
"""A connection that was idle for longer is read before it is used: the event loop may not have seen its end yet."""


class LoadClient:
    """The keep-alive connections of one process to one target. The last used is reused first."""

    def __init__(
        self, target: Target, route: Route | None = None, max_response_memory: int = DEFAULT_RESPONSE_MEMORY
    ) -> None:
        """*max_response_memory* limits the bytes of the answers that are being read."""
        self._hub = gevent.get_hub()
        self._connector = Connector(target, route if route is not None else Route())
        self._timestamps = ReceiveTimestamps()
        self._deadlines = Deadlines(self._hub)
        self._templates = AnswerTemplates()
        self._memory = ResponseMemory(max_response_memory)
        self._idle: list[KeepAliveConnection] = []
        self.opened = 0
        """How many connections were opened."""

    def call(self, request: bytes, deadline: Seconds) -> Reply:
        """Send a request and wait for its answer until *deadline*, an instant of the monotonic clock."""
        idle = self._idle
        replaced = 0
        while idle:
            connection = idle.pop()
            if connection.open and (monotonic_ns() - connection.idle_since < _LONG_IDLE or connection.usable()):
                reply = connection.exchange(request, deadline)
                return reply if not replaced else reply._replace(replaced=replaced)
            replaced += 1
        try:
            stream = self._connector.open(deadline)
        except RequestFailed as failed:
            now = time.monotonic()
            return Reply(failed.transport, now, None, failed.reason, now, replaced=replaced)
        self.opened += 1
        connection = KeepAliveConnection(
            stream, self._hub, self._timestamps, self._deadlines, self._templates, self._memory, idle
        )
        return connection.exchange(request, deadline)._replace(replaced=replaced)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()
        self._deadlines.close()
