"""
Response times after the start of a run: the first ok answer, when response times had settled, and whether they became slower later.

A target that was scaled to zero makes its first callers wait or rejects them, and then has a queue. Figures over that time
and the time after it mix two populations. So the median response time of each second's ok answers is searched for changes of
its level (`statistics/level_shifts.py`), weighted by the number of answers; seconds with few answers are combined. Response times have settled after the last of the
first changes that are all to a lower level. A later change to a higher level is a slowdown: then they have not settled. If
more than half of the seconds come before, they had not settled when the run ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from chainproof.clock import Seconds
from chainproof.results.exchange import Result
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import Interval
from chainproof.statistics.level_shifts import MIN_SECONDS, level_shifts, levels

MIN_ANSWERS = 5
"""Ok answers whose median counts: seconds with fewer are combined."""
SIMILARITY = 0.1
"""Changes of the level by no more than this share do not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowdown:
    """A change to slower response times that did not come from the start of the run."""

    start: Seconds
    """When it began, in seconds since the run began."""
    before: Seconds
    after: Seconds
    """Typical medians of a second before and after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """The instants of a cold start, in seconds since the first request was due."""

    first_success: Seconds | None
    """When the first ok answer came; None if none did."""
    settling_time: Seconds | None
    """When response times had settled; None if they had not, or the run was too short to tell."""
    slowdown: Slowdown | None = None
    """The first slowdown after that; None if there was none."""
    first_request: Seconds = 0.0
    """When the first request was due, in seconds since the run began."""
    is_warm: bool = False
    """Whether the first ok answer came as fast as later ones, and response times did not fall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """Where a series has settled, as indices."""

    settled: int | None
    """None if the series is too short, settles beyond its middle, or rises later."""
    slower: int | None
    """The first rise after the first falls; None if there is none."""
    before: float = 0.0
    after: float = 0.0
    """The levels before and after the rise."""


def cold_start(run: Run, seconds: Sequence[Interval]) -> ColdStart:
    """The cold start of a run; *seconds* are its intervals, one per second, ascending."""
    answered = [each for each in seconds if each.count(Result.OK)]
    if not answered:
        return ColdStart(first_success=None, settling_time=None)
    # The first answers of every outcome are exemplars, which have exact times; without them the second must do.
    first_request = _first_request(run, seconds)
    ends = [each.intended_start + each.response_time for each in run.exemplars if each.result == Result.OK.value]
    first_ok = min(ends, default=float(answered[0].second + 1))
    spans = list(_spans(answered))
    found = settling([_median(span) for span in spans], [sum(each.count(Result.OK) for each in span) for span in spans])
    place = found.settled
    settling_time = None if place is None else max(first_ok, float(spans[place][0].second)) if place else first_ok
    slowdown = (
        None
        if found.slower is None
        else Slowdown(start=float(spans[found.slower][0].second), before=found.before, after=found.after)
    )
    usual = median(each.ok_quantile("p95") or 0.0 for each in answered[len(answered) // 2 :])
    return ColdStart(
        first_success=first_ok - first_request,
        settling_time=None if settling_time is None else settling_time - first_request,
        slowdown=slowdown,
        first_request=first_request,
        is_warm=not place and first_ok - first_request <= (1.0 + SIMILARITY) * usual,
    )


def _first_request(run: Run, seconds: Sequence[Interval]) -> Seconds:
    """When the first request was due: exactly, if it is an exemplar of the first second with requests; else that second."""
    second = next((each.second for each in seconds if each.planned), 0)
    return min(
        (each.intended_start for each in run.exemplars if int(each.intended_start) == second), default=float(second)
    )


def _spans(answered: Sequence[Interval]) -> list[list[Interval]]:
    """Consecutive seconds combined so that each part has at least `MIN_ANSWERS` ok answers, except for the last."""
    spans: list[list[Interval]] = []
    for second in answered:
        if spans and sum(each.count(Result.OK) for each in spans[-1]) < MIN_ANSWERS:
            spans[-1].append(second)
        else:
            spans.append([second])
    return spans


def _median(span: Sequence[Interval]) -> Seconds:
    """The median response time of the ok answers of some seconds, by the median of each second."""
    return median(
        each.ok_quantile("p50") or 0.0 for each in span for _ in range(each.count(Result.OK) if len(span) > 1 else 1)
    )


def settling(values: Sequence[float], weights: Sequence[float] | None = None) -> Settling:
    """
    Where *values* have settled, and where they rise later. *weights* are the numbers of requests behind them.

    >>> settling([9.0, 7.0, 5.0] + [1.0, 1.1] * 10).settled
    3
    >>> settling([1.0] * 150 + [2.0] * 150)
    Settling(settled=None, slower=150, before=1.0, after=2.0)
    """
    weights = weights if weights is not None else [1.0] * len(values)
    if len(values) < MIN_SECONDS:
        return Settling(settled=None, slower=None)
    shifts = level_shifts(values, weights, SIMILARITY)
    heights = levels(values, weights, shifts)
    settled = 0
    for shift, before, after in zip(shifts, heights, heights[1:], strict=False):
        if after > before:
            return Settling(settled=None, slower=shift, before=before, after=after)
        settled = shift
    return Settling(settled=settled if settled <= len(values) // 2 else None, slower=None)
