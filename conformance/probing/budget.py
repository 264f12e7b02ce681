"""
How much time a run has left, and which part of each check's requests is sent in it.

If a target is too slow for all requests, a run has two rounds. The first sends the requests that find most faults, of every
check; the second sends the rest until the time is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock

from chainproof.clock import Clock, PerSecond, Seconds, format_duration, monotonic

from ..transport.check_skipped import RunCut

FIRST_EXAMPLES = 3
"""Examples that a generating check draws in the first round."""

_SMALLEST: Seconds = 1e-3
"""A time left that counts as nothing."""

_RESERVE: Seconds = 2.0
"""Time for the end of a run, when no more requests are sent: at most this, and at most a tenth."""

_UNKNOWN_LABELS = 3
"""Requests of a check that the power table does not know, sent in the first round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTimes:
    """How long a target takes to answer."""

    accepted: Seconds = 0.0
    """For a request that reaches the chain."""
    rejected: Seconds = 0.0
    """For a request that does not, such as one without a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """What a run may spend from now on; infinite where there is no limit."""

    seconds: Seconds = float("inf")
    requests: float = float("inf")
    rate: PerSecond = float("inf")
    concurrency: int = 1


class TimeBudget:
    """The time until which a run may send requests. Any thread may use it."""

    def __init__(
        self, seconds: Seconds = float("inf"), *, clock: Clock = monotonic, within: TimeBudget | None = None
    ) -> None:
        self.seconds = seconds
        """Length of the run; infinite if there is no limit."""
        self.stopped = ""
        """Why no more requests may be sent; empty if they may."""
        self._clock = clock
        self.began: Seconds = clock()
        """When the run began."""
        self._within = within

    @property
    def passed(self) -> Seconds:
        """Seconds since the run began."""
        return self._clock() - self.began

    @property
    def left(self) -> Seconds:
        """Seconds in which requests may be sent and answered."""
        if self.stopped:
            return 0.0
        outer = float("inf") if self._within is None else self._within.left
        left = min(outer, self.began + self.seconds - min(_RESERVE, self.seconds / 10) - self._clock())
        return left if left > _SMALLEST else 0.0

    def part(self, seconds: Seconds) -> TimeBudget:
        """A part of this budget, for one check."""
        return TimeBudget(seconds, clock=self._clock, within=self)

    def end_within(self, seconds: Seconds) -> None:
        """Let the run last this long from now on."""
        self.seconds = self._clock() - self.began + seconds

    def stop(self, why: str) -> None:
        """Let no more requests be sent."""
        self.stopped = self.stopped or why
        if self._within is not None:
            self._within.stop(why)

    def deadline(self, deadline: Seconds) -> Seconds:
        """The time limit for the next answer: *deadline*, or less if less is left. Raises RunCut if nothing is left."""
        left = self.left
        if left <= 0:
            raise self.ended
        return min(deadline, left)

    @property
    def ended(self) -> RunCut:
        """Why no more requests are sent."""
        if self._within is not None and self._within.left <= 0:
            return self._within.ended
        if self.stopped:
            return RunCut("a target that goes on answering", self.stopped)
        return RunCut("more time", f"the {format_duration(self.seconds)} of --time-budget are over")


class Round(Enum):
    """Which requests of a check are sent."""

    ALL = "all"
    FIRST = "first"
    """Those that find most faults."""
    REST = "rest"
    """Those that the first round left out."""


@dataclass(slots=True, kw_only=True)
class CheckScope:
    """The part of one check's requests that is sent, and what came of it. Any thread may use it."""

    name: str = ""
    """The check's title."""
    round: Round = Round.ALL
    labels: Mapping[str, int] | None = None
    """The labels of the first round, and how many requests of each; None if the check is not in the power table."""
    examples_scale: float = 1.0
    """Share of the generated examples that the run has time for."""
    most: float = float("inf")
    """Requests after which the check ends, so that others get some of the run's."""
    sent_count: int = 0
    reached_count: int = 0
    """Requests that the chain itself answered."""
    left_out: int = 0
    """Requests that this round left out."""
    seen: Counter[str] = field(default_factory=Counter)
    """Labels of the requests that are independent of each other, sent or not."""
    _lock: Lock = field(default_factory=Lock)

    def count_request(self) -> None:
        """Count one request."""
        with self._lock:
            self.sent_count += 1

    def count_answer(self, status: int) -> None:
        """Count an answer that came from the chain: an output or a failure."""
        with self._lock:
            self.reached_count += status == 200 or status >= 500

    def is_selected(self, label: str) -> bool:
        """Whether the next request with a label belongs to this round."""
        with self._lock:
            self.seen[label] += 1
            if self.round is Round.ALL:
                return True
            if self.labels is None:
                is_first = self.seen.total() <= _UNKNOWN_LABELS
            else:
                is_first = self.seen[label] <= self.labels.get(label, 0)
            self.left_out += not is_first and self.round is Round.FIRST
            return is_first is (self.round is Round.FIRST)

    def share(self, planned: int, first: int = FIRST_EXAMPLES) -> int:
        """How many of *planned* similar requests are sent in this round; the first round sends *first* of them."""
        first = min(first, planned)
        count = max(first, round(planned * self.examples_scale))
        if self.round is Round.ALL:
            return count
        is_rest = self.round is Round.REST
        with self._lock:
            self.left_out += planned - (count if is_rest else first)
        return count - first if is_rest else first
