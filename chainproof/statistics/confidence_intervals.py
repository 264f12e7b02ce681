"""
Confidence intervals for proportions and, by order statistics, for quantiles.

Requests of one run depend on each other. Every interval takes their measured dependence and is that of as many
independent requests as tell the same (Korn and Graubard, Survey Methodology 24(2), 1998). Without dependence, the
intervals are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import scipy

from chainproof.clock import Seconds
from chainproof.statistics.dependence import Dependence, independent
from chainproof.statistics.histogram import Histogram

CONFIDENCE = 0.95
_INDEPENDENT = independent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its two-sided confidence interval. An end is None if the sample is too small for it."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareEstimate(Estimate):
    """A share with its interval; both ends are known."""

    low: float
    high: float


def proportion(
    good: float, of: float, confidence: float = CONFIDENCE, dependence: Dependence = _INDEPENDENT
) -> ShareEstimate:
    """
    The interval for a proportion (Clopper and Pearson, Biometrika 26, 1934). *of* is at least 1.

    >>> proportion(95, 100).low < 0.95 < proportion(95, 100).high
    True
    """
    if not 0 <= good <= of or of == 0:
        raise ValueError(f"expected 0 ≤ good ≤ of and of ≥ 1, found good {good} of {of}")
    tail = (1.0 - confidence) / 2.0
    size = dependence.effective_size(of, tail)
    share = good / of
    # A part of an effective request counts as a whole one, bad for the lower end and good for the upper one.
    bad, hits = math.ceil((1.0 - share) * size - 1e-6), math.ceil(share * size - 1e-6)
    low = 0.0 if good == 0 or bad >= size else float(scipy.special.betaincinv(size - bad, bad + 1, tail))
    high = 1.0 if good == of or hits >= size else float(scipy.special.betaincinv(hits + 1, size - hits, 1.0 - tail))
    return ShareEstimate(value=share, low=low, high=high)


def quantile_ranks(
    count: int, fraction: float, confidence: float = CONFIDENCE, dependence: Dependence = _INDEPENDENT
) -> tuple[int | None, int | None]:
    """
    The ranks that enclose a quantile with the given confidence, for any distribution; None for an end beyond the sample.

    With B ~ Binomial(count, fraction), the values of rank l and u enclose the quantile with probability
    P(l ≤ B < u) (David and Nagaraja, Order Statistics, 3rd ed., §7.1). Dependent requests have the ranks of a smaller
    sample, scaled and rounded outwards.

    >>> quantile_ranks(300, 0.95)
    (277, 293)
    >>> quantile_ranks(300, 0.99)
    (293, None)
    """
    tail = (1.0 - confidence) / 2.0
    size = max(math.floor(dependence.effective_size(count, tail)), 1) if count else 0
    low = _first_rank(size, fraction, tail)
    high = _first_rank(size, fraction, 1.0 - tail) + 1
    lower = (low - 1) * count // size + 1 if low >= 1 else None
    upper = -(-high * count // size) if high <= size else None
    return lower, upper


def _first_rank(count: int, fraction: float, probability: float) -> int:
    """The smallest k with P(B ≤ k) ≥ probability, by bisection."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if scipy.special.bdtr(middle, count, fraction) >= probability:
            high = middle
        else:
            low = middle + 1
    return low


def quantile(
    histogram: Histogram,
    fraction: float,
    confidence: float = CONFIDENCE,
    dependence: Dependence = _INDEPENDENT,
    *,
    beyond: int = 0,
) -> Estimate | None:
    """
    A quantile with its interval from order statistics, in seconds; None if there is no value.

    *dependence* is what `TimeBatches.dependence_of_quantile` measures for this fraction. *beyond* more values are longer
    than any other, such as those of requests that were never answered: they are infinite.
    """
    count = histogram.count + beyond
    if not count:
        return None

    def value_at(rank: int) -> Seconds:
        value = histogram.value_at_rank(rank)
        return math.inf if value is None else value

    lower, upper = quantile_ranks(count, fraction, confidence, dependence)
    return Estimate(
        value=value_at(max(1, math.ceil(fraction * count - 1e-9))),
        low=value_at(lower) if lower is not None else None,
        high=value_at(upper) if upper is not None else None,
    )
