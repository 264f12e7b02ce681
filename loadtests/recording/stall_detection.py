"""
Detect stalls of this process, and tell how long each request was affected.

The self-monitor calls `sample` about fifty times a second. A sample that comes late means that the event loop stood still.
What the loop does first after a stall is not known: answers may be counted before the sample. So `check` is called before
requests are counted, and opens the stall if the last sample is too old.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from chainproof.clock import Seconds
from chainproof.results.exchange import Result
from chainproof.results.intervals.stalls import Stall

MIN_STALL: Seconds = 0.020
"""A shorter delay of the event loop is no stall."""
MAX_SAMPLE_GAP: Seconds = 0.035
"""The longest time between two samples."""
EXCUSING_OVERLAP: Seconds = 0.100
"""A request that is within a stall for this long may have failed because of it."""
EXCUSABLE = frozenset({Result.FAILED, Result.TIMED_OUT})
"""The results of such requests."""
_RECENT = 50
"""Samples that show how many requests are usually in flight: those of about a second."""
_MAX_WINDOWS = 10_000
"""Stalls that are remembered: those of several minutes at least, however many there are."""
_MIN_RECOVERY: Seconds = 0.100
"""A recovery takes as long as the stall, or this long: meanwhile overdue requests are sent."""
_MAX_RECOVERY = 10
"""A recovery takes at most this many times as long as the stall. A target at 90 % of its capacity recovers in nine times."""


class StallDetector:
    """The stalls of one process, in seconds of the run."""

    def __init__(self) -> None:
        self._last_sample: Seconds | None = None
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._windows: deque[tuple[Seconds, Seconds]] = deque(maxlen=_MAX_WINDOWS)
        """From the last sample before each stall to the recovery from it; the last one may have no end yet."""
        self._stalls: list[tuple[Seconds, Seconds]] = []
        """The stalls from which the process has not recovered."""
        self._last_late: Seconds = -math.inf
        self._recovered: list[Stall] = []

    def sample(self, now: Seconds, lag: Seconds, in_flight: int) -> None:
        """Note that the event loop runs at *now*, *lag* later than planned."""
        last, self._last_sample = self._last_sample, now
        if last is not None and lag >= MIN_STALL:
            self._open(last)
            self._stalls.append((now - lag, now))
        elif self.affected_until == math.inf and (not self._stalls or self._has_recovered(now, in_flight)):
            self._close(now)
        if not self._stalls:
            self._recent.append(in_flight)

    def _has_recovered(self, now: Seconds, in_flight: int) -> bool:
        """Whether no request is overdue and no more are in flight than before the stall, or waiting takes too long."""
        start, end = self._stalls[-1]
        length, since = end - start, now - end
        usual = max(self._recent) if len(self._recent) == _RECENT else math.inf
        overdue = self._last_late > now - MAX_SAMPLE_GAP
        recovered = in_flight <= usual and not overdue and since >= min(length, _MIN_RECOVERY)
        return recovered or since > _MAX_RECOVERY * sum(end - start for start, end in self._stalls)

    def sent_late(self, now: Seconds) -> None:
        """Note that a request was sent late: the process has not recovered."""
        self._last_late = now

    def check(self, now: Seconds) -> None:
        """Open a stall if the last sample is too old."""
        if self._last_sample is not None and now - self._last_sample > MAX_SAMPLE_GAP + MIN_STALL:
            self._open(self._last_sample)

    def take(self, now: Seconds, *, at_end: bool = False) -> list[Stall]:
        """The stalls that are over since the last call; at the end of the run also those without a recovery."""
        if at_end and self._stalls:
            self._close(now)
        recovered, self._recovered = self._recovered, []
        return recovered

    def overlap(self, start: Seconds, end: Seconds) -> Seconds:
        """The part of a time that lies within stalls and recoveries."""
        total = 0.0
        for first, last in reversed(self._windows):
            if last < start:
                break
            total += max(min(end, last) - max(start, first), 0.0)
        return total

    def overlaps(self, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """The parts of many times that lie within stalls and recoveries."""
        totals, earliest = np.zeros_like(starts), starts.min()
        for first, last in reversed(self._windows):
            if last < earliest:
                break
            totals += np.maximum(np.minimum(ends, last) - np.maximum(starts, first), 0.0)
        return totals

    @property
    def affected_until(self) -> Seconds:
        """The end of the last stall with its recovery: requests due later are not affected. -inf without a stall."""
        return self._windows[-1][1] if self._windows else -math.inf

    def _open(self, start: Seconds) -> None:
        if not self._windows or self._windows[-1][1] < start:
            self._windows.append((start, math.inf))
        else:
            self._windows[-1] = (self._windows[-1][0], math.inf)

    def _close(self, now: Seconds) -> None:
        self._windows[-1] = (self._windows[-1][0], now)
        self._recovered += [Stall(start, end, now) for start, end in self._stalls]
        self._stalls = []
