"""
Whether a figure differs between the runs of two sides, and how large a difference would have been noticed.

Each run gives one value, such as the logarithm of its p95. Runs of the same target differ by more than the requests within
one tell: replicas, neighbours and caches change. So the variance is taken from run to run, never from pooled requests.

- Independent runs: Student's t with a variance that is pooled with that of earlier runs of the same workload (a moderated t;
  Smyth, Statistical Applications in Genetics and Molecular Biology 3(1), 2004, with the earlier runs as prior). Earlier runs
  that are significantly quieter (F test, 5 %) are left out. The variance is at least that within the runs.
- Pairs: t of the differences. What both runs of a pair share, such as a slow hour, is not in it.
- One duet: both runs received the same requests in the same seconds. The difference of the two quantiles is a sum over
  seconds, so its variance is that of batches of seconds (see `dependence`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

ERROR = 0.05
"""The two-sided probability of error of an interval, and of all metrics of a comparison together."""
POWER = 0.8
"""The probability with which the smallest detectable change is found."""
MAX_RUNS = 1000
"""The largest number of runs of one side that is recommended."""
_QUIETER = 0.05
"""Significance level below which earlier runs vary too little to be pooled with these."""
_LEAST_ERROR = 1e-9
"""Runs may agree exactly, such as throughputs of a constant number of answers per second."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RunValue:
    """The value of one run, with its standard error within the run."""

    value: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The value of the candidate minus that of the baseline."""

    value: float
    error: float
    """Its standard error. Without degrees of freedom: that within the runs, which is too small."""
    degrees_of_freedom: float
    """How certain the standard error is; 0 if the variance from run to run is unknown."""
    pairs: bool = False
    """Whether runs are compared in pairs."""
    runs: float = 1
    """Runs of a side, or pairs; if one side has more than the other, their harmonic mean."""
    freedom_of_duet: float = 0.0
    """The degrees of freedom that each duet adds; 0 if the standard error is known from run to run only."""
    history: int = 0
    """Earlier runs that the variance was taken from too."""
    freedom_of_history: int = 0
    """The degrees of freedom that these add."""

    @property
    def is_known(self) -> bool:
        """True if the standard error is known, so that something can be concluded."""
        return self.degrees_of_freedom >= 1.0

    def interval(self, error: float = ERROR) -> tuple[float, float]:
        """The two ends of the confidence interval. Raises ValueError if the standard error is unknown."""
        margin = _t(self.degrees_of_freedom, 1.0 - error / 2) * self.error
        return self.value - margin, self.value + margin

    def p_value_above(self, limit: float) -> float:
        """The probability of at least this difference if the true one is *limit*; 1 if nothing can be concluded."""
        if not self.is_known:
            return 1.0
        return float(scipy.special.stdtr(self.degrees_of_freedom, (limit - self.value) / self.error))

    def p_value_below(self, limit: float) -> float:
        """The probability of at most this difference if the true one is *limit*; 1 if nothing can be concluded."""
        if not self.is_known:
            return 1.0
        return float(scipy.special.stdtr(self.degrees_of_freedom, (self.value - limit) / self.error))

    @property
    def p_value(self) -> float:
        """The probability of a difference at least as large, in either direction, if there is none."""
        return min(2 * self.p_value_above(0.0), 2 * self.p_value_below(0.0), 1.0)

    def smallest_detectable(self, error: float = ERROR) -> float:
        """
        The true difference that would be detected with the probability `POWER`.

        If the standard error is unknown: at least this, since the runs differ by more than their requests tell.
        """
        return _margin(self.degrees_of_freedom or math.inf, error) * self.error

    def runs_needed(self, size: float, error: float = ERROR) -> int | None:
        """
        How many runs of each side, or pairs, are needed to tell a difference of this *size* from none; None for too many.

        The variance of a run is assumed to stay as it is. With *k* runs the standard error falls with 1 / √k.
        """
        variance_of_one = self.error**2 * self.runs
        for count in range(1, MAX_RUNS + 1):
            freedom: float = (count - 1) * (1 if self.pairs else 2) + self.freedom_of_history
            if self.freedom_of_duet:
                freedom = count * self.freedom_of_duet
            if _margin(freedom, error) * math.sqrt(variance_of_one / count) <= size:
                return count
        return None


def difference(
    candidate: Sequence[RunValue], baseline: Sequence[RunValue], history: Sequence[Sequence[float]] = ()
) -> Difference:
    """
    The difference of the means of independent runs.

    *history* are values of earlier runs of the same workload, in groups without a change of level between them.
    """
    sides = [np.array([run.value for run in side]) for side in (candidate, baseline)]
    groups = [np.asarray(group, dtype=np.float64) for group in history if len(group) > 1]
    squares, freedom = _squares(sides)
    earlier_squares, earlier_freedom = _squares(groups)
    used = bool(earlier_freedom) and not _is_quieter(earlier_squares, earlier_freedom, squares, freedom)
    if used:
        squares, freedom = squares + earlier_squares, freedom + earlier_freedom
    share = sum(1.0 / len(side) for side in sides)
    within = sum(
        float(np.sum(np.square([run.error for run in side]))) / len(side) ** 2 for side in (candidate, baseline)
    )
    between = squares / freedom * share if freedom else 0.0
    return Difference(
        value=float(sides[0].mean() - sides[1].mean()),
        error=max(math.sqrt(max(between, within)), _LEAST_ERROR),
        degrees_of_freedom=float(freedom),
        runs=2.0 / share,
        history=sum(map(len, groups)) if used else 0,
        freedom_of_history=earlier_freedom if used else 0,
    )


def paired_difference(pairs: Sequence[tuple[RunValue, RunValue]]) -> Difference:
    """The mean difference of pairs of a candidate and a baseline run."""
    values = [candidate.value - baseline.value for candidate, baseline in pairs]
    within = [math.hypot(candidate.error, baseline.error) for candidate, baseline in pairs]
    return _mean(values, within, freedom=len(pairs) - 1.0)


def mean_of_duets(duets: Sequence[Difference]) -> Difference:
    """The mean of the differences that duets show. Of several, the variance is also taken from duet to duet."""
    if len(duets) == 1:
        return duets[0]
    freedom = sum(each.degrees_of_freedom for each in duets)
    values, errors = [each.value for each in duets], [each.error for each in duets]
    return _mean(values, errors, freedom=freedom, freedom_of_duet=freedom / len(duets))


def _mean(
    values: Sequence[float], errors: Sequence[float], *, freedom: float, freedom_of_duet: float = 0.0
) -> Difference:
    """
    The mean of the differences of pairs, with a variance from pair to pair that is at least that within them.

    *freedom* are the degrees of freedom of the latter, of which each duet adds *freedom_of_duet*.
    """
    within = sum(error**2 for error in errors) / len(errors) ** 2
    between = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
    return Difference(
        value=float(np.mean(values)),
        error=max(math.sqrt(max(between, within)), _LEAST_ERROR),
        degrees_of_freedom=freedom if within >= between else len(values) - 1.0,
        pairs=True,
        runs=len(values),
        freedom_of_duet=freedom_of_duet if within >= between else 0.0,
    )


def _squares(groups: Sequence[_Floats]) -> tuple[float, int]:
    """The sum of squared deviations from the mean of each group, and its degrees of freedom."""
    squares = sum(float(np.square(group - group.mean()).sum()) for group in groups)
    return squares, sum(len(group) - 1 for group in groups)


def _is_quieter(earlier_squares: float, earlier_freedom: int, squares: float, freedom: int) -> bool:
    """True if the earlier runs vary significantly less than these."""
    if not freedom or not earlier_squares:
        return bool(freedom and squares)
    ratio = (squares / freedom) / (earlier_squares / earlier_freedom)
    return float(scipy.special.fdtrc(freedom, earlier_freedom, ratio)) < _QUIETER


def _t(freedom: float, probability: float) -> float:
    """The quantile of Student's t distribution."""
    if freedom < 1.0:
        raise ValueError(f"expected at least 1 degree of freedom, found {freedom}")
    return (
        float(scipy.special.stdtrit(freedom, probability))
        if math.isfinite(freedom)
        else float(scipy.special.ndtri(probability))
    )


def _margin(freedom: float, error: float) -> float:
    """How many standard errors a difference must have to be detected with the probability `POWER`."""
    return _t(freedom, 1.0 - error / 2) + _t(freedom, POWER) if freedom >= 1.0 else math.inf
