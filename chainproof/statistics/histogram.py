"""
A histogram of durations with a relative error of at most 0.05 %.

Values are nanoseconds. Up to 1023 each has its own bucket; above, every power of two has 1024 equal buckets, so a bucket
is at most 1/1024 of its lower bound wide. The middle of a bucket is reported, which halves the error. (The idea is from
Gil Tene's HdrHistogram; here the array has only the powers of two that are used.)

Merging adds counts and loses nothing: the quantiles of a merged histogram are those of all values together. Percentiles
are never averaged.

A histogram that was read from JSON is packed: two or three bytes per used bucket, since a run of hours has five
histograms per second. It is unpacked when a value is recorded. In JSON it is compressed as well.
"""

from __future__ import annotations

import math
import zlib
from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from chainproof.clock import Seconds

RELATIVE_ERROR = 1 / 2048
"""The upper bound of the relative error of a reported value."""

_SUB_BITS = 10
_SUB_BUCKETS = 1 << _SUB_BITS
_NANOSECONDS = 1_000_000_000
_MAX_TOTAL: Seconds = 2.0**53 / _NANOSECONDS
"""Up to this sum of durations, a hundred days, their nanoseconds are exact as floats and as 64-bit integers."""

_MAX_BUCKET = 64 << _SUB_BITS
"""No duration below `_MAX_SUM` has a larger bucket number."""
_LARGE_BUCKET = 50 << _SUB_BITS
"""Below it, values are integers of less than 64 bits."""
_MAX_COUNT = 1 << 53
_MAX_BYTES = 16 * _MAX_BUCKET
"""Of inflated buckets."""

_MAX_SUM: Seconds = 1e12
"""No durations of a run have a larger sum."""

Durations = Sequence[Seconds] | NDArray[np.float64]
"""Many durations."""
Counts = NDArray[np.int64]
"""Counts of values, or numbers of buckets."""
Unsigned = NDArray[np.unsignedinteger[Any]]
"""The same in one, two, four or eight bytes each."""
_NO_COUNTS: Counts = np.zeros(0, dtype=np.int64)


class HistogramData(TypedDict):
    """The JSON form of a histogram."""

    buckets: str
    """
    Two digits and data in base64, empty without values. The digits are the bytes per step and per count. The data, deflated
    (zlib), are the steps from each used bucket number to the next, beginning with the first number, and then the counts, as
    unsigned little-endian integers.
    """
    sum_s: float
    min_s: NotRequired[float]
    max_s: NotRequired[float]


