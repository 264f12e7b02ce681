"""
Sleep until an instant, with microsecond precision.

gevent's event loop waits in whole milliseconds, so that `gevent.sleep` returns up to one millisecond late. A fast
target answers in less. On Linux, a timer that is a file descriptor is precise. On other systems `gevent.sleep` is used,
and its delay is recorded as schedule lag.
"""

from __future__ import annotations

import os
import time

import gevent

from chainproof.clock import Seconds
from chainproof.linux import open_timer, set_timer

_READ = 1


class PreciseTimer:
    """A timer for one greenlet. Close it after use."""

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._fd: int | None
        try:
            self._fd = open_timer()
        except OSError:
            self._fd = None
        self._watcher = None if self._fd is None else self._hub.loop.io(self._fd, _READ)

    def sleep_until(self, instant: Seconds) -> None:
        """Return at an instant of the monotonic clock, at once if it is over."""
        left = instant - time.monotonic()
        if left <= 0:
            return
        if self._fd is None:
            gevent.sleep(left)
            return
        set_timer(self._fd, instant)
        self._hub.wait(self._watcher)
        os.read(self._fd, 8)

    def close(self) -> None:
        """Release the file descriptor."""
        if self._fd is not None and self._watcher is not None:
            self._watcher.close()
            os.close(self._fd)
            self._fd = None
