"""
A histogram forgets less than half a thousandth of a value, and nothing of the counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.statistics.histogram import (
    RELATIVE_ERROR,
    Histogram,
    bucket_bounds,
    bucket_index,
    bucket_midpoint,
    merge_histograms,
)

SECOND = 10**9
DAY = 86_400 * SECOND
# Integers alone would nearly all be large: drawing the number of bits first reaches every power of two alike.
NANOSECONDS = st.integers(0, 5000) | st.integers(10, 45).flatmap(lambda bits: st.integers(1 << bits, (2 << bits) - 1))
SAMPLES = st.lists(NANOSECONDS, min_size=1, max_size=200)
PER_MILLE = st.integers(0, 1000)


def histogram_of(nanoseconds: Iterable[int]) -> Histogram:
    """
    A histogram of whole nanoseconds.
    """
    histogram = Histogram()
    for value in nanoseconds:
        histogram.record(value / SECOND)
    return histogram


@given(SAMPLES, PER_MILLE)
def test_a_quantile_is_the_nearest_rank_within_the_stated_error(sample: list[int], per_mille: int) -> None:
    """
    Whatever was recorded, every quantile is within RELATIVE_ERROR of the exact nearest-rank one.
    """
    sample = [0, *sample, DAY]  # the ends are exact: between them nothing is
    rank = max(1, -(-per_mille * len(sample) // 1000))
    exact = sorted(sample)[rank - 1] / SECOND

    assert histogram_of(sample).quantile(per_mille / 1000) == pytest.approx(exact, rel=RELATIVE_ERROR, abs=0)


@given(st.floats(0, 86_400), st.floats(0, 86_400))
def test_a_duration_between_two_nanoseconds_costs_half_of_one_more(value: float, other: float) -> None:
    """
    Values are whole nanoseconds: what lies between them is rounded, beside the relative error.
    """
    histogram = Histogram()
    histogram.record(value)
    histogram.record(max(other, value))

    assert histogram.quantile(0.5) == pytest.approx(value, rel=RELATIVE_ERROR, abs=0.5000001 / SECOND + value * 1e-6)


@given(st.lists(SAMPLES, max_size=5))
def test_a_merged_histogram_is_that_of_all_values_together(samples: list[list[int]]) -> None:
    """
    Merging loses nothing: seconds and workers add up to the run, in any grouping and to the last digit of the sum.
    """
    together = histogram_of(value for sample in samples for value in sample)

    assert together == merge_histograms(histogram_of(sample) for sample in samples)
    assert together == merge_histograms(histogram_of(reversed(sample)) for sample in reversed(samples))


@given(st.lists(NANOSECONDS, max_size=100))
def test_a_histogram_survives_its_json_text(sample: list[int]) -> None:
    """
    What the run folder holds is the histogram, the empty one included.
    """
    histogram = histogram_of(sample)
    read = Histogram.from_json(orjson.loads(orjson.dumps(histogram.to_json())))

    assert histogram == read
    assert (histogram.count, histogram.total, histogram.min, histogram.max) == (
        read.count,
        read.total,
        read.min,
        read.max,
    )


@given(SAMPLES)
def test_count_sum_least_and_greatest_are_exact(sample: list[int]) -> None:
    """
    Only the places between the ends are approximate.
    """
    histogram = histogram_of(sample)

    assert len(sample) == histogram.count
    assert sum(sample) / SECOND == histogram.total
    assert sum(sample) / SECOND / len(sample) == histogram.mean
    assert (min(sample) / SECOND, max(sample) / SECOND) == (histogram.min, histogram.max)


def test_a_million_tenths_sum_to_a_hundred_thousand() -> None:
    """
    A sum of many floats drifts; a sum of whole nanoseconds does not.
    """
    histogram = Histogram()
    for _ in range(1_000_000):
        histogram.record(0.1)

    assert histogram.total == 100_000.0


@given(NANOSECONDS, st.integers(1, 1000))
def test_a_value_recorded_many_times_is_many_values(value: int, times: int) -> None:
    """
    `times` is a short way to say the same.
    """
    at_once = Histogram()
    at_once.record(value / SECOND, times)

    assert histogram_of([value] * times) == at_once


@given(st.data(), SAMPLES)
def test_counting_up_to_a_limit_agrees_with_the_ranks(data: st.DataObject, sample: list[int]) -> None:
    """
    As many values are at most a limit as ranks have a value of at most that limit: the verdict on "p95 < 800 ms" and
    the p95 beside it never contradict each other.
    """
    # A limit near a value is where they would.
    near = data.draw(st.sampled_from(sample)) * (1 + data.draw(st.floats(-1, 1)) * 2 * RELATIVE_ERROR)
    histogram, limit = histogram_of(sample), data.draw(st.just(near) | NANOSECONDS) / SECOND
    values = [histogram.value_at_rank(rank) for rank in range(1, len(sample) + 1)]

    assert sum(value is not None and value <= limit for value in values) == histogram.count_at_most(limit)


def test_an_end_above_the_limit_is_not_counted_as_below_it() -> None:
    """
    The ends are known exactly: "max < 800.4 ms" is not met by 800.5 ms, though one bucket holds both and its middle lies
    below.
    """
    assert bucket_index(0.8004) == bucket_index(0.8005)
    assert histogram_of([100_000_000, 800_500_000]).count_at_most(0.8004) == 1
    assert histogram_of([800_450_000, 800_500_000]).count_at_most(0.8004) == 0


@given(SAMPLES, NANOSECONDS)
def test_counting_up_to_a_limit_is_off_by_no_more_than_the_limits_own_bucket(sample: list[int], limit: int) -> None:
    """
    Values further from the limit than RELATIVE_ERROR are on the right side of it.
    """
    surely = sum(value < limit * (1 - RELATIVE_ERROR * 2) for value in sample)
    possibly = sum(value <= limit * (1 + RELATIVE_ERROR * 2) for value in sample)

    assert surely <= histogram_of(sample).count_at_most(limit / SECOND) <= possibly


@given(SAMPLES, NANOSECONDS, NANOSECONDS)
def test_counting_up_to_a_limit_never_falls_as_the_limit_grows(sample: list[int], one: int, other: int) -> None:
    """
    A looser objective never has fewer good requests.
    """
    histogram = histogram_of(sample)
    low, high = sorted((one / SECOND, other / SECOND))

    assert histogram.count_at_most(low) <= histogram.count_at_most(high)


def test_buckets_tile_a_day_without_gap_or_overlap() -> None:
    """
    From 1 ns to a day every duration has one bucket: the next begins where the one before ends.
    """
    last = bucket_index(DAY / SECOND)
    bounds = [bucket_bounds(index) for index in range(last + 2)]

    assert bounds[0][0] == 0.0
    assert [high for _, high in bounds[:-1]] == [low for low, _ in bounds[1:]]
    assert list(range(last + 2)) == [bucket_index(low) for low, _ in bounds]
    assert list(range(last + 2)) == [bucket_index(high - 1 / SECOND) for _, high in bounds]
    assert all((high - low) / low <= 2.0001 * RELATIVE_ERROR for low, high in bounds[1024:])
    middles = [bucket_midpoint(index) for index in range(last + 1)]
    assert all(low <= middle <= low * (1 + RELATIVE_ERROR) for (low, _), middle in zip(bounds, middles, strict=False))
    assert all(
        middle >= (high - 1 / SECOND) * (1 - RELATIVE_ERROR) for (_, high), middle in zip(bounds, middles, strict=False)
    )


@given(NANOSECONDS)
def test_a_value_lies_in_its_bucket(value: int) -> None:
    """
    `bounds_of` undoes `bucket_of`.
    """
    low, high = bucket_bounds(bucket_index(value / SECOND))

    assert low <= value / SECOND < high


@given(SAMPLES)
def test_bars_ascend_and_hold_every_value(sample: list[int]) -> None:
    """
    A chart of the bars shows all that was counted, once.
    """
    bucket_counts = histogram_of(sample).bucket_counts()

    assert len(sample) == sum(count for _, _, count in bucket_counts)
    assert all(high <= low for (_, high, _), (low, _, _) in pairwise(bucket_counts))


def test_an_empty_histogram_has_no_values() -> None:
    """
    Nothing counted is not zero.
    """
    empty = Histogram()

    assert (None, None, None, None, 0) == (
        empty.quantile(0.5),
        empty.mean,
        empty.min,
        empty.max,
        empty.count_at_most(1.0),
    )


def test_clocks_that_disagree_cost_nothing() -> None:
    """
    A duration that two clocks make negative is none.
    """
    histogram = Histogram()
    histogram.record(-1e-6)

    assert (0.0, 0.0, 0.0) == (histogram.min, histogram.max, histogram.total)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_duration_is_refused(value: float) -> None:
    """
    A nan in a sum would spoil it for good.
    """
    with pytest.raises(ValueError, match="expected a finite duration"):
        Histogram().record(value)


@pytest.mark.parametrize("fraction", [-0.01, 1.01, 95.0, math.nan])
def test_a_percentile_given_as_a_percentage_is_refused(fraction: float) -> None:
    """
    Code takes fractions: 95 for p95 is a mistake, not the maximum.
    """
    with pytest.raises(ValueError, match="expected a fraction"):
        Histogram().quantile(fraction)


def test_ranks_outside_the_sample_have_no_value() -> None:
    """
    There is no zeroth value and none beyond the last.
    """
    histogram = histogram_of([1, 2, 3])

    assert [None, None] == [histogram.value_at_rank(0), histogram.value_at_rank(4)]


@given(SAMPLES | st.just([]), SAMPLES, PER_MILLE)
def test_packing_changes_nothing_that_can_be_asked_or_added(sample: list[int], more: list[int], per_mille: int) -> None:
    """
    A packed histogram answers as the open one does, merges as it does, and goes on counting.
    """
    loose, packed = histogram_of(sample), histogram_of(sample)
    packed.compact()

    assert packed == loose
    assert packed.buckets == loose.buckets
    assert packed.bucket_counts() == loose.bucket_counts()
    assert packed.quantile(per_mille / 1000) == loose.quantile(per_mille / 1000)
    assert packed.count_at_most(per_mille / SECOND) == loose.count_at_most(per_mille / SECOND)
    assert (
        merge_histograms([histogram_of(more), packed])
        == merge_histograms([packed, histogram_of(more)])
        == histogram_of([*sample, *more])
    )

    packed.record_all([value / SECOND for value in more])

    assert packed == histogram_of([*sample, *more])


@pytest.mark.parametrize(
    "data",
    [
        {"steps": [1, 2], "counts": [1], "sum_s": 0.0, "min_s": 0.0, "max_s": 0.0},
        {"steps": [-1], "counts": [1], "sum_s": 0.0, "min_s": 0.0, "max_s": 0.0},
        {"steps": [1], "counts": [2**64], "sum_s": 0.0, "min_s": 0.0, "max_s": 0.0},
        {"steps": ["1"], "counts": [1], "sum_s": 0.0, "min_s": 0.0, "max_s": 0.0},
        {"steps": [1], "counts": [0.5], "sum_s": 0.0, "min_s": 0.0, "max_s": 0.0},
        {"steps": [1], "counts": [1], "sum_s": 0.0},
    ],
)
def test_what_is_no_histogram_is_not_read(data: dict[str, object]) -> None:
    """
    The errors that a reader of lines counts on, and no other.
    """
    with pytest.raises((KeyError, TypeError, ValueError)):
        Histogram.from_json(data)  # type: ignore[arg-type]
