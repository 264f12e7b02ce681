"""
How much a target is asked, and how fast: nothing goes onto the wire without passing here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from chainproof.clock import Seconds, monotonic

from .not_asked import NotAsked


class RateLimiter:
    """
    So many requests in all, and so many a second, evenly spread. Any thread may ask.
    """

    def __init__(
        self,
        *,
        max_requests: int | None = None,
        rate: float | None = None,
        clock: Callable[[], Seconds] = monotonic,
        pause: Callable[[Seconds], None] = time.sleep,
    ) -> None:
        self.max_requests = max_requests
        """Requests in all; None: any number."""
        self.rate = rate
        """Requests a second; None: as fast as they are answered."""
        self.sent_count = 0
        """How many have been sent."""
        self._next: Seconds = float("-inf")
        self._clock = clock
        self._pause = pause
        self._lock = Lock()

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing more may be sent."""
        return self.max_requests is not None and self.sent_count >= self.max_requests

    def acquire(self) -> None:
        """
        Wait until the next request may go. Skips the check under way where none may any more.
        """
        with self._lock:
            if self.is_exhausted:
                raise NotAsked(f"needs a higher --max-requests: all {self.max_requests} requests of this run are sent")
            self.sent_count += 1
            wait = self._turn()
        if wait > 0:
            self._pause(wait)

    def _turn(self) -> Seconds:
        """
        How long until the turn of the request that asks now: turns are not saved up while nothing is sent.
        """
        if self.rate is None:
            return 0.0
        now = self._clock()
        turn = max(now, self._next)
        self._next = turn + 1 / self.rate
        return turn - now


UNLIMITED = RateLimiter()
"""Any number of requests, as fast as they are answered."""
