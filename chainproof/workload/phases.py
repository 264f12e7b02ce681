"""
A demand that changes: phases one after another, each with a rate that is level, rises or falls in a straight line, or
swings about that line like a sine.

A process of rate 1 becomes one of any changing rate by bending its time: its n-th event moves to the instant at which n
events are expected (the time-rescaling theorem). So a Poisson process stays one, with the rate of that instant, and an
even grid stays as even as a changing rate can be; both are still drawn from the seed alone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from chainproof.clock import PerSecond, Seconds

_CLOSE = 1e-14
"""Where Newton's steps stop, in lengths of a phase: what a float resolves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """
    A stretch of a run with a name, a length and a rate.
    """

    name: str
    duration: Seconds
    rate: PerSecond
    """At its beginning."""
    final_rate: PerSecond
    """At its end; in between the rate lies on the straight line."""
    amplitude: PerSecond = 0.0
    """How far the rate rises above the line, and falls below it, as a sine that begins upwards."""
    period: Seconds = math.inf
    """How long one amplitude up and down takes."""
    judged: bool = True
    """Whether figures and objectives are computed from it: a warm-up is not."""

    @property
    def expected_requests(self) -> float:
        """How many requests are expected in it."""
        return self.expected_by(self.duration)

    @property
    def peak_rate(self) -> PerSecond:
        """A rate that it never exceeds."""
        return max(self.rate, self.final_rate) + self.amplitude

    def rate_at(self, instant: Seconds) -> PerSecond:
        """The rate at an instant from the phase's beginning."""
        line = self.rate + (self.final_rate - self.rate) * instant / self.duration
        return line + (self.amplitude * math.sin(math.tau * instant / self.period) if self.amplitude else 0.0)

    def expected_by(self, instant: Seconds) -> float:
        """How many requests are expected up to an instant: the integral of the rate."""
        slope = (self.final_rate - self.rate) / self.duration
        line = self.rate * instant + slope * instant * instant / 2
        if not self.amplitude:
            return line
        turn = math.tau / self.period
        # 1 - cos x as 2 sin² x/2, which does not cancel near 0.
        return line + self.amplitude / turn * 2 * math.sin(turn * instant / 2) ** 2

    def instant(self, count: float) -> Seconds:
        """
        When so many requests are expected, from the phase's beginning.

        >>> Phase(name="ramp", duration=10.0, rate=0.0, final_rate=20.0).instant(25.0)
        5.0
        """
        if self.amplitude:
            return _inverse(self, count)
        slope = (self.final_rate - self.rate) / self.duration
        # The root of rate·t + slope·t²/2 = count in the form that neither divides by a slope of 0 nor cancels.
        root = math.sqrt(max(self.rate * self.rate + 2 * slope * count, 0.0))
        return min(2 * count / (self.rate + root), self.duration) if count > 0 else 0.0

    def scaled(self, *, rate: float = 1.0, duration: float = 1.0) -> Phase:
        """The same phase at so many times the rate and the length."""
        return replace(
            self,
            duration=self.duration * duration,
            rate=self.rate * rate,
            final_rate=self.final_rate * rate,
            amplitude=self.amplitude * rate,
            period=self.period * duration,
        )


def _inverse(phase: Phase, count: float) -> Seconds:
    """
    When so many requests are expected, by Newton's steps; one that leaves what encloses the answer halves that instead.
    """
    low, high = 0.0, phase.duration
    instant = phase.duration * count / phase.expected_requests
    for _ in range(200):
        missing = count - phase.expected_by(instant)
        low, high = (instant, high) if missing > 0 else (low, instant)
        rate = phase.rate_at(instant)
        step = missing / rate if rate > 0 else math.inf
        after = instant + step if low <= instant + step <= high else (low + high) / 2
        if abs(after - instant) <= _CLOSE * phase.duration:
            return after
        instant = after
    return instant


def phase_ends(phases: Sequence[Phase]) -> list[Seconds]:
    """
    When each phase ends, from the run's beginning.
    """
    return list(accumulate(phase.duration for phase in phases))


def phase_at(instant: Seconds, phases: Sequence[Phase], until: Sequence[Seconds]) -> Phase | None:
    """
    The phase that an instant lies in, given when each of them ends; None after the last.
    """
    place = bisect_right(until, instant)
    return phases[place] if place < len(phases) else None


def rescale_events(events: Iterable[float], phases: Sequence[Phase]) -> Iterator[Seconds]:
    """
    The ascending *events* of a process of rate 1 as intended starts in these phases, up to the end of the last.
    """
    rest = iter(events)
    event = next(rest, math.inf)
    begun, counted, before = 0.0, 0.0, 0.0
    for phase in phases:
        last = math.nextafter(begun + phase.duration, 0.0)
        while event < counted + phase.expected_requests:
            # Rounding must carry no start into the next phase, nor before the one before it.
            before = max(before, min(begun + phase.instant(event - counted), last))
            yield before
            event = next(rest, math.inf)
        begun += phase.duration
        counted += phase.expected_requests
