"""
Shares that can only fall from one level to the next: estimates and bounds that use the neighbours.

If shares do not rise with the rate, then the requests of several neighbouring rates together say something about each of
them: their common share is at most that of the lowest rate, and at least that of the highest one. So the lower bound at a
rate is the best one over all ranges that begin there, the upper bound the best one over all ranges that end there, and the
estimate is the isotonic regression in its max-min form, which the pool-adjacent-violators algorithm computes (Barlow et al.,
Statistical Inference under Order Restrictions, 1972).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainproof.statistics.confidence_intervals import ShareEstimate, proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCounts:
    """Requests at one level."""

    good: int
    unknown: int = 0
    """Requests that may be good as well."""
    total: int
    effective: float
    """The number of independent requests that tell as much."""


def falling_shares(levels: Sequence[LevelCounts], confidence: float) -> list[ShareEstimate]:
    """The share at each level, in ascending order, with its interval."""
    count = len(levels)
    windows = {(a, b): _merged(levels[a : b + 1]) for a in range(count) for b in range(a, count)}
    intervals = {place: _interval(each, confidence) for place, each in windows.items()}
    values = {place: estimate.value for place, estimate in intervals.items()}
    return [
        ShareEstimate(
            value=min(max(values[a, b] for b in range(place, count)) for a in range(place + 1)),
            low=max(intervals[place, b].low for b in range(place, count)),
            high=min(intervals[a, place].high for a in range(place + 1)),
        )
        for place in range(count)
    ]


def _merged(levels: Sequence[LevelCounts]) -> LevelCounts:
    return LevelCounts(
        good=sum(level.good for level in levels),
        unknown=sum(level.unknown for level in levels),
        total=sum(level.total for level in levels),
        effective=sum(level.effective for level in levels),
    )


def _interval(level: LevelCounts, confidence: float) -> ShareEstimate:
    """The share of good requests; unknown ones count as bad for the lower end, as good for the upper end."""
    if not level.total:
        return ShareEstimate(value=0.0, low=0.0, high=1.0)
    scale = max(level.effective, 1.0) / level.total
    size = level.total * scale
    best = level.good + level.unknown
    low = proportion(level.good * scale, size, confidence)
    high = low if not level.unknown else proportion(best * scale, size, confidence)
    return ShareEstimate(value=best / level.total, low=low.low, high=high.high)
