"""
A histogram of durations whose every bucket is narrower than 0.1 % of what it holds.

Values are whole nanoseconds. Below 1024 each has a bucket of its own; above, every power of two is cut into 1024 equal
buckets, so a bucket is at most 1/1024 of its lower bound wide. Reporting the middle halves that: the relative error of
any quantile is at most 0.05 %. (The idea is Gil Tene's HdrHistogram, with a dict for the counts: few buckets are ever
used, and a dict of them merges, subtracts and serialises as it stands.)

Merging adds counts and loses nothing, so the quantiles of many seconds or workers are those of all their values put
together. Percentiles are never averaged.

What has been read is kept packed, three or four bytes a bucket where a dict takes a hundred: a soak of hours has five
histograms for every second. It unpacks when something is counted in it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NotRequired, TypedDict

from chainproof.clock import Seconds

RELATIVE_ERROR = 1 / 2048
"""The bound on the relative error of a reported value."""

_SUB_BITS = 10
_SUB_BUCKETS = 1 << _SUB_BITS
_NANOSECONDS = 1_000_000_000


class HistogramData(TypedDict):
    """
    A histogram in JSON: bucket numbers as differences to the one before, so that lines stay short.
    """

    steps: list[int]
    counts: list[int]
    sum_s: float
    min_s: NotRequired[float]
    max_s: NotRequired[float]


class Histogram:
    """
    Counts of durations, with the exact sum, min_value and max_value beside them.
    """

    __slots__ = ("_counts", "_packed", "count", "max_value", "min_value", "nanoseconds")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._packed: tuple[array[int], array[int]] | None = None  # steps and counts; then the dict is empty
        self.count = 0
        self.nanoseconds = 0  # whole ones add up exactly in any order; a float sum drifts
        self.min_value: Seconds = math.inf
        self.max_value: Seconds = -math.inf

    @property
    def buckets(self) -> Mapping[int, int]:
        """How many values are in each bucket that has any, ascending by its number."""
        return dict(self._ascending())

    def _ascending(self) -> Iterator[tuple[int, int]]:
        """
        Numbers and counts of the buckets in use.
        """
        if self._packed is None:
            return iter(sorted(self._counts.items()))
        steps, counts = self._packed
        return zip(accumulate(steps), counts, strict=True)

    def _open(self) -> dict[int, int]:
        """
        The counts, to be added to.
        """
        if self._packed is not None:
            self._counts, self._packed = dict(self._ascending()), None
        return self._counts

    def compact(self) -> None:
        """Take no more room than need be, until something is counted again."""
        if self._packed is None:
            indices, counts = list(zip(*self._ascending(), strict=True)) or ((), ())
            self._packed = _narrow(_steps(indices)), _narrow(counts)
            self._counts = {}

    def record(self, value: Seconds, times: int = 1) -> None:
        """
        Count a duration. A negative one is counted as zero: two clocks may disagree by less than they resolve.

        Raises ValueError for what is no number at all.
        """
        if not math.isfinite(value):
            raise ValueError(f"expected a finite duration, found {value!r}")
        value = max(value, 0.0)
        nanoseconds = round(value * _NANOSECONDS)
        index, buckets = _bucket(nanoseconds), self._open()
        buckets[index] = buckets.get(index, 0) + times
        self.count += times
        self.nanoseconds += nanoseconds * times
        self.min_value = min(self.min_value, value)
        self.max_value = max(self.max_value, value)

    def record_all(self, values: Sequence[Seconds]) -> None:
        """
        Count many durations, as `record` counts each, in a third of its time.
        """
        if not values:
            return
        if not math.isfinite(math.fsum(values)) or min(values) < 0.0:
            for value in values:
                self.record(value)
            return
        buckets, total = self._open(), 0
        counted = buckets.get
        for value in values:
            nanoseconds = round(value * _NANOSECONDS)
            total += nanoseconds
            shift = nanoseconds.bit_length() - _SUB_BITS - 1
            index = (shift << _SUB_BITS) + (nanoseconds >> shift) if shift > 0 else nanoseconds
            buckets[index] = counted(index, 0) + 1
        self.count += len(values)
        self.nanoseconds += total
        self.min_value = min(self.min_value, *values)
        self.max_value = max(self.max_value, *values)

    def merge(self, other: Histogram) -> None:
        """
        Add another histogram's counts to this one's.
        """
        if not other.count:
            return
        buckets = self._open()
        counted = buckets.get
        for index, count in other._ascending() if other._packed is not None else other._counts.items():
            buckets[index] = counted(index, 0) + count
        self.count += other.count
        self.nanoseconds += other.nanoseconds
        self.min_value = min(self.min_value, other.min_value)
        self.max_value = max(self.max_value, other.max_value)

    @property
    def total(self) -> Seconds:
        """The exact sum of all values, to the nanosecond."""
        return self.nanoseconds / _NANOSECONDS

    @property
    def mean(self) -> Seconds | None:
        """The exact mean; None when nothing was counted."""
        return self.total / self.count if self.count else None

    @property
    def max(self) -> Seconds | None:
        """The exact max_value value; None when nothing was counted."""
        return self.max_value if self.count else None

    @property
    def min(self) -> Seconds | None:
        """The exact min_value value; None when nothing was counted."""
        return self.min_value if self.count else None

    def quantile(self, fraction: float) -> Seconds | None:
        """
        The nearest-rank quantile: the value of rank ⌈fraction · count⌉, within `RELATIVE_ERROR`; None when empty.
        """
        if not 0.0 <= fraction <= 1.0:
            raise ValueError(f"expected a fraction from 0 to 1, found {fraction!r}")
        if not self.count:
            return None
        # 0.07 * 100 is 7.000000000000001: without the correction its ceiling would be one rank too high.
        rank = max(1, math.ceil(fraction * self.count - 1e-9))
        return self.value_at_rank(rank)

    def value_at_rank(self, rank: int) -> Seconds | None:
        """
        The value of the rank-th smallest (from 1), within `RELATIVE_ERROR`; None where there is no such rank.
        """
        if not 1 <= rank <= self.count:
            return None
        if rank == self.count:
            return self.max_value
        seen = 0
        for index, count in self._ascending():
            seen += count
            if seen >= rank:
                return min(max(bucket_midpoint(index), self.min_value), self.max_value)
        raise AssertionError("the counts of a histogram add up to its count")

    def count_at_most(self, limit: Seconds) -> int:
        """
        How many ranks have a value of at most *limit*: exact but for the bucket that *limit* falls into.
        """
        if limit >= self.max_value:
            return self.count
        if limit < self.min_value:
            return 0
        below = sum(count for index, count in self._ascending() if bucket_midpoint(index) <= limit)
        return min(below, self.count - 1)  # the max_value is known exactly, and above the limit

    def bucket_counts(self) -> list[tuple[Seconds, Seconds, int]]:
        """
        Lower bound, upper bound and count of every bucket in use, ascending.
        """
        return [(*bucket_bounds(index), count) for index, count in self._ascending()]

    def to_json(self) -> HistogramData:
        """
        The histogram as JSON types.
        """
        packed = self._packed
        if packed is None:
            buckets = dict(self._ascending())
            steps, counts = _steps(buckets), list(buckets.values())
        else:
            steps, counts = packed[0].tolist(), packed[1].tolist()
        data: HistogramData = {
            "steps": steps,
            "counts": counts,
            "sum_s": self.total,
        }
        if self.count:
            data["min_s"] = self.min_value
            data["max_s"] = self.max_value
        return data

    @classmethod
    def from_json(cls, data: HistogramData) -> Histogram:
        """
        The histogram that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else.
        """
        histogram = cls()
        steps, counts = _narrow(data["steps"]), _narrow(data["counts"])
        if len(steps) != len(counts):
            raise ValueError(f"expected a count for each of {len(steps)} buckets, found {len(counts)}")
        histogram._packed = steps, counts
        histogram.count = sum(counts)
        histogram.nanoseconds = round(data["sum_s"] * _NANOSECONDS)
        if histogram.count:
            histogram.min_value = data["min_s"]
            histogram.max_value = data["max_s"]
        return histogram

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # mutable: equal today, different tomorrow

    def __repr__(self) -> str:
        return f"Histogram({self.count} values)"


def _steps(indices: Iterable[int]) -> list[int]:
    """
    How far each of some ascending numbers lies above the one before it.
    """
    before, steps = 0, []
    for index in indices:
        steps.append(index - before)
        before = index
    return steps


def _narrow(values: Sequence[int]) -> array[int]:
    """
    Whole numbers of at min_value zero, each in as few bytes as the max_value needs. Raises TypeError or ValueError for others.
    """
    for code in "BHIQ":
        try:
            return array(code, values)
        except OverflowError:
            continue
    raise ValueError("expected whole numbers from 0 to 2**64 - 1")


def merge_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """
    One histogram with the counts of all.
    """
    whole = Histogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole


def bucket_index(value: Seconds) -> int:
    """
    The number of the bucket that a duration of at min_value zero seconds falls into.
    """
    return _bucket(round(value * _NANOSECONDS))


def _bucket(nanoseconds: int) -> int:
    """
    The number of the bucket of so many nanoseconds.
    """
    shift = max(nanoseconds.bit_length() - _SUB_BITS - 1, 0)
    return (shift << _SUB_BITS) + (nanoseconds >> shift)


def bucket_bounds(index: int) -> tuple[Seconds, Seconds]:
    """
    The lower bound (inclusive) and upper bound (exclusive) of a bucket, in seconds.
    """
    shift = max((index >> _SUB_BITS) - 1, 0)
    lowest = (index - (shift << _SUB_BITS)) << shift
    return lowest / _NANOSECONDS, (lowest + (1 << shift)) / _NANOSECONDS


def bucket_midpoint(index: int) -> Seconds:
    """
    The value a bucket stands for: the middle of the whole nanoseconds in it.
    """
    shift = max((index >> _SUB_BITS) - 1, 0)
    lowest = (index - (shift << _SUB_BITS)) << shift
    return (lowest + ((1 << shift) - 1) / 2) / _NANOSECONDS
