"""
Parse service level objectives: an indicator, a comparison and a threshold.

`p95 response_time < 800ms` · `max service_time <= 2s` · `error_rate < 1%` · `throughput > 90/s` · `first_success < 30s`
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from chainproof.clock import parse_duration
from chainproof.errors import UsageError


class Indicator(StrEnum):
    """The measured quantity of an objective."""

    RESPONSE_TIME = "response_time"
    """From the intended start to the end of the answer."""
    SERVICE_TIME = "service_time"
    """From the actual start to the end of the answer."""
    SCHEDULE_LAG = "schedule_lag"
    """From the intended start to the actual start: how late the load generator was."""
    ERROR_RATE = "error_rate"
    """The share of planned requests whose result is not ok."""
    THROUGHPUT = "throughput"
    """Ok answers per second."""
    FIRST_SUCCESS = "first_success"
    """From the start of the run to the first ok answer."""
    SETTLING_TIME = "settling_time"
    """From the start of the run until response times have settled."""


TIMES = (Indicator.RESPONSE_TIME, Indicator.SERVICE_TIME, Indicator.SCHEDULE_LAG)
"""Indicators with one value per request: an objective names a percentile."""
INSTANTS = (Indicator.FIRST_SUCCESS, Indicator.SETTLING_TIME)
"""Indicators with one value per run."""
DURATIONS = (*TIMES, *INSTANTS)
"""Indicators whose threshold has a unit of time."""


class ObjectiveError(UsageError):
    """A text that is not a valid objective."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One objective of a run."""

    text: str
    """The text as written, with single blanks."""
    indicator: Indicator
    lower_is_better: bool
    """True if values below the threshold meet the objective."""
    inclusive: bool
    """True if the threshold itself meets the objective."""
    threshold: float
    """In seconds, as a fraction, or per second."""
    quantile: float | None = None
    """0.95 for p95, 1.0 for max; None for indicators without a percentile."""

    def meets(self, value: float) -> bool:
        """True if a value meets the objective."""
        if value == self.threshold:
            return self.inclusive
        return (value < self.threshold) is self.lower_is_better


_EXAMPLES = "'p95 response_time < 800ms', 'error_rate < 1%' or 'throughput > 90/s'"
_STATISTICS = "a percentile such as p50, p95 or p99.9, or max"
_COMPARISON = re.compile(r"[<>]=?")
_OBJECTIVE = re.compile(
    r"(?:(?P<statistic>max|p\d{1,2}(?:\.\d+)?)\s+)?(?P<indicator>[a-z_]+)\s*(?P<comparison><=|>=|<|>)\s*(?P<threshold>\S.*)"
)


def parse_objective(text: str) -> Objective:
    """
    The objective in *text*.

    >>> parse_objective("p95 response_time < 800ms").threshold
    0.8
    >>> parse_objective("error_rate < 1%").threshold
    0.01

    Raises ObjectiveError.
    """
    tidy = " ".join(text.split())
    if len(_COMPARISON.findall(tidy)) > 1:
        raise ObjectiveError(
            f"expected one objective, found several in {text!r}: give each its own --objective, or its own text in a workload file"
        )
    match = _OBJECTIVE.fullmatch(tidy)
    if match is None:
        raise ObjectiveError(f"expected an objective such as {_EXAMPLES} (of a time {_STATISTICS}), found {text!r}")
    if match["indicator"] not in [indicator.value for indicator in Indicator]:
        raise ObjectiveError(f"expected one of {', '.join(Indicator)}, found {match['indicator']!r} in {text!r}")
    indicator = Indicator(match["indicator"])
    lower_is_better = match["comparison"].startswith("<")
    if lower_is_better is (indicator is Indicator.THROUGHPUT):
        raise ObjectiveError(f"expected {'>' if lower_is_better else '<'} for {indicator}, found {text!r}")
    if (indicator in TIMES) is (match["statistic"] is None):
        count = _STATISTICS if indicator in TIMES else "no percentile"
        raise ObjectiveError(f"expected {count} before {indicator}, found {text!r}")
    threshold = _threshold(indicator, match["threshold"], text)
    inclusive = match["comparison"].endswith("=")
    if indicator is Indicator.ERROR_RATE and not inclusive and threshold == 0:
        raise ObjectiveError(f"expected <= 0%, since no error rate is below 0, found {text!r}")
    return Objective(
        text=tidy,
        indicator=indicator,
        lower_is_better=lower_is_better,
        inclusive=inclusive,
        threshold=threshold,
        quantile=_quantile(match["statistic"], text),
    )


def _quantile(statistic: str | None, text: str) -> float | None:
    """0.95 for `p95`, 1.0 for `max`, None for None."""
    if statistic is None or statistic == "max":
        return None if statistic is None else 1.0
    fraction = round(float(statistic[1:]) / 100, 12)
    if not 0 < fraction < 1:
        raise ObjectiveError(f"expected a percentile above 0 and below 100, found {text!r}")
    return fraction


def _threshold(indicator: Indicator, threshold: str, text: str) -> float:
    """The threshold in seconds, as a fraction, or per second."""
    parse = _time if indicator in DURATIONS else _rate if indicator is Indicator.THROUGHPUT else _share
    try:
        return parse(threshold, text)
    except ValueError as error:
        raise ObjectiveError(f"cannot read the threshold of {text!r}: {error}") from None


def _time(threshold: str, text: str) -> float:
    """A duration in seconds. A unit is required, since a bare 800 could mean seconds or milliseconds."""
    if not threshold[-1].isalpha():
        raise ObjectiveError(f"expected a unit, as in {threshold}ms or {threshold}s, found {text!r}")
    return parse_duration(threshold)


def _rate(threshold: str, text: str) -> float:
    """A finite rate per second."""
    rate = float(threshold.removesuffix("/s"))
    if not (math.isfinite(rate) and rate >= 0):
        raise ObjectiveError(f"expected a rate of at least 0/s, found {text!r}")
    return rate


def _share(threshold: str, text: str) -> float:
    """The fraction in a percentage."""
    if not threshold.endswith("%"):
        raise ObjectiveError(f"expected a percentage such as 1%, found {text!r}")
    fraction = float(threshold.removesuffix("%")) / 100
    if not 0 <= fraction <= 1:
        raise ObjectiveError(f"expected a share from 0% to 100%, found {text!r}")
    return fraction
