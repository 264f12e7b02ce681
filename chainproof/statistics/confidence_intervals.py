"""
Exact confidence intervals for proportions and, by order statistics, for quantiles.

Both assume that requests are independent. Requests of one run share queues, so the true uncertainty is larger: these
intervals are lower bounds of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy import special

from chainproof.clock import Seconds
from chainproof.statistics.histogram import Histogram

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its two-sided confidence interval. An end is None if the sample is too small for it."""

    value: float
    low: float | None
    high: float | None


def proportion(good: int, of: int, confidence: float = CONFIDENCE) -> Estimate:
    """The exact interval for a proportion (Clopper and Pearson, Biometrika 26, 1934). *of* is at least 1."""
    if not 0 <= good <= of or of == 0:
        raise ValueError(f"expected 0 ≤ good ≤ of and of ≥ 1, found good {good} of {of}")
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if good == 0 else float(special.betaincinv(good, of - good + 1, tail))
    high = 1.0 if good == of else float(special.betaincinv(good + 1, of - good, 1.0 - tail))
    return Estimate(value=good / of, low=low, high=high)


def quantile_ranks(count: int, fraction: float, confidence: float = CONFIDENCE) -> tuple[int | None, int | None]:
    """
    The ranks that enclose a quantile with the given confidence, for any distribution; None for an end beyond the sample.

    With B ~ Binomial(count, fraction), the values of rank l and u enclose the quantile with probability
    P(l ≤ B < u) (David and Nagaraja, Order Statistics, 3rd ed., §7.1).

    >>> quantile_ranks(300, 0.95)
    (277, 293)
    >>> quantile_ranks(300, 0.99)
    (293, None)
    """
    tail = (1.0 - confidence) / 2.0
    low = _first_rank(count, fraction, tail)
    lower = low if low >= 1 else None
    high = _first_rank(count, fraction, 1.0 - tail) + 1
    upper = high if high <= count else None
    return lower, upper


def _first_rank(count: int, fraction: float, probability: float) -> int:
    """The smallest k with P(B ≤ k) ≥ probability, by bisection."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if special.bdtr(middle, count, fraction) >= probability:
            high = middle
        else:
            low = middle + 1
    return low


def quantile(histogram: Histogram, fraction: float, confidence: float = CONFIDENCE) -> Estimate | None:
    """A quantile with its interval from order statistics, in seconds; None if the histogram is empty."""
    value = histogram.quantile(fraction)
    if value is None:
        return None
    lower, upper = quantile_ranks(histogram.count, fraction, confidence)
    low: Seconds | None = histogram.value_at_rank(lower) if lower is not None else None
    high: Seconds | None = histogram.value_at_rank(upper) if upper is not None else None
    return Estimate(value=value, low=low, high=high)
