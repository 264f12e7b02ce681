"""
An HTTP endpoint on this machine from which Prometheus reads the metrics of a run while it goes on.

It reads the run folder in the process that waits for the run, so that no request is delayed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from chainproof.errors import UsageError
from chainproof.open_metrics import CONTENT_TYPE, Family, exposition, request_metrics
from chainproof.signals import start_without_signals

from .progress import FolderFollower

_ADDRESS = "127.0.0.1"
_PATH = "/metrics"


class _MetricsServer(ThreadingHTTPServer):
    """Serves the metrics of the run in one folder."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        self._follower = FolderFollower(folder)
        self._lock = threading.Lock()
        super().__init__((_ADDRESS, port), _MetricsRequest)

    def metrics(self) -> str:
        """The metrics so far; none before the run has begun."""
        with self._lock:
            self._follower.update()
            progress = self._follower.progress
            if progress is None:
                return exposition([])
            labels = {"run": self._follower.folder.name, "name": progress.manifest.name}
            in_flight = Family("chainproof_in_flight", "gauge", "Requests in flight at the end of the last second.")
            in_flight.add(progress.in_flight, labels)
            elapsed = Family("chainproof_elapsed_seconds", "gauge", "Seconds since the run began.")
            elapsed.add(progress.elapsed, labels)
            return exposition([elapsed, in_flight, *request_metrics([(labels, progress.totals)])])

    def server_close(self) -> None:
        """Close the port and the run folder."""
        super().server_close()
        self._follower.close()


class _MetricsRequest(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _MetricsServer

    def do_GET(self) -> None:  # the name that http.server calls
        """Answer with the metrics."""
        port = self.server.server_address[1]
        # A web page that a browser on this machine shows must not read them by a name that leads here.
        if self.headers.get("Host") not in (f"{_ADDRESS}:{port}", f"localhost:{port}"):
            self.send_error(403)
            return
        if self.path.partition("?")[0] != _PATH:
            self.send_error(404)
            return
        content = self.server.metrics().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serve_metrics(folder: Path, port: int | None) -> Iterator[str | None]:
    """
    Serve the metrics of the run in a folder until the context ends; without a port, do nothing.

    The value is the URL. Raises UsageError if the port cannot be opened.
    """
    if port is None:
        yield None
        return
    try:
        server = _MetricsServer(folder, port)
    except (OSError, OverflowError) as error:
        why = ((isinstance(error, OSError) and error.strerror) or str(error)).lower()
        raise UsageError(f"--metrics {port}: cannot open this port on {_ADDRESS}: {why}; choose another one") from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    start_without_signals(thread)
    try:
        yield f"http://{_ADDRESS}:{server.server_address[1]}{_PATH}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
