"""
Intervals hold what they promise, by the definitions they are built on.
"""

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

from chainproof.statistics.histogram import Histogram
from chainproof.statistics.intervals import proportion, quantile, quantile_ranks

FRACTIONS = st.sampled_from([Fraction(1, 10), Fraction(1, 2), Fraction(9, 10), Fraction(19, 20), Fraction(99, 100)])
# None at which a binomial sum equals the doubt: a tie would be decided by the last bit.
CONFIDENCES = st.sampled_from([0.83, 0.95, 0.97, 0.99])


@cache
def binomial(count: int, fraction: Fraction) -> tuple[Fraction, ...]:
    """
    P(B ≤ k) for k = 0 … count, as exact sums.
    """
    terms = (comb(count, k) * fraction**k * (1 - fraction) ** (count - k) for k in range(count + 1))
    return tuple(accumulate(terms))


@given(st.integers(1, 130), FRACTIONS, CONFIDENCES)
def test_ranks_are_those_of_the_exact_binomial_sums(count: int, fraction: Fraction, confidence: float) -> None:
    """
    The lower rank is the last below which the quantile lies with less than half the doubt, the upper one the first.
    """
    lower_is_better = binomial(count, fraction)
    doubt = (1 - confidence) / 2
    lower = max((rank for rank in range(1, count + 1) if lower_is_better[rank - 1] < doubt), default=0)
    upper = min((rank for rank in range(1, count + 1) if lower_is_better[rank - 1] >= 1 - doubt), default=None)

    assert (lower or None, upper) == quantile_ranks(count, float(fraction), confidence)


@given(st.integers(1, 130), FRACTIONS, CONFIDENCES)
def test_ranks_cover_the_quantile_as_often_as_they_say(count: int, fraction: Fraction, confidence: float) -> None:
    """
    P(l ≤ B < u) is at least the confidence wherever both ranks exist.
    """
    lower, upper = quantile_ranks(count, float(fraction), confidence)
    if lower is not None and upper is not None:
        lower_is_better = binomial(count, fraction)

        assert lower_is_better[upper - 1] - lower_is_better[lower - 1] >= confidence - 1e-12


@pytest.mark.parametrize(("fraction", "least"), [(0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3688)])
def test_a_two_sided_interval_needs_its_number_of_requests(fraction: float, least: int) -> None:
    """
    No 95 % interval for a percentile exists below the textbook's number of requests, and one exists from there on.
    """
    assert quantile_ranks(least - 1, fraction)[1] is None
    assert None not in quantile_ranks(least, fraction)


def test_no_request_has_no_rank() -> None:
    """
    Nothing is known of nothing.
    """
    assert quantile_ranks(0, 0.95) == (None, None)


@given(st.data(), st.integers(1, 5000), CONFIDENCES)
def test_a_proportions_interval_is_that_of_clopper_and_pearson(data: st.DataObject, of: int, confidence: float) -> None:
    """
    The bounds are quantiles of beta distributions, and they enclose the share.
    """
    good = data.draw(st.integers(0, of))
    tail = (1 - confidence) / 2
    low = 0.0 if good == 0 else stats.beta.ppf(tail, good, of - good + 1)
    high = 1.0 if good == of else stats.beta.ppf(1 - tail, good + 1, of - good)
    found = proportion(good, of, confidence)

    assert (low, high) == (pytest.approx(found.low, abs=1e-9), pytest.approx(found.high, abs=1e-9))
    assert found.low <= good / of == found.value <= found.high


@given(st.data(), st.integers(1, 60))
def test_a_bound_leaves_half_the_doubt_on_its_side(data: st.DataObject, of: int) -> None:
    """
    Were the true share at the lower bound, so many good ones would be seen with probability 2.5 %: the definition.
    """
    good = data.draw(st.integers(1, of))
    low = Fraction(proportion(good, of).low or 0.0)

    assert float(1 - binomial(of, low)[good - 1]) == pytest.approx(0.025, rel=1e-6)


@given(st.data(), st.integers(1, 5000))
def test_bad_is_the_mirror_of_good(data: st.DataObject, of: int) -> None:
    """
    The interval of the bad share is that of the good one turned round.
    """
    good = data.draw(st.integers(0, of))
    found, mirrored = proportion(good, of), proportion(of - good, of)

    assert found.low == pytest.approx(1 - (mirrored.high or 0.0), abs=1e-9)


@given(st.data(), st.integers(2, 5000))
def test_one_more_good_one_never_lowers_a_bound(data: st.DataObject, of: int) -> None:
    """
    Both bounds rise with the number of good ones.
    """
    good = data.draw(st.integers(0, of - 1))
    fewer, more = proportion(good, of), proportion(good + 1, of)

    assert (fewer.low or 0.0) < (more.low or 0.0)
    assert (fewer.high or 0.0) <= (more.high or 0.0)


@pytest.mark.parametrize(("good", "of"), [(0, 0), (2, 1), (-1, 5)])
def test_no_share_of_nothing(good: int, of: int) -> None:
    """
    More good ones than there are, or a share of none, is our own mistake and says so.
    """
    with pytest.raises(ValueError, match="expected 0 ≤ good ≤ of"):
        proportion(good, of)


@given(st.integers(0, 400), FRACTIONS)
def test_an_estimate_lies_in_its_interval(count: int, fraction: Fraction) -> None:
    """
    No end lies on the wrong side of the value; nothing counted has no estimate.
    """
    source, histogram = random.Random(count), Histogram()
    for _ in range(count):
        histogram.record(source.expovariate(5.0))
    found = quantile(histogram, float(fraction))

    assert (found is None) is (count == 0)
    if found is not None:
        assert (found.low or 0.0) <= found.value <= (found.high or found.value)
        assert (found.low is None, found.high is None) == tuple(
            rank is None for rank in quantile_ranks(count, float(fraction))
        )