class Histogram:
    """Counts of durations by bucket, with their exact sum, minimum and maximum."""

    __slots__ = ("_counts", "_first", "_packed", "count", "max_value", "min_value", "nanoseconds")

    def __init__(self) -> None:
        self._counts: Counts = _NO_COUNTS
        self._first = 0
        """The bucket number of the first of `_counts`."""
        self._packed: bytes | None = None
        """The used buckets as `_pack` writes them, in less memory than two arrays; `_counts` is then empty."""
        self.count = 0
        self.nanoseconds = 0  # an integer, since float sums depend on the order
        self.min_value: Seconds = math.inf
        self.max_value: Seconds = -math.inf

    @property
    def buckets(self) -> Mapping[int, int]:
        """The number of values in each used bucket, by ascending bucket number."""
        return dict(self._ascending())

    def used_buckets(self) -> tuple[Counts, Counts]:
        """The numbers of the used buckets, ascending, and their counts."""
        if self._packed is not None:
            steps, counts = _unpack(self._packed)
            return np.cumsum(steps, dtype=np.int64), counts.astype(np.int64)
        used = np.flatnonzero(self._counts)
        return used + self._first, self._counts[used]

    def _ascending(self) -> Iterator[tuple[int, int]]:
        """Bucket numbers and counts, ascending."""
        indices, counts = self.used_buckets()
        return zip(indices.tolist(), counts.tolist(), strict=True)

    def _with_room(self, low: int, high: int) -> Counts:
        """The counts, unpacked, with room for these bucket numbers."""
        if self._packed is not None:
            (indices, counts), self._packed = self.used_buckets(), None
            if indices.size:
                np.add.at(self._with_room(int(indices[0]), int(indices[-1])), indices - self._first, counts)
        first, last = self._first, self._first + len(self._counts) - 1
        if first <= low and high <= last:
            return self._counts
        if last < first:
            first, last = low, high
        low, high = min(low, first) & -_SUB_BUCKETS, max(high, last) | (_SUB_BUCKETS - 1)
        counts = np.zeros(high + 1 - low, dtype=np.int64)
        counts[first - low : first - low + len(self._counts)] = self._counts
        self._counts, self._first = counts, low
        return counts

    def compact(self) -> None:
        """Pack the counts, until the next value is recorded."""
        if self._packed is None and self.count:  # most histograms of a second are empty
            self._packed, (self._counts, self._first) = self._as_packed(), (_NO_COUNTS, 0)

    def _as_packed(self) -> bytes:
        """The used buckets as `_pack` writes them."""
        if self._packed is not None:
            return self._packed
        indices, counts = self.used_buckets()
        steps = indices.copy()
        steps[1:] -= indices[:-1]  # in a fifth of the time of np.diff with `prepend`
        return _pack(steps, counts)

    def record(self, value: Seconds, times: int = 1) -> None:
        """
        Count a duration. A negative one, from clocks that differ by less than their resolution, counts as zero.

        Raises ValueError for infinity and NaN.
        """
        if not math.isfinite(value):
            raise ValueError(f"expected a finite duration, found {value!r}")
        value = max(value, 0.0)
        nanoseconds = round(value * _NANOSECONDS)
        index = bucket_index(nanoseconds)
        self._with_room(index, index)[index - self._first] += times
        self.count += times
        self.nanoseconds += nanoseconds * times
        self.min_value = min(self.min_value, value)
        self.max_value = max(self.max_value, value)

    def record_all(self, values: Durations) -> None:
        """Count many durations like `record`, in a tenth of the time or less."""
        seconds = np.asarray(values, dtype=np.float64)
        if not seconds.size:
            return
        low, high = float(seconds.min()), float(seconds.max())
        if not (low >= 0.0 and high * seconds.size < _MAX_TOTAL):  # also for NaN
            for value in seconds.tolist():
                self.record(value)
            return
        nanoseconds = np.rint(seconds * _NANOSECONDS).astype(np.int64)
        # The exponent of a float is the number of bits of an integer, which is exact below _MAX_TOTAL.
        shifts = np.maximum(np.frexp(nanoseconds)[1] - (_SUB_BITS + 1), 0)
        indices = (shifts << _SUB_BITS) + (nanoseconds >> shifts)
        np.add.at(self._with_room(int(indices.min()), int(indices.max())), indices - self._first, 1)
        self.count += seconds.size
        self.nanoseconds += int(nanoseconds.sum())
        self.min_value = min(self.min_value, low)
        self.max_value = max(self.max_value, high)

    def merge(self, other: Histogram) -> None:
        """Add the counts of another histogram."""
        if not other.count:
            return
        indices, counts = other.used_buckets()
        np.add.at(self._with_room(int(indices[0]), int(indices[-1])), indices - self._first, counts)
        self.count += other.count
        self.nanoseconds += other.nanoseconds
        self.min_value = min(self.min_value, other.min_value)
        self.max_value = max(self.max_value, other.max_value)

    def minus(self, part: Histogram) -> Histogram:
        """The histogram without the counts of *part*, which was merged into it. Its extremes are exact within a bucket."""
        rest = Histogram()
        indices, counts = self.used_buckets()
        removed = part.buckets
        left = np.maximum(counts - [removed.get(index, 0) for index in indices.tolist()], 0)
        rest.count = int(left.sum())
        rest.nanoseconds = max(self.nanoseconds - part.nanoseconds, 0)
        if rest.count:
            used = indices[left > 0]
            lowest, highest = int(used[0]), int(used[-1])
            rest._with_room(lowest, highest)[used - rest._first] = left[left > 0]
            rest.min_value = max(self.min_value, bucket_bounds(lowest)[0])
            rest.max_value = min(self.max_value, bucket_bounds(highest)[1])
        return rest

    def replaced(self, part: Histogram, other: Histogram) -> Histogram:
        """The histogram with the counts of *other* in place of those of *part*, which was merged into it."""
        rest = self.minus(part)
        rest.merge(other)
        return rest

    @property
    def total(self) -> Seconds:
        """The exact sum of all values, to the nanosecond."""
        return self.nanoseconds / _NANOSECONDS

    @property
    def mean(self) -> Seconds | None:
        """The exact mean; None if empty."""
        return self.total / self.count if self.count else None

    @property
    def max(self) -> Seconds | None:
        """The exact maximum; None if empty."""
        return self.max_value if self.count else None

    @property
    def min(self) -> Seconds | None:
        """The exact minimum; None if empty."""
        return self.min_value if self.count else None

    def quantile(self, fraction: float) -> Seconds | None:
        """The nearest-rank quantile: the value of rank ⌈fraction · count⌉, within `RELATIVE_ERROR`; None if empty."""
        if not 0.0 <= fraction <= 1.0:
            raise ValueError(f"expected a fraction from 0 to 1, found {fraction!r}")
        if not self.count:
            return None
        # Without the correction, 0.07 * 100 = 7.000000000000001 would give rank 8.
        rank = max(1, math.ceil(fraction * self.count - 1e-9))
        return self.value_at_rank(rank)

    def value_at_rank(self, rank: int) -> Seconds | None:
        """The value with this rank (from 1, ascending), within `RELATIVE_ERROR`; None if there is no such rank."""
        if not 1 <= rank <= self.count:
            return None
        if rank == self.count:
            return self.max_value
        indices, counts = self.used_buckets()
        index = int(indices[np.searchsorted(np.cumsum(counts), rank)])
        return min(max(bucket_midpoint(index), self.min_value), self.max_value)

    def count_at_most(self, limit: Seconds) -> int:
        """The number of values up to *limit*, exact except for the bucket of *limit*."""
        if limit >= self.max_value:
            return self.count
        if limit < self.min_value:
            return 0
        indices, counts = self.used_buckets()
        place = bisect_right(indices.tolist(), limit, key=bucket_midpoint)
        return min(int(counts[:place].sum()), self.count - 1)  # the maximum is exact and above the limit

    def count_below(self, limit: Seconds) -> int:
        """
        The number of values below *limit*, exact except for the bucket of *limit*.

        The minimum and the maximum are known exactly. If *limit* is one of them, its whole bucket counts as equal to it.
        """
        if limit > self.max_value:
            return self.count
        if limit in (self.min_value, self.max_value):
            place = bucket_index(round(limit * _NANOSECONDS))
            return sum(count for index, count in self._ascending() if index < place)
        below = sum(count for index, count in self._ascending() if bucket_midpoint(index) < limit)
        return min(below, self.count - 1)

    def to_json(self) -> HistogramData:
        """The JSON form, which `from_json` reads."""
        data: HistogramData = {"buckets": _encode(self._as_packed()), "sum_s": self.total}
        if self.count:
            data["min_s"] = self.min_value
            data["max_s"] = self.max_value
        return data

    @classmethod
    def from_json(cls, data: HistogramData) -> Histogram:
        """The histogram that `to_json` wrote. Raises KeyError, TypeError or ValueError for other data."""
        if not all(0 <= data.get(name, 0.0) < _MAX_SUM for name in ("sum_s", "min_s", "max_s")):  # type: ignore[operator]  # numbers
            raise ValueError(f"expected durations, found {data['sum_s']} s")
        histogram = cls()
        histogram._packed = _decode(data["buckets"])
        histogram.count = int(_unpack(histogram._packed)[1].sum(dtype=np.int64))
        histogram.nanoseconds = round(data["sum_s"] * _NANOSECONDS)
        if histogram.count:
            histogram.min_value = data["min_s"]
            histogram.max_value = data["max_s"]
        return histogram

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Histogram({self.count} values)"


