"""
How much a target is asked, and how fast: nothing goes onto the wire without passing here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

import pytest

from chainproof.clock import Seconds, monotonic


class Allowance:
    """
    So many requests in all, and so many a second, evenly spread. Any thread may ask.
    """

    def __init__(
        self,
        *,
        most: int | None = None,
        rate: float | None = None,
        clock: Callable[[], Seconds] = monotonic,
        pause: Callable[[Seconds], None] = time.sleep,
    ) -> None:
        self.most = most
        """Requests in all; None: any number."""
        self.rate = rate
        """Requests a second; None: as fast as they are answered."""
        self.taken = 0
        """How many have been sent."""
        self._next: Seconds = float("-inf")
        self._clock = clock
        self._pause = pause
        self._lock = Lock()

    @property
    def spent(self) -> bool:
        """Whether nothing more may be sent."""
        return self.most is not None and self.taken >= self.most

    def take(self) -> None:
        """
        Wait until the next request may go. Skips the check under way where none may any more.
        """
        with self._lock:
            if self.spent:
                pytest.skip(f"the {self.most} requests that this run may send are sent (--max-requests)")
            self.taken += 1
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


ANY = Allowance()
"""Any number of requests, as fast as they are answered."""
