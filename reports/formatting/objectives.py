"""Objectives: observed value, share of good requests, and what would decide an inconclusive one."""

from __future__ import annotations

from chainproof.clock import Seconds, format_duration
from chainproof.judgement.objectives import ObjectiveResult, too_few_ok_text
from chainproof.judgement.verdict import Verdict
from chainproof.workload.objectives import DURATIONS, INSTANTS, Indicator

from .quantities import count, percent, rate

_NONE = 1e-6
"""A bound this close to 0 or 1 is shown as 0 % or 100 %."""


def observed(result: ObjectiveResult) -> str:
    """The observed value in its own unit, or why there is none."""
    indicator = result.objective.indicator
    if result.observed is None:
        if indicator in INSTANTS:
            return "not within the run"
        return too_few_ok_text(result.objective) if result.total else "no requests"
    if indicator in DURATIONS:
        return format_duration(result.observed)
    return rate(result.observed) if indicator is Indicator.THROUGHPUT else percent(result.observed)


def good_share(result: ObjectiveResult) -> str:
    """How many requests met the objective; empty where requests are not counted."""
    if result.share is None or result.good is None or result.total is None:
        return ""
    counts = f"{count(result.good)} of {count(result.total)} good"
    if not result.unknown:
        return f"{counts} ({percent(result.share.value)})"
    low, high = (percent(number / result.total) for number in (result.good, result.good + result.unknown))
    estimate = percent(result.share.value)
    return f"{counts}, {count(result.unknown)} unknown: from {low} to {high}, Kaplan–Meier estimate {estimate}"


def share_bounds(result: ObjectiveResult) -> str:
    """The interval of the good share with the confidence of its bounds; empty where requests are not counted."""
    share = result.share
    if share is None or share.low is None or share.high is None:
        return ""
    # A bound may be rounded away from the share: it then says less, and nothing wrong.
    low, high = (0.0 if share.low < _NONE else share.low), (1.0 if share.high > 1.0 - _NONE else share.high)
    lower, upper = (f"{100.0 * each:.3g} %" for each in result.confidence)
    confidence = f"confidence {lower}" if lower == upper else f"lower: confidence {lower}, upper: {upper}"
    return f"{percent(low)} – {percent(high)} ({confidence})"


def dependence(result: ObjectiveResult) -> str:
    """How much the requests depend on each other; empty if they do not, or are not counted."""
    found = result.dependence
    if found is None or not result.total or found.design_effect <= 1.0:
        return ""
    effective = max(round(result.total / found.design_effect), 1)
    return (
        f"design effect {found.design_effect:.3g} (they tell as much as {count(effective)} independent "
        f"request{'s' * (effective != 1)}), "
        f"correlation time {_correlation_time(found.correlation_time)}"
    )


def _correlation_time(seconds: Seconds) -> str:
    """A correlation time; requests are counted by the second, so a shorter one is not known."""
    return "below 1 s" if seconds < 1.0 else format_duration(seconds)


def more_requests_needed(result: ObjectiveResult) -> str:
    """What would decide an inconclusive objective; empty for the others."""
    if result.verdict is not Verdict.INCONCLUSIVE:
        return ""
    if result.nothing_ok:
        return "no request was answered ok"
    if result.is_undecided_by_censoring:
        return "a longer --drain would show how long the unknown ones take"
    if result.exceeds_plan:
        return "the planned rate is not above the threshold: raise --rate"
    if result.is_undecided_by_dependence and result.dependence is not None:
        needed = format_duration(result.dependence.seconds_needed)
        return f"the correlation time is more than a tenth of the run: run for at least {needed}"
    if result.more_requests_needed is None:
        return "no practical number of requests would decide it" if result.total else ""
    length = _length_of(result.total + result.more_requests_needed, result) if result.total else ""
    return f"a run with about {count(result.more_requests_needed)} more requests{length} would decide it (probability 80 %)"


def _length_of(requests: int, result: ObjectiveResult) -> str:
    """How long a run with so many requests is at the same rate; empty if it is unknown."""
    measured = result.dependence.seconds if result.dependence is not None else 0.0
    if not result.total or not measured:
        return ""
    return f" (at this rate {format_duration(measured * requests / result.total)} in all)"
