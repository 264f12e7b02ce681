"""Differences between runs are certain only as far as the variance from run to run is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.statistics.change_points import MIN_RUNS, change_points, detectable_shift, segments
from chainproof.statistics.histogram import Histogram
from chainproof.statistics.measurements import (
    MIN_SLOW_TIMES,
    duet_correlation_time,
    duet_difference,
    log_quantile,
    log_rate,
    share,
)
from chainproof.statistics.run_differences import Difference, RunValue, difference, mean_of_duets, paired_difference


def runs(*values: float, error: float = 1e-6) -> list[RunValue]:
    """Runs with these values."""
    return [RunValue(value, error) for value in values]


def seconds(source: np.random.Generator, factor: float = 1.0, count: int = 60) -> list[Histogram]:
    """The histograms of a run with 50 lognormal times a second."""
    found = []
    for row in np.exp(source.standard_normal((count, 50)) / 2) * factor:
        histogram = Histogram()
        histogram.record_all(row)
        found.append(histogram)
    return found


def test_student_s_t_of_two_samples() -> None:
    """Without history, the difference and its interval are those of the ordinary t test with equal variances."""
    found = difference(runs(1.0, 2.0, 3.0), runs(0.0, 1.0, 2.0))

    assert (1.0, 4.0) == (found.value, found.degrees_of_freedom)
    assert found.error == pytest.approx(math.sqrt(2 / 3))
    assert found.interval()[1] == pytest.approx(1.0 + 2.7764 * math.sqrt(2 / 3), abs=1e-3)
    assert 2 * found.p_value_above(0.0) == pytest.approx(0.2879, abs=1e-3)


def test_one_run_on_each_side_is_certain_of_nothing() -> None:
    """Without a second run and without history there is no interval and no claim, however large the difference."""
    found = difference(runs(5.0), runs(0.0))

    assert (False, 1.0, 1.0) == (found.is_known, found.p_value_above(0.0), found.p_value_below(0.0))
    with pytest.raises(ValueError, match="degree of freedom"):
        found.interval()


def test_history_makes_one_run_enough() -> None:
    """The variance of ten earlier runs is that of one run on each side."""
    earlier = list(np.random.default_rng(1).normal(0.0, 0.03, 10))
    found = difference(runs(0.2), runs(0.0), [earlier])

    assert (9.0, 10) == (found.degrees_of_freedom, found.history)
    assert found.error == pytest.approx(np.std(earlier, ddof=1) * math.sqrt(2))
    assert found.p_value_above(0.0) < 0.01


def test_a_quieter_history_is_not_used() -> None:
    """Earlier runs that vary much less than these say nothing about how these vary."""
    found = difference(runs(0.0, 0.3, -0.3), runs(0.1, -0.2, 0.4), [[0.0, 0.001, -0.001, 0.002]])

    assert (0, 4.0) == (found.history, found.degrees_of_freedom)


def test_a_level_change_of_the_history_does_not_count_as_variance() -> None:
    """Groups of earlier runs may have any level."""
    level = difference(runs(0.0), runs(0.0), [[0.0, 0.01, 0.02], [0.0, 0.01, 0.02]])
    shifted = difference(runs(0.0), runs(0.0), [[0.0, 0.01, 0.02], [5.0, 5.01, 5.02]])

    assert level.error == pytest.approx(shifted.error)


def test_the_variance_within_runs_is_the_least() -> None:
    """Runs that agree by chance are as uncertain as their requests tell."""
    found = difference(runs(1.0, 1.0, error=0.2), runs(0.0, 0.0, error=0.2))

    assert found.error == pytest.approx(0.2)


def test_what_pairs_share_is_not_in_their_difference() -> None:
    """A level that changes from pair to pair cancels."""
    pairs = [
        (RunValue(level + 0.1 + noise, 0.0), RunValue(level, 0.0)) for level, noise in [(1, 0.01), (9, 0), (4, -0.01)]
    ]
    found = paired_difference(pairs)

    assert found.value == pytest.approx(0.1)
    assert found.interval()[0] > 0.07


@given(st.floats(0.001, 1.0), st.integers(2, 20), st.integers(0, 12))
def test_the_named_number_of_runs_reaches_the_named_size(noise: float, count: int, earlier: int) -> None:
    """With as many runs as `runs_needed` says, the smallest detectable difference is at most the size asked for."""
    wave = [noise * (-1) ** place for place in range(count)]
    past = [[noise * (-1) ** place for place in range(earlier)]] if earlier > 1 else []
    size = 0.5 * difference(runs(*wave), runs(*wave), past).smallest_detectable()
    needed = difference(runs(*wave), runs(*wave), past).runs_needed(size)

    if needed is not None:
        longer = [noise * (-1) ** place for place in range(needed)]
        assert needed > count
        assert difference(runs(*longer), runs(*longer), past).smallest_detectable() <= size * 1.15


def test_a_quantile_knows_its_error() -> None:
    """The standard error of the log of a quantile is that of a normal logarithm, and dependence enlarges it."""
    source = np.random.default_rng(2)
    found = [log_quantile(seconds(source), 0.95) for _ in range(200)]
    values, errors = zip(*((each.value, each.error) for each in found if each is not None), strict=True)

    assert np.mean(values) == pytest.approx(0.5 * 1.645, rel=0.02)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)
    assert log_quantile(seconds(source, count=1), 0.99) is log_quantile([Histogram()] * 9, 0.5) is None


def test_a_duet_is_certain_of_what_both_runs_share() -> None:
    """A load that slows both runs in the same seconds is not in the difference of a duet."""
    source = np.random.default_rng(3)
    load = np.repeat(np.exp(source.standard_normal(12)), 5)
    sides = []
    for factor in (1.2, 1.0):
        rows = []
        for level in load:
            histogram = Histogram()
            histogram.record_all(np.exp(source.standard_normal(50) / 5) * level * factor)
            rows.append(histogram)
        sides.append(log_quantile(rows, 0.5))
    candidate, baseline = sides
    assert candidate is not None
    assert baseline is not None
    found = duet_difference(candidate, baseline)

    assert found.value == pytest.approx(math.log(1.2), abs=0.1)
    assert found.error < 0.3 * math.hypot(candidate.error, baseline.error)
    assert found.p_value_above(0.0) < 0.01
    assert mean_of_duets([found]) is found
    assert mean_of_duets([found] * 4).error == pytest.approx(found.error / 2)


def test_slow_times_of_one_target_make_a_duet_uncertain() -> None:
    """If the targets of a duet are slow at different times, its standard error is larger and known from fewer figures."""
    source = np.random.default_rng(6)

    def run(spell: int) -> list[Histogram]:
        """A run whose level changes every *spell* seconds."""
        levels = np.repeat(np.exp(source.standard_normal(60) / 2), spell)
        return [each for level in levels[:60] for each in seconds(source, level if spell > 1 else 1.0, 1)]

    def duet(spell: int) -> tuple[float, Difference]:
        """The correlation time and the difference of p50."""
        candidate, baseline = log_quantile(run(spell), 0.5), log_quantile(run(spell), 0.5)
        assert candidate is not None
        assert baseline is not None
        time = duet_correlation_time([(candidate, baseline)])
        return time, duet_difference(candidate, baseline, correlation_time=time)

    (steady, certain), (short, some), (long, least) = map(duet, (1, 3, 12))

    assert (0.0, 59.0) == (steady, certain.degrees_of_freedom)
    assert 0.0 < short < 60 / MIN_SLOW_TIMES < long
    assert certain.degrees_of_freedom > some.degrees_of_freedom > least.degrees_of_freedom == 2.0
    assert certain.error < some.error


def test_shares_and_rates_are_measured() -> None:
    """A share without a hit is not known exactly, and a rate is the mean of its seconds."""
    none, some, rate = share([0] * 60, [50] * 60), share([1] * 60, [50] * 60), log_rate([9.0, 11.0] * 30)
    assert none is not None
    assert some is not None
    assert rate is not None

    assert (0.0, 0.02) == (none.value, some.value)
    assert 0 < none.error < some.error
    assert math.exp(rate.value) == pytest.approx(10.0)
    assert duet_difference(none, none).error > 0
    assert share([], []) is log_rate([0.0, 0.0]) is None


def test_a_step_of_a_series_is_found() -> None:
    """A step is found near the run where it is, with one slow run before it."""
    values = np.random.default_rng(4).normal(0.0, 0.05, 60)
    values[10] += 3.0
    values[40:] += 0.15

    (place,) = change_points(list(values))
    assert abs(place - 40) <= 2
    assert [place, 60 - place] == [len(each) for each in segments(list(values))]


@pytest.mark.parametrize(("count", "place"), [(12, 9), (20, 18), (30, 28)])
def test_a_large_step_is_found_after_few_runs(count: int, place: int) -> None:
    """Two or three runs at the end that are much slower are a step, though their ranks alone could be chance."""
    values = np.random.default_rng(7).normal(0.0, 0.03, count)
    values[place:] += 0.4

    assert [place] == change_points(list(values))


@pytest.mark.parametrize("length", [3, 5, 8])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_level_of_few_runs_is_found(length: int, sign: float) -> None:
    """Both ends of a level that lasts a few runs are found, also if it lies far from the ends of the series."""
    values = np.random.default_rng(9).normal(0.0, 0.02, 60)
    values[27 : 27 + length] += sign * 0.15

    assert [27, 27 + length] == change_points(list(values))


@pytest.mark.parametrize("values", [[], [1.0] * 40, [1.0, 9.0] * 2, list(np.random.default_rng(5).normal(0, 1, 30))])
def test_a_series_without_a_step_has_no_change_point(values: list[float]) -> None:
    """Too few runs, equal runs and noise have no change point."""
    assert [] == change_points(values)
    assert len(values) < MIN_RUNS or [values] == segments(values)


@given(st.floats(1.0, 200.0), st.integers(1, 4), st.floats(0.001, 0.2))
def test_duets_that_detect_a_size_are_enough(freedom: float, count: int, error: float) -> None:
    """Duets whose smallest detectable difference is at most a size need no more duets for it."""
    one = Difference(value=0.0, error=error, degrees_of_freedom=freedom, pairs=True, freedom_of_duet=freedom)
    found = mean_of_duets([one] * count)
    size = found.smallest_detectable()

    assert found.runs_needed(1.0001 * size) == count


def test_the_mean_of_each_level_of_a_history_costs_a_degree_of_freedom() -> None:
    """The number of runs needed counts only the degrees of freedom that a history of several levels has."""
    levels = [[place, place + 0.01] for place in (0.0, 5.0, 9.0)]
    found = difference(runs(0.0, 0.01), runs(0.0, 0.01), levels)
    needed = found.runs_needed(1.0001 * found.smallest_detectable())

    assert (5.0, 2) == (found.degrees_of_freedom, needed)


def test_a_p_value_is_at_most_one() -> None:
    """Also if nothing is known, and if two runs agree exactly."""
    assert 1.0 == difference(runs(1.0), runs(0.0)).p_value == difference(runs(1.0, 1.0), runs(1.0, 1.0)).p_value


def test_the_fewest_runs_are_those_in_which_a_change_can_be_found() -> None:
    """In fewer, not even an enormous one is found, wherever it is."""
    noise = np.random.default_rng(1).normal(size=MIN_RUNS) * 0.01

    def is_found(count: int) -> bool:
        """Whether a change at any place of so many runs is found."""
        runs = np.arange(count)
        return any(change_points(list(noise[:count] + 10 * (runs >= place))) for place in range(2, count - 1))

    assert [False, True] == [is_found(MIN_RUNS - 1), is_found(MIN_RUNS)]


@pytest.mark.parametrize("count", [12, 24])
def test_a_detectable_change_is_found_in_most_series(count: int) -> None:
    """One of half the size is not."""
    source = np.random.default_rng(3)

    def found(factor: float) -> int:
        """In how many of 20 series a change by *factor* times the detectable one is found."""
        number = 0
        for _ in range(20):
            values = source.normal(size=count)
            shift = detectable_shift(list(values))
            assert shift is not None
            values[count // 2 :] += factor * shift
            number += bool(change_points(list(values)))
        return number

    assert found(1.5) >= 15
    assert found(0.4) <= 10
