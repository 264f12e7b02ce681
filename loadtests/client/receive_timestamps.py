"""
Kernel receive timestamps of what was read, converted to the monotonic clock.

Linux gives each packet a timestamp when it comes in (SO_TIMESTAMPNS). The time that an answer waits in the socket
buffer while this process is busy is therefore not counted as the target's. A read of several packets has the timestamp
of the last one, which is the one that completes an answer.

The timestamps are those of CLOCK_REALTIME, which may be set at any time. The offset between the clocks is therefore
measured repeatedly. A timestamp is used if the offset has not changed since the request was sent and the timestamp lies
between sending and reading. Otherwise the time of the read is used.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic_ns, time_ns

from chainproof.linux import SO_TIMESTAMPNS, TIMESPEC

Nanoseconds = int
"""An instant or a duration, in nanoseconds."""

_SIZE = TIMESPEC.size
ANCILLARY_SIZE = socket.CMSG_SPACE(_SIZE)
"""Buffer size for the timestamp of a read."""

_BILLION = 1_000_000_000
_STEP: Nanoseconds = 1_000_000
"""If the offset differs by more, the clock was set or the measurement was disturbed: measure again."""
_MAX_AGE: Nanoseconds = 500_000_000
"""The offset is measured again after this time: a slewed clock drifts by up to half a microsecond per millisecond."""
_TRIES = 5


def enable_receive_timestamps(connection: socket.socket) -> None:
    """Enable receive timestamps, if the kernel supports them."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


class ReceiveTimestamps:
    """Converts kernel timestamps to the monotonic clock, for all connections of a process."""

    __slots__ = ("_measured_at", "_monotonic", "_offset", "_stepped_at", "_wall")

    def __init__(
        self, monotonic: Callable[[], Nanoseconds] = monotonic_ns, wall: Callable[[], Nanoseconds] = time_ns
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._stepped_at: Nanoseconds = 0
        self._offset: Nanoseconds = 0
        self._measured_at: Nanoseconds = 0
        self._measure(monotonic())

    def received_at(self, ancillary: list[tuple[int, int, bytes]], sent: Nanoseconds, now: Nanoseconds) -> Nanoseconds:
        """When the kernel received what was read at *now*, after a request sent at *sent*; *now* if that is unknown."""
        if ancillary:
            level, kind, timestamp = ancillary[0]
            if kind == SO_TIMESTAMPNS and level == socket.SOL_SOCKET and len(timestamp) == _SIZE:
                if not -_STEP < self._wall() - now - self._offset < _STEP or now - self._measured_at > _MAX_AGE:
                    self._measure(now)
                seconds, nanoseconds = TIMESPEC.unpack(timestamp)
                instant: Nanoseconds = seconds * _BILLION + nanoseconds - self._offset
                if sent <= instant <= now and sent > self._stepped_at:
                    return instant
        return now

    def _measure(self, now: Nanoseconds) -> None:
        """
        Measure how far CLOCK_REALTIME is ahead of the monotonic clock.

        Of several tries, the quickest counts: it was not interrupted between the two readings.
        """
        before, self._measured_at = self._offset, now
        shortest = _BILLION
        for _ in range(_TRIES):
            start = self._monotonic()
            wall = self._wall()
            elapsed = self._monotonic() - start
            if elapsed < shortest:
                shortest, self._offset = elapsed, wall - start - elapsed // 2
        if abs(self._offset - before) > _STEP:
            self._stepped_at = now
