"""
Service level objectives: an indicator, a comparison, a threshold, as a person writes them.

`p95 response_time < 800ms` · `max service_time <= 2s` · `error_rate < 1%` · `throughput > 90/s` · `first_success < 30s`
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from chainproof.durations import parse_duration
from chainproof.errors import UsageError


class Indicator(StrEnum):
    """
    What is measured.
    """

    RESPONSE_TIME = "response_time"
    """What the caller waited, from the intended start."""
    SERVICE_TIME = "service_time"
    """What the wire took, from the actual start."""
    SCHEDULE_LAG = "schedule_lag"
    """How late the generator was."""
    ERROR_RATE = "error_rate"
    """The share of planned requests that did not end ok."""
    THROUGHPUT = "throughput"
    """Answers that were ok, per second."""
    FIRST_SUCCESS = "first_success"
    """When the first request was answered ok, from the run's beginning."""
    SETTLING_TIME = "settling_time"
    """From when on response times were what they remained, from the run's beginning."""


TIMES = (Indicator.RESPONSE_TIME, Indicator.SERVICE_TIME, Indicator.SCHEDULE_LAG)
"""What every request has one of: an objective names a percentile."""
INSTANTS = (Indicator.FIRST_SUCCESS, Indicator.SETTLING_TIME)
"""What a run has one of."""
DURATIONS = (*TIMES, *INSTANTS)
"""What is written with a unit of time."""


class ObjectiveError(UsageError):
    """
    A text that is no objective; the message says what was expected and what was found.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """
    One statement about a run that is either met, missed or left open.
    """

    text: str
    """As written, blanks tidied."""
    indicator: Indicator
    lower_is_better: bool
    """Whether small values are good."""
    inclusive: bool
    """Whether the threshold itself is good."""
    threshold: float
    """Seconds, a fraction, or per second."""
    quantile: float | None = None
    """Of a time: 0.95 for p95, 1.0 for max; None for the other indicators."""

    def meets(self, value: float) -> bool:
        """Whether one value is on the good side."""
        if value == self.threshold:
            return self.inclusive
        return (value < self.threshold) is self.lower_is_better


_EXAMPLES = "'p95 response_time < 800ms', 'error_rate < 1%' or 'throughput > 90/s'"
_OBJECTIVE = re.compile(
    r"(?:(?P<statistic>max|p\d{1,2}(?:\.\d+)?)\s+)?(?P<indicator>[a-z_]+)\s*(?P<comparison><=|>=|<|>)\s*(?P<threshold>\S.*)"
)


def parse_objective(text: str) -> Objective:
    """
    The objective that *text* states.

    >>> parse_objective("p95 response_time < 800ms").threshold
    0.8
    >>> parse_objective("error_rate < 1%").threshold
    0.01

    Raises ObjectiveError.
    """
    tidy = " ".join(text.split())
    match = _OBJECTIVE.fullmatch(tidy)
    if match is None or match["indicator"] not in [indicator.value for indicator in Indicator]:
        raise ObjectiveError(
            f"expected an objective such as {_EXAMPLES} (indicators: {', '.join(Indicator)}), found {text!r}"
        )
    indicator = Indicator(match["indicator"])
    lower_is_better = match["comparison"].startswith("<")
    if lower_is_better is (indicator is Indicator.THROUGHPUT):
        raise ObjectiveError(f"expected {'>' if lower_is_better else '<'} for {indicator}, found {text!r}")
    if (indicator in TIMES) is (match["statistic"] is None):
        wanted = (
            f"a percentile or max before {indicator}" if indicator in TIMES else f"no percentile before {indicator}"
        )
        raise ObjectiveError(f"expected {wanted}, found {text!r}")
    threshold = _threshold(indicator, match["threshold"], text)
    inclusive = match["comparison"].endswith("=")
    if indicator is Indicator.ERROR_RATE and not inclusive and threshold == 0:
        raise ObjectiveError(f"nothing is below 0: expected <= in {text!r}")
    return Objective(
        text=tidy,
        indicator=indicator,
        lower_is_better=lower_is_better,
        inclusive=inclusive,
        threshold=threshold,
        quantile=_quantile(match["statistic"], text),
    )


def _quantile(statistic: str | None, text: str) -> float | None:
    """
    0.95 for `p95`, 1.0 for `max`.
    """
    if statistic is None or statistic == "max":
        return None if statistic is None else 1.0
    fraction = round(float(statistic[1:]) / 100, 12)
    if not 0 < fraction < 1:
        raise ObjectiveError(f"expected a percentile above 0 and below 100, found {text!r}")
    return fraction


def _threshold(indicator: Indicator, written: str, text: str) -> float:
    """
    Seconds, a fraction, or per second.
    """
    read = _time if indicator in DURATIONS else _rate if indicator is Indicator.THROUGHPUT else _share
    try:
        return read(written, text)
    except ValueError as wrong:
        raise ObjectiveError(f"cannot read the threshold of {text!r}: {wrong}") from None


def _time(written: str, text: str) -> float:
    """
    Seconds. A bare 800 would be 800 seconds to us and 800 milliseconds to whoever wrote it.
    """
    if not written[-1].isalpha():
        raise ObjectiveError(f"expected a unit, as in {written}ms or {written}s, found {text!r}")
    return parse_duration(written)


def _rate(written: str, text: str) -> float:
    """
    A rate that a run can be held against: nan is neither above nor below anything.
    """
    rate = float(written.removesuffix("/s"))
    if not (math.isfinite(rate) and rate >= 0):
        raise ObjectiveError(f"expected a rate of at least 0/s, found {text!r}")
    return rate


def _share(written: str, text: str) -> float:
    """
    A fraction, written as a percentage.
    """
    if not written.endswith("%"):
        raise ObjectiveError(f"expected a percentage such as 1%, found {text!r}")
    fraction = float(written.removesuffix("%")) / 100
    if not 0 <= fraction <= 1:
        raise ObjectiveError(f"expected a share from 0% to 100%, found {text!r}")
    return fraction
