"""
How long a run waits for a busy, slow or silent target, and when it stops sending.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from typing import Self

from chainproof.clock import Seconds
from chainproof.durations import format_duration
from chainproof.results.exchange import Transport

from ..options import MAX_BUSY_WAIT, Depth
from ..transport.check_skipped import CheckSkipped

_IDLE_BY_DEPTH: dict[Depth, Seconds] = {Depth.QUICK: 0.4, Depth.STANDARD: 1.2, Depth.DEEP: 5.5}

_MIN_MEASURED = 20
"""Exchanges that have to be measured before a target counts as slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """
    How long a run waits, and when it gives up.
    """

    retry_pauses: tuple[Seconds, ...] = (0.1, 0.3, 1.0, 2.0)
    """Pauses before each further attempt at a request that found the target busy."""
    max_busy_wait: Seconds = MAX_BUSY_WAIT[Depth.STANDARD]
    """Sum of these pauses in one run."""
    max_misses: int = 3
    """Missed deadlines in all, or failed connection attempts in a row, after which a run sends no more requests."""
    fast_exchange: Seconds = 0.025
    """Median duration up to which a target counts as fast. Slower ones get fewer requests, in proportion."""
    shrink_requests: int = 200
    """Requests that a generating check may send to make one violating example smaller."""
    idle: Seconds = _IDLE_BY_DEPTH[Depth.STANDARD]
    """How long a connection stays idle before it is used again. Many servers keep one for five seconds."""
    close: Seconds = 2.0
    """How long a target may take to close a connection that it has to close."""
    optional_answer: Seconds = 0.4
    """How long to wait for an answer to a malformed message. Many servers wait for the rest of it instead."""
    continue_answer: Seconds = 1.0
    """How long to wait for `100 Continue` before the body is sent anyway (RFC 9110 §10.1.1)."""

    @classmethod
    def for_depth(cls, depth: Depth) -> Self:
        """The waits of a run at a depth."""
        return cls(max_busy_wait=MAX_BUSY_WAIT[depth], idle=_IDLE_BY_DEPTH[depth])


class TargetBehaviour:
    """
    How the target has behaved so far: durations, missed deadlines, failed connection attempts, and time spent waiting.
    """

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._durations: deque[Seconds] = deque(maxlen=200)
        self._busy_wait_left = waits.max_busy_wait
        self._missed = 0
        self._failed_connects = 0

    def add_duration(self, seconds: Seconds) -> None:
        """Add how long one exchange took."""
        self._durations.append(seconds)

    def add_result(self, transport: Transport) -> None:
        """Add how one exchange ended."""
        self._missed += transport is Transport.DEADLINE
        self._failed_connects = self._failed_connects + 1 if transport is Transport.CONNECT_FAILED else 0

    def take_pause(self, pause: Seconds) -> bool:
        """
        Take a pause from the time left to wait for a busy target. Returns False if less than that is left.
        """
        if self._busy_wait_left < pause:
            return False
        self._busy_wait_left -= pause
        return True

    @property
    def scale_factor(self) -> float:
        """Scale factor (0 to 1) for the number of requests on slow targets."""
        if len(self._durations) < _MIN_MEASURED:
            return 1.0
        median, fast = statistics.median(self._durations), self._waits.fast_exchange
        return 1.0 if median <= fast else fast / median

    def check_is_answering(self, deadline: Seconds) -> None:
        """
        Raises CheckSkipped if the target has stopped answering; *deadline* is the one of each exchange.
        """
        limit = self._waits.max_misses
        if self._missed >= limit:
            raise CheckSkipped(
                f"the target left {limit} requests without an answer for {format_duration(deadline)} each, "
                "so no more are sent"
            )
        if self._failed_connects >= limit:
            raise CheckSkipped(f"the target failed {limit} connection attempts in a row, so no more are made")
