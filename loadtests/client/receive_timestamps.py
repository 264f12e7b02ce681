"""
When the kernel received what was read, on the monotonic clock.

Linux stamps each packet as it comes in (SO_TIMESTAMPNS), so an answer that waits in the socket's buffer while this
process is busy is not charged to the target. A read of several packets carries the stamp of the last, which is the one
that completes an answer.

The stamps are CLOCK_REALTIME's, and that clock may be stepped. Its distance from the monotonic clock is therefore
measured again and again; a stamp is taken when the distance has not changed since the request was sent and the stamp
lies between that moment and the present. Where there is none to be taken, the instant is that of the read.
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
"""Room for a stamp beside the bytes of a read."""

_BILLION = 1_000_000_000
_STEP: Nanoseconds = 1_000_000
"""A distance that differs by more than this has been stepped, or is badly measured: it is measured with care."""
_STALE: Nanoseconds = 500_000_000
"""A distance is measured anew this often: clocks that are slewed drift by up to half a microsecond in a millisecond."""
_TRIES = 5


def enable_receive_timestamps(connection: socket.socket) -> None:
    """
    Ask the kernel for receive times; one that has none to give is done without.
    """
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


class ReceiveTimestamps:
    """
    The kernel's receive times on the monotonic clock, for all connections of a process.
    """

    __slots__ = ("_distance", "_measured", "_monotonic", "_stepped", "_wall")

    def __init__(
        self, monotonic: Callable[[], Nanoseconds] = monotonic_ns, wall: Callable[[], Nanoseconds] = time_ns
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._stepped: Nanoseconds = 0
        self._distance: Nanoseconds = 0
        self._measured: Nanoseconds = 0
        self._measure(monotonic())

    def received_at(self, ancillary: list[tuple[int, int, bytes]], sent: Nanoseconds, now: Nanoseconds) -> Nanoseconds:
        """
        When the kernel received what was read *now*, after something was *sent*; *now* where that is not known.
        """
        if ancillary:
            level, kind, stamp = ancillary[0]
            if kind == SO_TIMESTAMPNS and level == socket.SOL_SOCKET and len(stamp) == _SIZE:
                if not -_STEP < self._wall() - now - self._distance < _STEP or now - self._measured > _STALE:
                    self._measure(now)
                seconds, nanoseconds = TIMESPEC.unpack(stamp)
                instant: Nanoseconds = seconds * _BILLION + nanoseconds - self._distance
                if sent <= instant <= now and sent > self._stepped:
                    return instant
        return now

    def _measure(self, now: Nanoseconds) -> None:
        """
        Measure how far the clock on the wall is ahead: of several tries the one that took least, for whoever is
        interrupted between two looks reads two different moments.
        """
        before, self._measured = self._distance, now
        least = _BILLION
        for _ in range(_TRIES):
            begun = self._monotonic()
            wall = self._wall()
            took = self._monotonic() - begun
            if took < least:
                least, self._distance = took, wall - begun - took // 2
        if abs(self._distance - before) > _STEP:
            self._stepped = now
