"""
Phases: changing arrival rates.

Each phase has a rate that is constant or changes linearly, optionally with a sine added to it. An arrival process of
rate 1 gets the changing rate by the time-rescaling theorem: its n-th event moves to the instant at which n events are
expected. A Poisson process thus remains one, and both kinds still depend only on the seed.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from chainproof.clock import PerSecond, Seconds

_TOLERANCE = 1e-14
"""The step at which Newton's method stops, as a share of the phase's duration: about the precision of a float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a run with its own name, duration and rate."""

    name: str
    duration: Seconds
    rate: PerSecond
    """The rate at the start."""
    final_rate: PerSecond
    """The rate at the end. In between, the rate changes linearly."""
    amplitude: PerSecond = 0.0
    """The amplitude of a sine that is added to the rate. It starts upwards."""
    period: Seconds = math.inf
    """The period of that sine."""
    judged: bool = True
    """True if figures and objectives are computed from this phase; False for a warm-up."""

    @property
    def expected_requests(self) -> float:
        """The expected number of requests."""
        return self.expected_by(self.duration)

    @property
    def peak_rate(self) -> PerSecond:
        """An upper bound of the rate."""
        return max(self.rate, self.final_rate) + self.amplitude

    def rate_at(self, instant: Seconds) -> PerSecond:
        """The rate at an instant, counted from the start of the phase."""
        line = self.rate + (self.final_rate - self.rate) * instant / self.duration
        return line + (self.amplitude * math.sin(math.tau * instant / self.period) if self.amplitude else 0.0)

    def expected_by(self, instant: Seconds) -> float:
        """The expected number of requests up to an instant: the integral of the rate."""
        slope = (self.final_rate - self.rate) / self.duration
        line = self.rate * instant + slope * instant * instant / 2
        if not self.amplitude:
            return line
        omega = math.tau / self.period
        # 2 sin² x/2 instead of 1 - cos x, which loses precision near 0.
        return line + self.amplitude / omega * 2 * math.sin(omega * instant / 2) ** 2

    def instant(self, count: float) -> Seconds:
        """
        The instant, from the start of the phase, by which *count* requests are expected.

        >>> Phase(name="ramp", duration=10.0, rate=0.0, final_rate=20.0).instant(25.0)
        5.0
        """
        if self.amplitude:
            return _inverse(self, count)
        slope = (self.final_rate - self.rate) / self.duration
        # The root of rate·t + slope·t²/2 = count, in a form that works for a slope of 0 and loses no precision.
        root = math.sqrt(max(self.rate * self.rate + 2 * slope * count, 0.0))
        return min(2 * count / (self.rate + root), self.duration) if count > 0 else 0.0

    def scaled(self, *, rate: float = 1.0, duration: float = 1.0) -> Phase:
        """The phase with its rate and duration multiplied by these factors."""
        return replace(
            self,
            duration=self.duration * duration,
            rate=self.rate * rate,
            final_rate=self.final_rate * rate,
            amplitude=self.amplitude * rate,
            period=self.period * duration,
        )


def _inverse(phase: Phase, count: float) -> Seconds:
    """The instant by which *count* requests are expected, by Newton's method with bisection as a fallback."""
    low, high = 0.0, phase.duration
    instant = phase.duration * count / phase.expected_requests
    for _ in range(200):
        missing = count - phase.expected_by(instant)
        low, high = (instant, high) if missing > 0 else (low, instant)
        rate = phase.rate_at(instant)
        step = missing / rate if rate > 0 else math.inf
        following = instant + step if low <= instant + step <= high else (low + high) / 2
        if abs(following - instant) <= _TOLERANCE * phase.duration:
            return following
        instant = following
    return instant


def phase_ends(phases: Sequence[Phase]) -> list[Seconds]:
    """The end of each phase, counted from the start of the run."""
    return list(accumulate(phase.duration for phase in phases))


def phase_at(instant: Seconds, phases: Sequence[Phase], ends: Sequence[Seconds]) -> Phase | None:
    """The phase at an instant, given the end of each phase; None after the last."""
    position = bisect_right(ends, instant)
    return phases[position] if position < len(phases) else None


def rescale_events(events: Iterable[float], phases: Sequence[Phase]) -> Iterator[Seconds]:
    """The ascending *events* of a process of rate 1, moved to intended starts in these phases."""
    remaining = iter(events)
    event = next(remaining, math.inf)
    phase_start, expected, previous = 0.0, 0.0, 0.0
    for phase in phases:
        last = math.nextafter(phase_start + phase.duration, 0.0)
        while event < expected + phase.expected_requests:
            # Rounding must not move a start into the next phase or before the previous start.
            previous = max(previous, min(phase_start + phase.instant(event - expected), last))
            yield previous
            event = next(remaining, math.inf)
        phase_start += phase.duration
        expected += phase.expected_requests
