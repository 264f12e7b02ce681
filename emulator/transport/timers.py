"""
Timers with microsecond resolution: a heap of calls, and one timerfd that wakes the event loop for the next.

The event loop's own timers have a resolution of one millisecond, which is coarse for service times of a few
milliseconds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import monotonic

from chainproof.clock import Seconds
from chainproof.linux import open_timer, set_timer


class Timers:
    """Calls scheduled on the monotonic clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due: list[tuple[Seconds, int, Callable[[], None]]] = []
        self._order = count()
        self._armed = float("inf")
        self._loop = loop
        self._fd = open_timer()
        loop.add_reader(self._fd, self._wake)

    def call_at(self, instant: Seconds, call: Callable[[], None]) -> None:
        """Call at an instant of the monotonic clock. Calls at the same instant run in the order of registration."""
        heappush(self._due, (instant, next(self._order), call))
        if instant < self._armed:
            self._arm(instant)

    def close(self) -> None:
        """Cancel all calls."""
        self._due.clear()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _wake(self) -> None:
        """Run every call that is due, and set the timer for the next."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._armed = float("inf")
        due = self._due
        try:
            while due and due[0][0] <= monotonic():
                heappop(due)[2]()
        finally:  # an exception in one call must not stop the others
            if due and due[0][0] < self._armed:
                self._arm(due[0][0])

    def _arm(self, instant: Seconds) -> None:
        """Set the timer. An instant in the past fires at once."""
        self._armed = instant
        set_timer(self._fd, instant)
