"""
The cold start of a run: when the first request was answered ok, and when response times had settled.

A target that was scaled to zero makes its first callers wait or rejects them, and then has a queue. Figures over that time
and the time after it mix two populations. The rule MSER (White, "An Effective Truncation Heuristic for Bias Reduction in
Simulation Output", Simulation 69(6), 1997) separates them: take the median response time of each second's ok answers, and
drop as many seconds at the front as minimise the standard error of the mean of the rest. If that drops more than half of
them, response times had not settled when the run ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from chainproof.clock import Seconds
from chainproof.results.exchange import Result
from chainproof.results.folder import Run
from chainproof.results.interval import Interval

MIN_SECONDS = 10
"""Seconds with ok answers below which settling cannot be determined."""
MIN_KEPT_SECONDS = 5
"""Seconds that are never dropped: the standard error of one or two means nothing."""
SIMILARITY = 0.1
"""If the dropped seconds are slower than the rest by no more than this share, nothing is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """The two instants of a cold start, in seconds since the run began."""

    first_success: Seconds | None
    """When the first request was answered ok; None if none was."""
    settling_time: Seconds | None
    """When response times had settled; None if they had not, or the run was too short to tell."""


def cold_start(run: Run, seconds: Sequence[Interval]) -> ColdStart:
    """The cold start of a run; *seconds* are its intervals, one per second, ascending."""
    answered = [each for each in seconds if each.count(Result.OK)]
    if not answered:
        return ColdStart(first_success=None, settling_time=None)
    # The first answers of every outcome are exemplars, which have exact times; without them the second must do.
    ends = [each.intended_start + each.response_time for each in run.exemplars if each.result == Result.OK.value]
    first = min(ends, default=float(answered[0].second + 1))
    medians = [(each.second, each.response_time[Result.OK].quantile(0.5) or 0.0) for each in answered]
    place = settling_index([median for _, median in medians])
    settling_time = None if place is None else max(first, float(medians[place][0])) if place else first
    return ColdStart(first_success=first, settling_time=settling_time)


def settling_index(values: Sequence[float]) -> int | None:
    """
    The index from which on *values* have settled, by MSER; None if that is beyond their middle.

    >>> settling_index([9.0, 7.0, 5.0] + [1.0, 1.1] * 10)
    3
    >>> settling_index([float(n) for n in range(20)]) is None
    True
    """
    if len(values) < MIN_SECONDS:
        return None
    errors = [_error(values[place:]) for place in range(len(values) - MIN_KEPT_SECONDS + 1)]
    place = errors.index(min(errors))
    if fmean(values[:place] or values) <= fmean(values[place:]) * (1 + SIMILARITY) and place <= len(values) // 2:
        return 0  # the dropped values are no slower than the rest
    return place if place <= len(values) // 2 else None


def _error(values: Sequence[float]) -> float:
    """The squared standard error of a mean, up to a constant factor."""
    mean = fmean(values)
    return sum((value - mean) ** 2 for value in values) / len(values) ** 2