def narrow(values: Counts) -> Unsigned:
    """Integers from 0, with as few bytes per item as the largest needs."""
    width = np.min_scalar_type(values.max()).itemsize if values.size else 1
    return values.astype(f"<u{width}")


def _pack(steps: Counts, counts: Counts) -> bytes:
    """Steps and counts, both narrow; the bytes per item come first, as two digits."""
    parts = narrow(steps), narrow(counts)
    widths = "".join(str(part.itemsize) for part in parts)
    return widths.encode() + parts[0].tobytes() + parts[1].tobytes()


def _unpack(packed: bytes) -> tuple[Unsigned, Unsigned]:
    """The steps and counts that `_pack` wrote."""
    first, second = (digit - ord("0") for digit in packed[:_WIDTHS])
    used = (len(packed) - _WIDTHS) // (first + second)
    steps = np.frombuffer(packed, f"<u{first}", used, _WIDTHS)
    return steps, np.frombuffer(packed, f"<u{second}", used, _WIDTHS + used * first)


_WIDTHS = 2
"""The number of digits before the data."""
_EMPTY = b"11"


def _encode(packed: bytes) -> str:
    """The `buckets` of HistogramData."""
    return (
        ""
        if len(packed) == _WIDTHS
        else packed[:_WIDTHS].decode() + b64encode(zlib.compress(packed[_WIDTHS:])).decode()
    )


