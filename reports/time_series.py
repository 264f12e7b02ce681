"""
A run over time as a limited number of spans, and histograms as bins.

Seconds are merged, never averaged: counts are added, and a percentile of twelve seconds is that of all their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainproof.results.exchange import Result
from chainproof.results.intervals.interval import Interval
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.statistics.histogram import Histogram, bucket_midpoint, merge_histograms
from chainproof.statistics.time_batches import span_length


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Some consecutive seconds of a run, merged."""

    start: int
    seconds: int
    """At least 1."""
    counts: RequestStats
    """Of its requests; without their times."""
    ok_times: Histogram
    """The response times of its ok answers."""
    in_flight_max: int
    """Largest number of requests in flight at once."""
    parts: tuple[Interval, ...] = ()
    """Its seconds, as far as they were recorded."""

    def extremes(self, value: Callable[[Interval], float | None]) -> tuple[float, float] | None:
        """The lowest and the highest value of its seconds; None if none has one."""
        values = [found for each in self.parts if (found := value(each)) is not None]
        return (min(values), max(values)) if values else None

    @property
    def end(self) -> int:
        """The second after the last one."""
        return self.start + self.seconds

    def rate(self, count: int) -> float:
        """A count of this span per second."""
        return count / self.seconds


def spans(seconds: Sequence[Interval], max_spans: int) -> list[Span]:
    """A run in at most *max_spans* spans of equal length, of whole minutes in a long run; the last one may be shorter."""
    if not seconds:
        return []
    end = max(each.second for each in seconds) + 1
    width = span_length(end, max_spans)
    parts: dict[int, list[Interval]] = {start: [] for start in range(0, end, width)}
    for interval in seconds:
        parts[interval.second // width * width].append(interval)
    return [_span(start, min(width, end - start), inside) for start, inside in parts.items()]


def _span(start: int, seconds: int, parts: Sequence[Interval]) -> Span:
    """The seconds *parts* as one span. Only the times that reports show are merged: a day has hundreds of spans."""
    counts = RequestStats()
    for each in parts:
        counts.add_counts(each)
    ok_times = merge_histograms(each.response_time[Result.OK] for each in parts)
    ok_times.compact()
    return Span(
        start=start,
        seconds=seconds,
        counts=counts,
        ok_times=ok_times,
        in_flight_max=max((each.in_flight_max for each in parts), default=0),
        parts=tuple(parts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The number of durations from *low* to *high* seconds."""

    low: float
    high: float
    count: int


def bins(histogram: Histogram, low: float, high: float, number: int) -> list[Bin]:
    """A histogram in *number* bins of equal width on a logarithmic axis from *low* to *high*, which must contain all values."""
    ratio = (high / low) ** (1 / number)
    edges = [low * ratio**place for place in range(number + 1)]
    counts = [0] * number
    place = 0
    for index, count in histogram.buckets.items():
        value = min(max(bucket_midpoint(index), histogram.min_value), histogram.max_value)
        while place < number - 1 and value >= edges[place + 1]:
            place += 1
        counts[place] += count
    return [Bin(low=edges[i], high=edges[i + 1], count=counts[i]) for i in range(number)]
