"""
The HTTP server of the web page, with limits, so that requests to it do not delay the requests of a run.

The page is served by the process that sends the load, in one event loop. While a run goes on, connections and requests wait
for their turn. After each one the page pauses, so that it uses about a tenth of the time. Connections, bodies and the time to
send a request are limited.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pywsgi import WSGIHandler, WSGIServer

from chainproof.clock import Clock, Seconds

MAX_BODY = 1 << 16
"""Bytes. The largest form of the page has a few kilobytes."""
MAX_CONNECTIONS = 32
"""A browser opens six."""
READ_TIMEOUT: Seconds = 10.0
"""Time to wait for the first line of a request, for its header, and for its body. A client that sends bytes slowly gets no more."""
SHARE = 0.1
"""The part of the time that the page uses while a run goes on."""
_MIN_COST: Seconds = 0.0002
"""What a request is charged at least."""
MAX_COST_AFTER_WAIT: Seconds = 0.01
"""What it is charged at most for the time after it began to wait, when the process also does other things."""


class CpuTime:
    """
    The CPU time that a request uses, measured from now on.

    It is exact up to the instant at which the request waits for the first time. Nearly all requests never do.
    """

    def __init__(self, clock: Clock = time.thread_time) -> None:
        self._clock = clock
        self._start = clock()
        self._first_wait: Seconds | None = None
        # Called when this greenlet, by waiting, lets the event loop go on.
        self._callback = gevent.get_hub().loop.run_callback(self._wait)

    def _wait(self) -> None:
        self._first_wait = self._clock()

    def end(self) -> Seconds:
        """The CPU time until now."""
        self._callback.stop()
        now = self._clock()
        until = now if self._first_wait is None else self._first_wait
        return until - self._start + min(now - until, MAX_COST_AFTER_WAIT)


class Turns:
    """Lets requests begin one after another, with a pause in proportion to the CPU time of those before."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        """*is_busy* says whether there is a run that requests could delay."""
        self._is_busy = is_busy
        self._queue = BoundedSemaphore(1)
        self._next: Seconds = 0.0
        """When the next request may begin, on the monotonic clock."""

    def wait(self) -> None:
        """Wait for a turn."""
        if self._is_busy():
            with self._queue:
                gevent.sleep(max(self._next - time.monotonic(), 0.0))
                self.charge(_MIN_COST)

    def charge(self, cpu_time: Seconds) -> None:
        """Let the next request begin after a pause for this CPU time."""
        self._next = max(self._next, time.monotonic()) + cpu_time / SHARE


def _time_limit() -> gevent.Timeout:
    """A context that raises TimeoutError when too much time has passed."""
    return gevent.Timeout(READ_TIMEOUT, TimeoutError("the request did not arrive in time"))


class _Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no type hints here
    """Serves one connection, within the limits."""

    _cpu_time: CpuTime | None = None
    """Of the current request; None before it begins."""

    def handle(self) -> None:
        """Serve the requests of the connection."""
        self.socket.settimeout(READ_TIMEOUT)
        self.server.turns.wait()
        super().handle()

    def read_requestline(self) -> str:
        """The first line of a request. Raises TimeoutError, which closes the connection."""
        with _time_limit():
            return str(super().read_requestline())

    def handle_one_request(self) -> Any:
        """Serve one request, and charge for it."""
        try:
            return super().handle_one_request()
        finally:
            cpu_time, self._cpu_time = self._cpu_time, None
            if cpu_time is not None:
                self.server.turns.charge(cpu_time.end())

    def read_request(self, raw_requestline: str) -> Any:
        """Wait for a turn and read the header. Raises ValueError, which is answered 400, for a large or chunked body."""
        self.server.turns.wait()
        self._cpu_time = CpuTime()
        try:
            with _time_limit():
                is_valid = super().read_request(raw_requestline)
        except (OSError, HTTPException) as error:  # too many fields, or too long ones, are no ValueError
            raise ValueError(str(error)) from None  # gevent prints other exceptions
        # Rejected here, because the server reads the rest of a body before it closes a connection.
        is_large = (self.content_length or 0) > MAX_BODY or "Transfer-Encoding" in self.headers
        if is_large or len(self.headers.get_all("Content-Length", [])) > 1:
            raise ValueError(f"expected a body of at most {MAX_BODY} bytes, with one length")
        return is_valid

    def handle_one_response(self) -> None:
        """Read the body and answer the request, or close the connection if the body does not come."""
        try:
            with _time_limit():
                self.environ["wsgi.input"] = io.BytesIO(self.environ["wsgi.input"].read())
        except OSError:
            self.close_connection = True
            return
        super().handle_one_response()

    def log_error(self, msg: str, *args: object) -> None:
        """Log nothing: an invalid request says nothing about the run."""


def start_server(ui: Any, is_busy: Callable[[], bool]) -> None:
    """Serve the page until it is stopped; this replaces `start_server` of Locust's web UI."""
    tls = {"keyfile": ui.tls_key, "certfile": ui.tls_cert} if ui.tls_cert and ui.tls_key else {}
    server = ui.server = WSGIServer(
        (ui.host, ui.port),
        ui.app,
        log=None,
        error_log=logging.getLogger("locust.web"),
        spawn=MAX_CONNECTIONS,
        handler_class=_Handler,
        **tls,
    )
    server.stop_timeout = 0
    server.turns = Turns(is_busy)
    server.serve_forever()
