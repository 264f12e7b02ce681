"""
Timers with microsecond resolution: a heap of calls, and one timerfd that wakes the event loop for the next.

The event loop's own timers have a resolution of one millisecond, which is coarse for service times of a few
milliseconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import CLOCK_MONOTONIC, monotonic

from chainproof.clock import Seconds

_TFD_TIMER_ABSTIME = 1
_TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC

# Python has timerfd_create from 3.13 on only.
_libc = ctypes.CDLL(None, use_errno=True)


class _TimerSpec(ctypes.Structure):
    """
    `struct itimerspec`. The interval stays 0.
    """

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Timers:
    """
    Calls scheduled on the monotonic clock.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due: list[tuple[Seconds, int, Callable[[], None]]] = []
        self._order = count()
        self._armed = float("inf")
        self._loop = loop
        self._fd = _libc.timerfd_create(CLOCK_MONOTONIC, _TFD_FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
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
        """
        Run every call that is due, and set the timer for the next.
        """
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
        """
        Set the timer. An instant in the past fires at once; 0 would disarm the timer.
        """
        self._armed = instant
        nanoseconds = max(1, int(instant * 1e9))
        spec = _TimerSpec(0, 0, nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
        _libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None)
