"""Tests of histograms: the error of quantiles, exact counts and sums, merging, and storage."""

from __future__ import annotations

import math
import zlib
from base64 import b64encode
from collections.abc import Iterable

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
    last_bucket,
    merge_histograms,
)

SECOND = 10**9
DAY = 86_400 * SECOND
# Draw the number of bits first; otherwise almost all integers would be large.
NANOSECONDS = st.integers(0, 5000) | st.integers(10, 45).flatmap(lambda bits: st.integers(1 << bits, (2 << bits) - 1))
SAMPLES = st.lists(NANOSECONDS, min_size=1, max_size=200)
PER_MILLE = st.integers(0, 1000)


def histogram_of(nanoseconds: Iterable[int]) -> Histogram:
    """A histogram of durations in nanoseconds."""
    histogram = Histogram()
    for value in nanoseconds:
        histogram.record(value / SECOND)
    return histogram


@given(SAMPLES, PER_MILLE)
def test_quantile_is_the_nearest_rank_within_the_error(sample: list[int], per_mille: int) -> None:
    """Every quantile is within RELATIVE_ERROR of the exact nearest-rank quantile."""
    sample = [0, *sample, DAY]  # minimum and maximum are exact; the values between them are not
    rank = max(1, -(-per_mille * len(sample) // 1000))
    exact = sorted(sample)[rank - 1] / SECOND

    assert histogram_of(sample).quantile(per_mille / 1000) == pytest.approx(exact, rel=RELATIVE_ERROR, abs=0)


@given(st.floats(0, 86_400), st.floats(0, 86_400))
def test_durations_are_rounded_to_nanoseconds(value: float, other: float) -> None:
    """The rounding error adds to the relative error."""
    histogram = Histogram()
    histogram.record(value)
    histogram.record(max(other, value))

    assert histogram.quantile(0.5) == pytest.approx(value, rel=RELATIVE_ERROR, abs=0.5000001 / SECOND + value * 1e-6)


@given(st.lists(SAMPLES, max_size=5))
def test_merging_loses_nothing(samples: list[list[int]]) -> None:
    """A merged histogram equals that of all values, in any grouping, including the sum."""
    expected = histogram_of(value for sample in samples for value in sample)

    assert expected == merge_histograms(histogram_of(sample) for sample in samples)
    assert expected == merge_histograms(histogram_of(reversed(sample)) for sample in reversed(samples))


@given(st.lists(NANOSECONDS, max_size=100))
def test_histogram_round_trips_through_json(sample: list[int]) -> None:
    """A histogram, also an empty one, is the same after conversion to JSON and back."""
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
def test_count_sum_minimum_and_maximum_are_exact(sample: list[int]) -> None:
    """Only the values between minimum and maximum are approximate."""
    histogram = histogram_of(sample)

    assert len(sample) == histogram.count
    assert sum(sample) / SECOND == histogram.total
    assert sum(sample) / SECOND / len(sample) == histogram.mean
    assert (min(sample) / SECOND, max(sample) / SECOND) == (histogram.min, histogram.max)


def test_sum_has_no_rounding_error() -> None:
    """The sum is of integers, so it has no rounding error."""
    histogram = Histogram()
    for _ in range(1_000_000):
        histogram.record(0.1)

    assert histogram.total == 100_000.0


@given(NANOSECONDS, st.integers(1, 1000))
def test_record_with_times_equals_repeated_records(value: int, times: int) -> None:
    """Recording a value n times at once equals recording it n times."""
    at_once = Histogram()
    at_once.record(value / SECOND, times)

    assert histogram_of([value] * times) == at_once


@given(st.data(), SAMPLES)
def test_count_at_most_agrees_with_ranks(data: st.DataObject, sample: list[int]) -> None:
    """The result of "p95 < 800 ms" never contradicts the reported p95."""
    # Contradictions are most likely if the limit is near a value.
    near = data.draw(st.sampled_from(sample)) * (1 + data.draw(st.floats(-1, 1)) * 2 * RELATIVE_ERROR)
    histogram, limit = histogram_of(sample), data.draw(st.just(near) | NANOSECONDS) / SECOND
    values = [histogram.value_at_rank(rank) for rank in range(1, len(sample) + 1)]

    assert sum(value is not None and value <= limit for value in values) == histogram.count_at_most(limit)


def test_maximum_above_the_limit_is_not_counted() -> None:
    """The maximum is exact: "max < 800.4 ms" is not met by 800.5 ms, although both are in one bucket."""
    assert bucket_index(800_400_000) == bucket_index(800_500_000)
    assert histogram_of([100_000_000, 800_500_000]).count_at_most(0.8004) == 1
    assert histogram_of([800_450_000, 800_500_000]).count_at_most(0.8004) == 0


@given(SAMPLES, NANOSECONDS)
def test_count_at_most_is_correct_within_the_relative_error(sample: list[int], limit: int) -> None:
    """Values that differ from the limit by more than RELATIVE_ERROR are counted correctly."""
    at_least = sum(value < limit * (1 - RELATIVE_ERROR * 2) for value in sample)
    at_most = sum(value <= limit * (1 + RELATIVE_ERROR * 2) for value in sample)

    assert at_least <= histogram_of(sample).count_at_most(limit / SECOND) <= at_most


@given(SAMPLES, NANOSECONDS, NANOSECONDS)
def test_count_at_most_is_monotonic(sample: list[int], one: int, other: int) -> None:
    """A larger limit never gives a smaller count."""
    histogram = histogram_of(sample)
    low, high = sorted((one / SECOND, other / SECOND))

    assert histogram.count_at_most(low) <= histogram.count_at_most(high)


def test_buckets_have_no_gap_or_overlap() -> None:
    """From 1 ns to a day every duration is in exactly one bucket."""
    last = bucket_index(DAY)
    bounds = [bucket_bounds(index) for index in range(last + 2)]

    assert bounds[0][0] == 0.0
    assert [high for _, high in bounds[:-1]] == [low for low, _ in bounds[1:]]
    assert list(range(last + 2)) == [bucket_index(round(low * SECOND)) for low, _ in bounds]
    assert list(range(last + 2)) == [bucket_index(round(high * SECOND) - 1) for _, high in bounds]
    assert all((high - low) / low <= 2.0001 * RELATIVE_ERROR for low, high in bounds[1024:])
    middles = [bucket_midpoint(index) for index in range(last + 1)]
    assert all(low <= middle <= low * (1 + RELATIVE_ERROR) for (low, _), middle in zip(bounds, middles, strict=False))
    assert all(
        middle >= (high - 1 / SECOND) * (1 - RELATIVE_ERROR) for (_, high), middle in zip(bounds, middles, strict=False)
    )


@given(NANOSECONDS)
def test_value_is_within_its_bucket(value: int) -> None:
    """The bounds of the bucket of a value enclose the value."""
    low, high = bucket_bounds(bucket_index(value))

    assert low <= value / SECOND < high


@given(NANOSECONDS)
def test_last_bucket_is_the_last_with_a_value_up_to_the_limit(value: int) -> None:
    """A limit, and one that is exactly the value of a bucket, divide the buckets where their values say."""
    for limit in (value / SECOND, bucket_midpoint(bucket_index(value))):
        index = last_bucket(limit)

        assert -1 == index or bucket_midpoint(index) <= limit
        assert limit < bucket_midpoint(index + 1)
    assert -1 == last_bucket(-1.0)
    assert last_bucket(math.inf) >= index


def test_empty_histogram_has_no_statistics() -> None:
    """An empty histogram has no quantile, mean, minimum or maximum."""
    empty = Histogram()

    assert (None, None, None, None, 0) == (
        empty.quantile(0.5),
        empty.mean,
        empty.min,
        empty.max,
        empty.count_at_most(1.0),
    )


def test_negative_duration_counts_as_zero() -> None:
    """A small negative duration, from two clocks that disagree, counts as zero."""
    histogram = Histogram()
    histogram.record(-1e-6)

    assert (0.0, 0.0, 0.0) == (histogram.min, histogram.max, histogram.total)


recorded = st.one_of(st.floats(0, 1e5), st.floats(-1e-3, 1e-6), st.integers(0, 5000).map(lambda value: value / 1e9))


@given(st.lists(recorded, max_size=60), st.lists(recorded, max_size=60))
def test_record_all_equals_record(first: list[float], second: list[float]) -> None:
    """Buckets, count, sum, minimum and maximum are the same as with `record`, also with earlier values."""
    batch, single = Histogram(), Histogram()
    for values in (first, second):
        batch.record_all(values)
        for value in values:
            single.record(value)

    assert single == batch
    assert (single.buckets, single.nanoseconds) == (batch.buckets, batch.nanoseconds)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_rejected(value: float) -> None:
    """NaN or infinity would make the sum useless."""
    with pytest.raises(ValueError, match="expected a finite duration"):
        Histogram().record(value)
    with pytest.raises(ValueError, match="expected a finite duration"):
        Histogram().record_all([1.0, value, 2.0])


@pytest.mark.parametrize("fraction", [-0.01, 1.01, 95.0, math.nan])
def test_quantile_requires_a_fraction(fraction: float) -> None:
    """A quantile is a fraction from 0 to 1: 95 for p95 is an error."""
    with pytest.raises(ValueError, match="expected a fraction"):
        Histogram().quantile(fraction)


def test_rank_outside_the_sample_has_no_value() -> None:
    """Ranks begin at 1 and end at the count."""
    histogram = histogram_of([1, 2, 3])

    assert [None, None] == [histogram.value_at_rank(0), histogram.value_at_rank(4)]


@given(SAMPLES | st.just([]), SAMPLES, PER_MILLE)
def test_compact_histogram_behaves_the_same(sample: list[int], more: list[int], per_mille: int) -> None:
    """A compacted histogram gives the same results, can be merged, and can record more values."""
    unpacked, packed = histogram_of(sample), histogram_of(sample)
    packed.compact()

    assert packed == unpacked
    assert packed.buckets == unpacked.buckets
    assert packed.quantile(per_mille / 1000) == unpacked.quantile(per_mille / 1000)
    assert packed.count_at_most(per_mille / SECOND) == unpacked.count_at_most(per_mille / SECOND)
    assert (
        merge_histograms([histogram_of(more), packed])
        == merge_histograms([packed, histogram_of(more)])
        == histogram_of([*sample, *more])
    )

    packed.record_all([value / SECOND for value in more])

    assert packed == histogram_of([*sample, *more])


def buckets(steps: bytes, counts: bytes, widths: str = "11") -> str:
    """Encoded buckets."""
    return widths + b64encode(zlib.compress(steps + counts)).decode()


VALID = buckets(b"\x01\x02", b"\x01\x01")
INVALID = {
    "a count too few": buckets(b"\x01\x02", b"\x01"),
    "bucket number": buckets(b"\xff" * 4, b"\x01", "41"),
    "counts": buckets(b"\x01", b"\xff" * 8, "18"),
    "width": buckets(b"\x01" * 3, b"\x01" * 3, "33"),
    "no width": "x1" + VALID[2:],
    "base64": VALID[:-1] + "?",
    "deflate": "11" + b64encode(b"nonsense").decode(),
    "cut": VALID[:-8],
    "too much": buckets(b"\x00" * 50_000_000, b""),
    "number": 1,
    "list": [1, 2],
}


@pytest.mark.parametrize("kind", INVALID)
def test_invalid_buckets_are_rejected(kind: str) -> None:
    """Invalid data raises KeyError, TypeError or ValueError, which the reader of run folders handles."""
    data = {"buckets": INVALID[kind], "sum_s": 0.0, "min_s": 0.0, "max_s": 0.0}
    with pytest.raises((TypeError, ValueError)):
        Histogram.from_json(data)  # type: ignore[arg-type, typeddict-item]


@pytest.mark.parametrize("data", [{"buckets": VALID, "sum_s": 0.0}, {"sum_s": 0.0}, {"buckets": VALID}])
def test_invalid_json_is_rejected(data: dict[str, object]) -> None:
    """Invalid data raises KeyError, TypeError or ValueError, which the reader of run folders handles."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        Histogram.from_json(data)  # type: ignore[arg-type]
