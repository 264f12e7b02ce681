"""Tests of the arrival processes."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from math import ceil, sqrt
from statistics import fmean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chainproof.workload.arrivals import ARRIVAL_PROCESSES, constant, digest, poisson, take_until

SEEDS = [0, 1, 7, 2026]
RATES = st.floats(0.5, 2000)


def plan_arrivals(process: str, rate: float, duration: float, seed: int) -> tuple[float, ...]:
    """Every intended start of a run with a constant rate."""
    return tuple(take_until(duration, ARRIVAL_PROCESSES[process](rate, seed)))


@pytest.mark.parametrize("seed", SEEDS)
def test_poisson_gaps_are_exponential(seed: int) -> None:
    """The gaps of a Poisson process are exponential with mean 1/rate (Kolmogorov-Smirnov test)."""
    starts = [0.0, *islice(poisson(50.0, seed), 20_000)]
    gaps = [second - first for first, second in pairwise(starts)]

    assert stats.kstest(gaps, "expon", args=(0, 1 / 50)).pvalue > 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_poisson_counts_have_variance_equal_to_mean(seed: int) -> None:
    """Counts per second have a variance equal to their mean: 0 for a grid, more than 1 for bursts."""
    seconds = 2000
    counts = Counter(int(start) for start in plan_arrivals("poisson", 10.0, seconds, seed))
    per_second = [counts[second] for second in range(seconds)]

    assert variance(per_second) / fmean(per_second) == pytest.approx(1.0, abs=4 * sqrt(2 / (seconds - 1)))


@given(RATES, st.floats(1, 20), st.integers())
def test_poisson_number_of_arrivals_is_near_its_mean(rate: float, duration: float, seed: int) -> None:
    """The number of arrivals is within 5 standard deviations of rate · duration."""
    expected = rate * duration

    assert len(plan_arrivals("poisson", rate, duration, seed)) == pytest.approx(expected, abs=5 * sqrt(expected) + 5)


@pytest.mark.parametrize("process", ARRIVAL_PROCESSES)
@given(rate=RATES, seed=st.integers(), duration=st.floats(0.01, 5))
def test_plan_is_reproducible_sorted_and_within_its_duration(
    process: str, rate: float, seed: int, duration: float
) -> None:
    """The same seed gives the same plan; starts are ascending and in [0, duration)."""
    starts = plan_arrivals(process, rate, duration, seed)

    assert starts == plan_arrivals(process, rate, duration, seed)
    assert list(starts) == sorted(starts)
    assert all(0 <= start < duration for start in starts)
    assert next(islice(ARRIVAL_PROCESSES[process](rate, seed), len(starts), None)) >= duration


@given(RATES, st.integers(), st.integers())
def test_digest_identifies_a_plan(rate: float, one: int, other: int) -> None:
    """Different seeds give different plans, and different plans have different digests."""
    first, second = (list(islice(poisson(rate, abs(seed)), 20)) for seed in (one, other))

    assert (abs(one) == abs(other)) is (digest(first) == digest(second))
    assert digest(first[:-1]) != digest(first)


def test_take_until_excludes_the_end() -> None:
    """A start exactly at the end belongs to the next phase."""
    assert list(take_until(2.0, iter([0.0, 1.0, 2.0, 3.0]))) == [0.0, 1.0]


@given(st.integers(1, 1000), st.integers(1, 20))
def test_constant_plan_has_rate_times_duration_starts(rate: int, duration: int) -> None:
    """The first start is 0, and the n-th is n/rate."""
    assert plan_arrivals("constant", rate, duration, 0) == tuple(number / rate for number in range(rate * duration))


@given(RATES, st.floats(0.01, 5))
def test_constant_plan_of_fractional_rate(rate: float, duration: float) -> None:
    """Rounding at the end can add or remove one start."""
    assert len(plan_arrivals("constant", rate, duration, 0)) == pytest.approx(ceil(rate * duration), abs=1)


def test_constant_plan_does_not_drift() -> None:
    """The millionth start is exact to the last bit."""
    assert next(islice(constant(3.0), 1_000_000, None)) == 1_000_000 / 3.0
