"""Tests of the dependence of requests: design effect, correlation time, effective size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from chainproof.statistics.confidence_intervals import proportion, quantile_ranks
from chainproof.statistics.dependence import Dependence, independent, measure_dependence, stronger
from chainproof.statistics.histogram import Histogram, merge_histograms
from chainproof.statistics.time_batches import time_batches

RATE, SECONDS = 50, 200
STRONG = Dependence(design_effect=20.0, degrees_of_freedom=9.0, correlation_time=5.0, seconds=200.0)


def waves(source: np.random.Generator, tau: float, share: float = 0.5) -> NDArray[np.float64]:
    """Normal scores of requests whose load has waves that decay as exp(−t / tau), one row for each second."""
    kept = math.exp(-1.0 / (RATE * tau))
    noise = source.standard_normal(RATE * SECONDS) * math.sqrt(1.0 - kept * kept)
    load, level = np.empty_like(noise), 0.0
    for place, each in enumerate(noise):
        load[place] = level = kept * level + each
    scores = math.sqrt(share) * load + math.sqrt(1.0 - share) * source.standard_normal(RATE * SECONDS)
    return scores.reshape(SECONDS, RATE)


def of_scores(scores: NDArray[np.float64]) -> Dependence:
    """The dependence of the share of scores below zero."""
    return measure_dependence((scores < 0).sum(axis=1).tolist(), [scores.shape[1]] * len(scores))


def histograms(values: NDArray[np.float64]) -> list[Histogram]:
    """One histogram for each row."""
    rows = []
    for row in values:
        rows.append(Histogram())
        rows[-1].record_all(row.tolist())
    return rows


def test_independent_requests_keep_their_number() -> None:
    """At most 20 % of runs show a dependence, and then a moderate one."""
    source = np.random.default_rng(1)
    found = [of_scores(source.standard_normal((SECONDS, RATE))) for _ in range(100)]

    assert sum(each.design_effect > 1.0 for each in found) <= 20
    assert max(each.design_effect for each in found) < 4.0


@pytest.mark.parametrize(("tau", "truth"), [(0.2, 7.7), (2.0, 67.0), (5.0, 168.0)])
def test_waves_are_measured(tau: float, truth: float) -> None:
    """Design effect and correlation time of load waves are right in the median; the effect is that of a normal copula."""
    source = np.random.default_rng(2)
    found = [of_scores(waves(source, tau)) for _ in range(40)]

    assert truth / 1.5 < float(np.median([each.design_effect for each in found])) < truth * 1.5
    assert tau / 2 < float(np.median([each.correlation_time for each in found])) < tau * 1.5


def test_independent_requests_are_never_a_run_that_is_too_short() -> None:
    """Where chance looks like a dependence, its correlation time is short."""
    source = np.random.default_rng(1)
    found = [
        measure_dependence(source.binomial(50, 0.99, 200).tolist(), [50] * 200, seconds=1.0).too_short
        for _ in range(500)
    ]

    assert 0 == sum(found)


@pytest.mark.parametrize("start", range(5, 35, 3))
@pytest.mark.parametrize("length", [4, 6, 8])
def test_one_spell_has_a_correlation_time_of_its_order(start: int, length: int) -> None:
    """Wherever it begins: batches that happen to contain all of it do not show how long it is."""
    good = [0 if start <= second < start + length else 40 for second in range(45)]
    found = measure_dependence(good, [40] * 45)

    assert length / 6 < found.correlation_time < length * 1.1


def test_a_trend_makes_a_run_too_short() -> None:
    """What rises or falls over the whole run has a correlation time above a tenth of it, and a longer run is named."""
    for count in (8, 20, 60, 600):
        found = measure_dependence([round(50 * place / count) for place in range(count)], [50] * count)

        assert found.too_short
        assert found.seconds_needed > found.seconds


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_any_counts_have_a_dependence(rows: list[tuple[int, int]]) -> None:
    """Empty seconds, single requests and short runs are no special cases: the effect is at least 1 and finite."""
    found = measure_dependence([min(row) for row in rows], [max(row) for row in rows])

    assert 1.0 <= found.design_effect < math.inf
    assert 0.0 <= found.correlation_time < math.inf
    assert 1.0 <= found.effective_size(1000, 0.05) <= 1000.0


@pytest.mark.parametrize("good", [0, 20])
def test_shares_of_none_and_all_are_independent(good: int) -> None:
    """Without a difference between seconds nothing can be measured."""
    assert measure_dependence([good] * 30, [20] * 30) == independent(30.0)


def test_empty_seconds_around_the_requests_do_not_count() -> None:
    """The drain after a run and the phases before it have no requests."""
    source = np.random.default_rng(3)
    good = (waves(source, 2.0) < 0).sum(axis=1).tolist()
    expected = measure_dependence(good, [RATE] * SECONDS)

    assert expected == measure_dependence([0] * 70 + good + [0] * 30, [0] * 70 + [RATE] * SECONDS + [0] * 30)


@given(st.integers(1, 5000), st.floats(0.01, 0.99), st.floats(1.0, 500.0))
def test_dependence_widens_every_interval(count: int, fraction: float, effect: float) -> None:
    """Ends of proportions and ranks of quantiles are outside those of independent requests."""
    dependence = Dependence(design_effect=effect, degrees_of_freedom=9.0, correlation_time=1.0, seconds=100.0)
    good = round(count * fraction)
    narrow, wide = proportion(good, count), proportion(good, count, dependence=dependence)
    low, high = quantile_ranks(count, fraction)
    lower, higher = quantile_ranks(count, fraction, dependence=dependence)

    assert wide.low <= narrow.low + 1e-12
    assert narrow.high <= wide.high + 1e-12
    assert lower is None or (low is not None and lower <= low)
    assert higher is None or (high is not None and high <= higher <= count)


def test_batches_agree_with_the_histograms() -> None:
    """Counts, quantiles and the dependence are those of the histograms, however long the run."""
    source = np.random.default_rng(4)
    rows = histograms(np.exp(waves(source, 5.0) / 2) / 5)
    merged, batches = merge_histograms(rows), time_batches(rows * 3)

    assert (3.0, SECONDS * RATE * 3) == (batches.seconds, int(batches.totals.sum()))
    for limit in (0.05, 0.2, 0.4, 9.0):
        assert 3 * merged.count_at_most(limit) == sum(batches.counts_at_most(limit))
    for fraction in (0.05, 0.5, 0.95, 0.99):
        assert merged.quantile(fraction) == pytest.approx(batches.quantile(fraction), rel=0.001)
    assert time_batches(rows).dependence_of_quantile(0.95).design_effect > 20


def test_requests_without_a_duration_are_slower_than_any_limit() -> None:
    """An outage of ten seconds shows in the dependence of every quantile that it reaches."""
    rows = histograms(np.full((60, 20), 0.1))
    totals = [20] * 50 + [40] * 10
    found = time_batches(rows, totals).dependence_of_quantile(0.9)

    assert found.design_effect > 5
    assert time_batches(rows).dependence_of_quantile(0.9) == independent(60.0)
    assert 1.0 == time_batches([], []).dependence_of_quantile(0.9).design_effect


def test_the_stronger_dependence_wins() -> None:
    """It is the one that leaves fewer effective requests, also by its degrees of freedom."""
    many = Dependence(design_effect=20.0, degrees_of_freedom=99.0, correlation_time=5.0, seconds=200.0)

    assert STRONG is stronger(independent(), many, STRONG)


def test_slow_spells_are_also_looked_for_below_a_quantile() -> None:
    """In one spell 0.2 s replace 0.1 s; 3 % take a second at any time. So p95 looks independent, and p80 does not."""
    seconds = []
    for number in range(60):
        histogram, slow = Histogram(), 30 if 20 <= number < 30 else 0
        histogram.record_all([0.1] * (48 - slow) + [0.2] * slow + [1.0] * (1 + number % 2))
        seconds.append(histogram)
    batches = time_batches(seconds)

    assert 1.0 == batches.dependence_at(batches.quantile(0.95)).design_effect
    assert 5.0 < batches.dependence_of_quantile(0.95).design_effect
