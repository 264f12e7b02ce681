"""
Sleeping until an instant, to the microsecond.

gevent's event loop waits in whole milliseconds, so whoever sleeps on it wakes up to one late: as much as a fast target
takes to answer. Linux has timers that are file descriptors, which the event loop can wait for like any other. Python
wraps them from 3.13 on; before, the C library is asked. Elsewhere sleeping is gevent's, and its lateness is on record.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

import gevent

from chainproof.clock import Seconds

_ABSOLUTE = 1
_READ = 1
_BILLION = 1_000_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class PreciseTimer:
    """
    One sleeper's timer.
    """

    def __init__(self) -> None:
        self._file = _timer_file()
        self._hub = gevent.get_hub()
        self._watcher = None if self._file is None else self._hub.loop.io(self._file, _READ)

    def sleep_until(self, instant: Seconds) -> None:
        """Return at an instant of the monotonic clock, or at once when it is over."""
        left = instant - time.monotonic()
        if left <= 0:
            return
        if self._file is None:
            gevent.sleep(left)
            return
        _set(self._file, instant)
        self._hub.wait(self._watcher)
        os.read(self._file, 8)

    def close(self) -> None:
        """Give the timer back."""
        if self._file is not None and self._watcher is not None:
            self._watcher.close()
            os.close(self._file)
            self._file = None


if sys.platform == "linux":
    _c = ctypes.CDLL(None, use_errno=True)

    def _timer_file() -> int | None:
        """A timer on the monotonic clock, or None where the system has none to give."""
        file = int(_c.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        return file if file >= 0 else None

    def _set(file: int, instant: Seconds) -> None:
        """Let a timer end at an instant, which must not be 0: that would disarm it."""
        seconds, nanoseconds = divmod(max(int(instant * _BILLION), 1), _BILLION)
        setting = _Itimerspec(value=_Timespec(seconds=seconds, nanoseconds=nanoseconds))
        _c.timerfd_settime(file, _ABSOLUTE, ctypes.byref(setting), None)

else:

    def _timer_file() -> int | None:
        """There is no such timer here."""
        return None

    def _set(file: int, instant: Seconds) -> None:
        """Never called."""
        raise NotImplementedError
