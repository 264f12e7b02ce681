"""Tests of confidence intervals against their definitions."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import cache
from itertools import accumulate
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chainproof.statistics.confidence_intervals import proportion, quantile, quantile_ranks
from chainproof.statistics.histogram import Histogram

FRACTIONS = st.sampled_from([Fraction(1, 10), Fraction(1, 2), Fraction(9, 10), Fraction(19, 20), Fraction(99, 100)])
# Values for which no binomial sum equals the tail probability, since rounding would decide a tie.
CONFIDENCES = st.sampled_from([0.83, 0.95, 0.97, 0.99])


@cache
def binomial(count: int, fraction: Fraction) -> tuple[Fraction, ...]:
    """P(B ≤ k) for k = 0 … count, as exact sums."""
    terms = (comb(count, k) * fraction**k * (1 - fraction) ** (count - k) for k in range(count + 1))
    return tuple(accumulate(terms))


@given(st.integers(1, 130), FRACTIONS, CONFIDENCES)
def test_ranks_equal_exact_binomial_sums(count: int, fraction: Fraction, confidence: float) -> None:
    """The ranks are those at which the exact binomial sums reach the tail probability."""
    cumulative = binomial(count, fraction)
    tail = (1 - confidence) / 2
    lower = max((rank for rank in range(1, count + 1) if cumulative[rank - 1] < tail), default=0)
    upper = min((rank for rank in range(1, count + 1) if cumulative[rank - 1] >= 1 - tail), default=None)

    assert (lower or None, upper) == quantile_ranks(count, float(fraction), confidence)


@given(st.integers(1, 130), FRACTIONS, CONFIDENCES)
def test_ranks_have_the_stated_coverage(count: int, fraction: Fraction, confidence: float) -> None:
    """P(l ≤ B < u) is at least the confidence if both ranks exist."""
    lower, upper = quantile_ranks(count, float(fraction), confidence)
    if lower is not None and upper is not None:
        cumulative = binomial(count, fraction)

        assert cumulative[upper - 1] - cumulative[lower - 1] >= confidence - 1e-12


@pytest.mark.parametrize(("fraction", "minimum"), [(0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3688)])
def test_interval_needs_a_minimum_number_of_requests(fraction: float, minimum: int) -> None:
    """A two-sided 95 % interval exists from the number of requests in the textbook on."""
    assert quantile_ranks(minimum - 1, fraction)[1] is None
    assert None not in quantile_ranks(minimum, fraction)


def test_empty_sample_has_no_ranks() -> None:
    """An empty sample has no interval."""
    assert quantile_ranks(0, 0.95) == (None, None)


@given(st.data(), st.integers(1, 5000), CONFIDENCES)
def test_proportion_equals_clopper_pearson(data: st.DataObject, of: int, confidence: float) -> None:
    """The bounds are quantiles of beta distributions and enclose the proportion."""
    good = data.draw(st.integers(0, of))
    tail = (1 - confidence) / 2
    low = 0.0 if good == 0 else stats.beta.ppf(tail, good, of - good + 1)
    high = 1.0 if good == of else stats.beta.ppf(1 - tail, good + 1, of - good)
    estimate = proportion(good, of, confidence)

    assert (low, high) == (pytest.approx(estimate.low, abs=1e-9), pytest.approx(estimate.high, abs=1e-9))
    assert estimate.low <= good / of == estimate.value <= estimate.high


@given(st.data(), st.integers(1, 60))
def test_lower_bound_has_an_error_of_2_5_percent(data: st.DataObject, of: int) -> None:
    """If the true proportion were the lower bound, this many good ones would have probability 2.5 %."""
    good = data.draw(st.integers(1, of))
    low = Fraction(proportion(good, of).low or 0.0)

    assert float(1 - binomial(of, low)[good - 1]) == pytest.approx(0.025, rel=1e-6)


@given(st.data(), st.integers(1, 5000))
def test_interval_of_the_complement_is_mirrored(data: st.DataObject, of: int) -> None:
    """The interval of the bad share is the mirrored interval of the good one."""
    good = data.draw(st.integers(0, of))
    estimate, mirrored = proportion(good, of), proportion(of - good, of)

    assert estimate.low == pytest.approx(1 - (mirrored.high or 0.0), abs=1e-9)


@given(st.data(), st.integers(2, 5000))
def test_bounds_are_monotonic(data: st.DataObject, of: int) -> None:
    """Both bounds rise with the number of good ones."""
    good = data.draw(st.integers(0, of - 1))
    fewer, more = proportion(good, of), proportion(good + 1, of)

    assert (fewer.low or 0.0) < (more.low or 0.0)
    assert (fewer.high or 0.0) <= (more.high or 0.0)


@pytest.mark.parametrize(("good", "of"), [(0, 0), (2, 1), (-1, 5)])
def test_invalid_counts_are_rejected(good: int, of: int) -> None:
    """More good ones than there are, or none at all, raise ValueError."""
    with pytest.raises(ValueError, match="expected 0 ≤ good ≤ of"):
        proportion(good, of)


@given(st.integers(0, 400), FRACTIONS)
def test_estimate_is_within_its_interval(count: int, fraction: Fraction) -> None:
    """The interval encloses the value; an empty histogram has no estimate."""
    source, histogram = random.Random(count), Histogram()
    for _ in range(count):
        histogram.record(source.expovariate(5.0))
    estimate = quantile(histogram, float(fraction))

    assert (estimate is None) is (count == 0)
    if estimate is not None:
        assert (estimate.low or 0.0) <= estimate.value <= (estimate.high or estimate.value)
        assert (estimate.low is None, estimate.high is None) == tuple(
            rank is None for rank in quantile_ranks(count, float(fraction))
        )