def _decode(text: str) -> bytes:
    """The packed buckets that `_encode` wrote. Raises TypeError or ValueError for anything else."""
    if not text:
        return _EMPTY
    widths = [int(digit) for digit in text[:_WIDTHS]]
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(b64decode(text[_WIDTHS:], validate=True), _MAX_BYTES)
    except zlib.error as error:
        raise ValueError(f"expected buckets in deflated form: {error}") from None
    if not set(widths) <= {1, 2, 4, 8} or len(data) % (sum(widths) or 1) or not inflate.eof:
        raise ValueError("expected as many counts as steps, of 1, 2, 4 or 8 bytes each")
    packed = "".join(map(str, widths)).encode() + data
    steps, counts = _unpack(packed)
    if steps.sum(dtype=np.float64) > _MAX_BUCKET or counts.sum(dtype=np.float64) > _MAX_COUNT:
        raise ValueError(f"expected bucket numbers up to {_MAX_BUCKET} and counts up to {_MAX_COUNT} in all")
    return packed


def merge_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """A histogram with the counts of all."""
    merged = Histogram()
    for histogram in histograms:
        merged.merge(histogram)
    return merged


def bucket_index(nanoseconds: int) -> int:
    """The bucket number of a duration (0 or more)."""
    shift = max(nanoseconds.bit_length() - _SUB_BITS - 1, 0)
    return (shift << _SUB_BITS) + (nanoseconds >> shift)


def last_bucket(limit: Seconds) -> int:
    """The last bucket whose reported value is at most *limit*; -1 if none is."""
    if limit < 0.0:
        return -1
    index = bucket_index(round(min(limit, _MAX_SUM) * _NANOSECONDS)) + 1
    while index >= 0 and bucket_midpoint(index) > limit:
        index -= 1
    return index


def bucket_bounds(index: int) -> tuple[Seconds, Seconds]:
    """The lower bound (inclusive) and upper bound (exclusive) of a bucket, in seconds."""
    shift = max((index >> _SUB_BITS) - 1, 0)
    lowest = (index - (shift << _SUB_BITS)) << shift
    return lowest / _NANOSECONDS, (lowest + (1 << shift)) / _NANOSECONDS


def bucket_midpoint(index: int) -> Seconds:
    """The reported value of a bucket, in seconds: the middle of its nanoseconds."""
    shift = max((index >> _SUB_BITS) - 1, 0)
    lowest = (index - (shift << _SUB_BITS)) << shift
    return (lowest + ((1 << shift) - 1) / 2) / _NANOSECONDS


def bucket_midpoints(indices: Counts) -> NDArray[np.float64]:
    """The reported values of many buckets, in seconds."""
    if indices.size and indices.max() >= _LARGE_BUCKET:
        return np.fromiter(map(bucket_midpoint, indices.tolist()), np.float64, indices.size)
    shifts = np.maximum((indices >> _SUB_BITS) - 1, 0)
    lowest = (indices - (shifts << _SUB_BITS)) << shifts
    return np.asarray((lowest + ((1 << shifts) - 1) / 2) / _NANOSECONDS)
