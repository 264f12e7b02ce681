"""Kaplan-Meier: times that are only known to be longer than an age."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chainproof.statistics.censoring import kaplan_meier
from chainproof.statistics.histogram import Histogram

TIMES = st.lists(st.floats(0.001, 10), max_size=60)


def histogram(times: list[float]) -> Histogram:
    """A histogram of some times."""
    found = Histogram()
    found.record_all(times)
    return found


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=60), st.integers(0, 20))
def test_without_censored_requests_it_is_the_observed_share(times: list[float], never: int) -> None:
    """Requests that were never answered stay unanswered."""
    estimate = kaplan_meier(histogram(times), Histogram(), len(times) + never, Histogram())

    for limit in (0.5, 5.0, 11.0):
        assert pytest.approx(histogram(times).count_at_most(limit) / (len(times) + never)) == estimate.share_within(
            limit
        )


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.lists(st.integers(1, 1000), max_size=60))
def test_it_agrees_with_scipy(times: list[int], ages: list[int]) -> None:
    """scipy.stats.ecdf estimates the same curve; whole microseconds below 1024 ns have buckets of their own."""
    answered, censored = [each * 1e-9 for each in times], [each * 1e-9 for each in ages]
    estimate = kaplan_meier(histogram(answered), histogram(censored), len(times) + len(ages), Histogram())
    expected = stats.ecdf(stats.CensoredData(uncensored=times, right=ages)).cdf

    assert pytest.approx([float(expected.evaluate(each)) for each in sorted(set(times))]) == list(estimate.shares)


def test_it_finds_the_median_of_a_run_that_ends_early() -> None:
    """Exponential times with a median of 1 s, of which those still in flight after 2 s are censored."""
    dice = random.Random(1)
    times = [dice.expovariate(0.6931) for _ in range(20_000)]
    ends = [dice.uniform(0, 4) for _ in times]
    answered = [time for time, end in zip(times, ends, strict=True) if time <= end]
    ages = [end for time, end in zip(times, ends, strict=True) if time > end]
    estimate = kaplan_meier(histogram(answered), histogram(ages), len(times), Histogram())

    assert pytest.approx(1.0, rel=0.03) == estimate.quantile(0.5)
    assert estimate.quantile(1.0) is None or estimate.shares[-1] == 1.0


def test_failures_are_another_end_of_a_request() -> None:
    """A third is refused at once; of the others, those in flight after their turn are censored. 2/3 are answered in time."""
    dice = random.Random(2)
    answered, failed, ages, lost = [], [], [], 0
    for _ in range(30_000):
        time, end, draw = dice.uniform(0.5, 1.5), dice.uniform(0, 2), dice.random()
        lost += draw < 0.1
        if 0.1 <= draw < 0.33:
            (failed if end > 0.01 else ages).append(min(end, 0.01))
        elif draw >= 0.33:
            (answered if time <= end else ages).append(min(time, end))
    estimate = kaplan_meier(histogram(answered), histogram(ages), 30_000, histogram(failed), lost)

    assert pytest.approx([0.67 / 2, 0.67], abs=0.01) == [estimate.share_within(1.0), estimate.share_within(1.5)]
