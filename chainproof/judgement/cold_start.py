"""
How a run began: when the first request was answered ok, and when response times had settled.

A target that was scaled to zero makes its first callers wait, refuses them, or both; then it works through what has
queued up. Figures over all of that mix two populations. Where the first ends is found by the rule MSER (White, "An
Effective Truncation Heuristic for Bias Reduction in Simulation Output", Simulation 69(6), 1997): of the median response
time of each second's ok answers, leave out from the front as many seconds as make the standard error of the mean of the
rest least. More than half of them left out means that they had not settled when the run ended.
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
"""With fewer seconds of ok answers nothing can be said about settling."""
MIN_KEPT_SECONDS = 5
"""So many are never left out: the standard error of one or two says nothing."""
SIMILARITY = 0.1
"""What is left out may be this much slower than the rest, as a share of it, and still be like it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """
    Two instants of a run, in seconds since it began.
    """

    first_success: Seconds | None
    """When the first request was answered ok; None when none was."""
    settling_time: Seconds | None
    """From when on response times were what they remained; None when they were not, or the run was too short to say."""


def cold_start(run: Run, seconds: Sequence[Interval]) -> ColdStart:
    """
    How a run began; *seconds* are its intervals, one a second, ascending.
    """
    answered = [each for each in seconds if each.count(Result.OK)]
    if not answered:
        return ColdStart(first_success=None, settling_time=None)
    # The first answers of every outcome are exemplars, and those know their instant; a second is the next best.
    ends = [each.intended_start + each.response_time for each in run.exemplars if each.result == Result.OK.value]
    first = min(ends, default=float(answered[0].second + 1))
    medians = [(each.second, each.response_time[Result.OK].quantile(0.5) or 0.0) for each in answered]
    place = settling_index([median for _, median in medians])
    settling_time = None if place is None else max(first, float(medians[place][0])) if place else first
    return ColdStart(first_success=first, settling_time=settling_time)


def settling_index(values: Sequence[float]) -> int | None:
    """
    From which place on *values* are what they remain, by MSER; None where that is not before their middle.

    >>> settling([9.0, 7.0, 5.0] + [1.0, 1.1] * 10)
    3
    >>> settling([float(n) for n in range(20)]) is None
    True
    """
    if len(values) < MIN_SECONDS:
        return None
    errors = [_error(values[place:]) for place in range(len(values) - MIN_KEPT_SECONDS + 1)]
    place = errors.index(min(errors))
    if fmean(values[:place] or values) <= fmean(values[place:]) * (1 + SIMILARITY) and place <= len(values) // 2:
        return 0  # what it would leave out is no slower than the rest
    return place if place <= len(values) // 2 else None


def _error(values: Sequence[float]) -> float:
    """
    The squared standard error of a mean, but for a factor that is the same for all.
    """
    mean = fmean(values)
    return sum((value - mean) ** 2 for value in values) / len(values) ** 2
