"""
Deadlines of many requests by one timer.

A timer for each request would cost more than reading its answer. Requests of one run have the same time to be answered,
so that those sent first are due first: one timer waits for the earliest, and finds it answered nearly every time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from chainproof.clock import Seconds

_SOONEST: Seconds = 0.002
"""Between two looks, so that thousands of deadlines at once are not thousands of looks."""


class HasDeadline(Protocol):
    """
    Whoever has a deadline.
    """

    def expire(self) -> None:
        """The deadline is over."""
        ...


class Deadlines:
    """
    Who is to be told when.
    """

    def __init__(self, hub: Any, now: Callable[[], Seconds] = time.monotonic) -> None:
        self._hub = hub
        self._now = now
        self._due: dict[HasDeadline, Seconds] = {}
        self._timer: Any = None
        self._next: Seconds = math.inf
        self._latest: Seconds = -math.inf
        self._ordered = True
        self.remove: Callable[[HasDeadline], object] = self._due.__delitem__
        """Forget somebody's deadline, who must have one."""

    def __len__(self) -> int:
        return len(self._due)

    def add(self, who: HasDeadline, until: Seconds) -> None:
        """Tell somebody when that instant of the monotonic clock is over."""
        self._due[who] = until
        if until < self._latest:
            self._ordered = False
        else:
            self._latest = until
        if until < self._next:
            self._set(until)

    def close(self) -> None:
        """Tell nobody any more; whoever has a deadline may still be removed."""
        self._stop()

    def _set(self, instant: Seconds) -> None:
        self._stop()
        self._next = instant
        self._timer = self._hub.loop.timer(max(instant - self._now(), 0.0), ref=False)
        self._timer.start(self._look, update=True)

    def _stop(self) -> None:
        self._next = math.inf
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _look(self) -> None:
        """
        Tell those who are due, and wait for the earliest of the others.
        """
        self._stop()
        now = self._now()
        over: list[HasDeadline] = []
        following = math.inf
        for who, until in self._due.items():
            if until <= now:
                over.append(who)
                continue
            following = min(following, until)
            if self._ordered:
                break
        for who in over:
            if who in self._due:  # telling one may have settled another
                who.expire()
        self._ordered = self._ordered or not self._due
        if following < self._next:
            self._set(max(following, now + _SOONEST))
