"""
Deadlines of many requests with a single timer.

A timer for each request would cost more than reading its answer. All requests of a run have the same time limit, so the
earliest deadline is nearly always that of the request sent first. One timer waits for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from chainproof.clock import Seconds

_MIN_GAP: Seconds = 0.002
"""Between two timer events, so that thousands of deadlines at nearly the same time cause few of them."""


class HasDeadline(Protocol):
    """An object to notify when its deadline has passed."""

    def expire(self) -> None:
        """Called when the deadline has passed."""
        ...


class Deadlines:
    """The deadlines that have not passed, and the timer for the earliest."""

    def __init__(self, hub: Any, now: Callable[[], Seconds] = time.monotonic) -> None:
        self._hub = hub
        self._now = now
        self._due: dict[HasDeadline, Seconds] = {}
        self._timer: Any = None
        self._next: Seconds = math.inf
        self._latest: Seconds = -math.inf
        self._ordered = True
        self.remove: Callable[[HasDeadline], object] = self._due.__delitem__
        """Remove a deadline that was added and has not been removed."""

    def __len__(self) -> int:
        return len(self._due)

    def add(self, owner: HasDeadline, deadline: Seconds) -> None:
        """Call `owner.expire` at an instant of the monotonic clock."""
        self._due[owner] = deadline
        if deadline < self._latest:
            self._ordered = False
        else:
            self._latest = deadline
        if deadline < self._next:
            self._start_timer(deadline)

    def close(self) -> None:
        """Stop the timer. Deadlines can still be removed."""
        self._stop_timer()

    def _start_timer(self, instant: Seconds) -> None:
        self._stop_timer()
        self._next = instant
        self._timer = self._hub.loop.timer(max(instant - self._now(), 0.0), ref=False)
        self._timer.start(self._expire_due, update=True)

    def _stop_timer(self) -> None:
        self._next = math.inf
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _expire_due(self) -> None:
        """Call `expire` for deadlines that have passed, then wait for the earliest of the others."""
        self._stop_timer()
        now = self._now()
        expired: list[HasDeadline] = []
        earliest = math.inf
        for owner, deadline in self._due.items():
            if deadline <= now:
                expired.append(owner)
                continue
            earliest = min(earliest, deadline)
            if self._ordered:
                break
        for owner in expired:
            if owner in self._due:  # an earlier call of expire may have settled this one
                owner.expire()
        self._ordered = self._ordered or not self._due
        if earliest < self._next:
            self._start_timer(max(earliest, now + _MIN_GAP))
