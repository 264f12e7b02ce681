"""Limits how many requests a run sends, and how fast. Every request passes here before it is sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from chainproof.clock import Seconds, monotonic

from .check_skipped import RunCut


class RateLimiter:
    """Allows a number of requests in all and per second, evenly spread. Any thread may use it."""

    def __init__(
        self,
        *,
        max_requests: int | None = None,
        rate: float | None = None,
        clock: Callable[[], Seconds] = monotonic,
        pause: Callable[[Seconds], None] = time.sleep,
    ) -> None:
        self.max_requests = max_requests
        """Requests in all; None: no limit."""
        self.rate = rate
        """Requests per second; None: no limit."""
        self.sent_count = 0
        """How many requests have been sent."""
        self.limit: Callable[[Seconds], Seconds] = lambda seconds: seconds
        """Shortens a pause to the time that the run has left, and raises RunCut if it has none."""
        self._next: Seconds = float("-inf")
        self._clock = clock
        self._pause = pause
        self._lock = Lock()

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing more may be sent."""
        return self.left <= 0

    @property
    def left(self) -> float:
        """How many requests may still be sent."""
        return float("inf") if self.max_requests is None else self.max_requests - self.sent_count

    def acquire(self) -> None:
        """Wait until the next request may be sent. Raises RunCut if all are sent, or if the run ends before."""
        with self._lock:
            if self.is_exhausted:
                raise RunCut("a higher --max-requests", f"all {self.max_requests} requests of this run are sent")
            self.sent_count += 1
            wait = self._wait()
        if wait > 0:
            allowed = self.limit(wait)
            self._pause(allowed)
            if allowed < wait:
                self.limit(wait)

    def _wait(self) -> Seconds:
        """Seconds until this request may be sent. Idle time does not allow a burst later."""
        if self.rate is None:
            return 0.0
        now = self._clock()
        start = max(now, self._next)
        self._next = start + 1 / self.rate
        return start - now


UNLIMITED = RateLimiter()
"""No limits."""
