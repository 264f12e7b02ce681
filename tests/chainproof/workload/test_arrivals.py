"""
A plan is data: the process it claims to be, the same from the same seed, ended where it should.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from math import ceil, sqrt
from statistics import fmean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chainproof.workload.arrivals import ARRIVAL_PROCESSES, constant, digest, plan_arrivals, poisson, take_until

SEEDS = [0, 1, 7, 2026]
RATES = st.floats(0.5, 2000)


@pytest.mark.parametrize("seed", SEEDS)
def test_poisson_gaps_are_exponential(seed: int) -> None:
    """
    The gaps of a Poisson process are exponential with mean 1/rate (Kolmogorov and Smirnov find nothing against it).
    """
    starts = [0.0, *islice(poisson(50.0, seed), 20_000)]
    gaps = [after - before for before, after in pairwise(starts)]

    assert stats.kstest(gaps, "expon", args=(0, 1 / 50)).pvalue > 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_poisson_counts_are_as_dispersed_as_they_are_many(seed: int) -> None:
    """
    Counts per second have a variance equal to their mean: neither a grid (0) nor bursts (above 1).
    """
    seconds = 2000
    counts = Counter(int(start) for start in plan_arrivals("poisson", 10.0, seconds, seed))
    each = [counts[second] for second in range(seconds)]

    assert variance(each) / fmean(each) == pytest.approx(1.0, abs=4 * sqrt(2 / (seconds - 1)))


@given(RATES, st.floats(1, 20), st.integers())
def test_a_poisson_plan_is_about_as_long_as_its_rate_says(rate: float, duration: float, seed: int) -> None:
    """
    The number of arrivals is within 5 standard deviations of rate · duration, or it is no Poisson process.
    """
    expected = rate * duration

    assert len(plan_arrivals("poisson", rate, duration, seed)) == pytest.approx(expected, abs=5 * sqrt(expected) + 5)


@pytest.mark.parametrize("process", ARRIVAL_PROCESSES)
@given(rate=RATES, seed=st.integers(), duration=st.floats(0.01, 5))
def test_a_plan_is_its_seeds_and_ends_before_its_end(process: str, rate: float, seed: int, duration: float) -> None:
    """
    The same seed plans the same; every start is in [0, duration) and none comes before the one before it.
    """
    starts = plan_arrivals(process, rate, duration, seed)

    assert starts == plan_arrivals(process, rate, duration, seed)
    assert list(starts) == sorted(starts)
    assert all(0 <= start < duration for start in starts)
    assert next(islice(ARRIVAL_PROCESSES[process](rate, seed), len(starts), None)) >= duration


@given(RATES, st.integers(), st.integers())
def test_another_seed_is_another_plan(rate: float, one: int, other: int) -> None:
    """
    A digest identifies a plan: equal for equal ones, and no other.
    """
    first, second = (list(islice(poisson(rate, abs(seed)), 20)) for seed in (one, other))

    assert (abs(one) == abs(other)) is (digest(first) == digest(second))
    assert digest(first[:-1]) != digest(first)


def test_until_leaves_its_end_out() -> None:
    """
    A start at the very end belongs to the next phase.
    """
    assert list(take_until(2.0, iter([0.0, 1.0, 2.0, 3.0]))) == [0.0, 1.0]


@given(st.integers(1, 1000), st.integers(1, 20))
def test_a_constant_plan_has_exactly_rate_times_duration_starts(rate: int, duration: int) -> None:
    """
    The grid begins at 0 and its n-th start is n/rate.
    """
    assert plan_arrivals("constant", rate, duration, 0) == tuple(number / rate for number in range(rate * duration))


@given(RATES, st.floats(0.01, 5))
def test_a_constant_plan_of_any_rate_has_a_start_wherever_the_grid_has(rate: float, duration: float) -> None:
    """
    As above for rates that divide nothing, to the one start that rounding may put on either side of the end.
    """
    assert len(plan_arrivals("constant", rate, duration, 0)) == pytest.approx(ceil(rate * duration), abs=1)


def test_a_constant_plan_does_not_drift() -> None:
    """
    After a million starts the next is where arithmetic puts it, to the last bit.
    """
    assert next(islice(constant(3.0), 1_000_000, None)) == 1_000_000 / 3.0


def test_an_unknown_process_is_refused() -> None:
    """
    No process is guessed.
    """
    with pytest.raises(KeyError):
        plan_arrivals("uniform", 1.0, 1.0, 0)
