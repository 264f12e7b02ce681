"""Percentiles of times with their confidence intervals."""

from __future__ import annotations

from chainproof.clock import Seconds
from chainproof.durations import format_duration
from chainproof.judgement.load_summary import Timing

TIMINGS: dict[str, str] = {
    "response_time_s": "response time",
    "service_time_s": "service time",
    "schedule_lag_s": "schedule lag",
}
"""Column titles, in the order of every report."""

MEANINGS: dict[str, str] = {
    "response_time_s": "from the intended start",
    "service_time_s": "from the actual start",
    "schedule_lag_s": "delay of the load generator",
}

TOO_FEW = "too few"
"""Shown where there are too few answers for a confidence bound."""


def columns(timing: Timing) -> dict[str, Seconds | None]:
    """Values by column: p50 … p99.9, max."""
    return {name: estimate.value for name, estimate in timing.quantiles.items()} | {"max": timing.max}


def too_few(timing: Timing, column: str) -> bool:
    """True if a quantile has no upper confidence bound, so that the true value may be much higher."""
    estimate = timing.quantiles.get(column)
    return estimate is not None and estimate.high is None


def interval(timing: Timing, column: str) -> str:
    """The 95 % interval of a quantile, "too few" for a missing bound; empty where nothing was counted."""
    estimate = timing.quantiles.get(column)
    if estimate is None:
        return ""
    if estimate.low is None and estimate.high is None:
        return TOO_FEW
    return " – ".join(TOO_FEW if end is None else format_duration(end) for end in (estimate.low, estimate.high))
