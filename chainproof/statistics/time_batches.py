"""
The durations of a run in consecutive spans of time, from which the dependence of requests is measured.

Requests without a duration (failed, timed out, never sent) count as slower than any limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainproof.clock import Seconds
from chainproof.statistics.dependence import MAX_BATCHES, Dependence, measure_dependence, stronger
from chainproof.statistics.histogram import (
    Histogram,
    Unsigned,
    bucket_midpoints,
    last_bucket,
    merge_histograms,
    narrow,
)

LONG_RUN: int = 7200
"""The length in seconds beyond which a run's older seconds may be rolled up."""
LONG_RUN_STEP: int = 60
"""Spans of such a run consist of whole minutes, so that seconds that are rolled up by minute change no result."""

INNER_FACTOR = 4
"""The dependence of p95 is also measured at p80, with four times as many slower requests."""


@dataclass(frozen=True, slots=True)
class TimeBatches:
    """Durations by span of time, as ascending bucket numbers with cumulated counts."""

    seconds: Seconds
    """The length of a span."""
    totals: NDArray[np.int64]
    """The number of requests in each span, also of those without a duration."""
    buckets: tuple[Unsigned, ...]
    """Of each span. With their counts they are kept in few bytes: a long run has half a million of them."""
    cumulated: tuple[Unsigned, ...]
    all_values: NDArray[np.float64]
    """The values of all spans, ascending."""
    all_cumulated: NDArray[np.int64]

    def counts_at_most(self, limit: Seconds) -> list[int]:
        """The number of durations up to *limit* in each span."""
        last = last_bucket(limit)
        return [
            int(counts[place - 1]) if place else 0
            for buckets, counts in zip(self.buckets, self.cumulated, strict=True)
            for place in [int(np.searchsorted(buckets, last, side="right"))]
        ]

    def dependence_at(self, limit: Seconds) -> Dependence:
        """The dependence of the share of requests that took at most *limit*."""
        return measure_dependence(self.counts_at_most(limit), self.totals.tolist(), seconds=self.seconds)

    def dependence_of_quantile(self, fraction: float, *, at_least: Seconds = 0.0) -> Dependence:
        """
        The dependence of the share below a quantile, or below *at_least* if that is longer: the stronger one of two levels.

        A run may not have seen the slow spells that decide its p99, and then its p99 looks independent. So dependence is
        also measured further inside, where `INNER_FACTOR` times as many requests are slower and slow spells show earlier.
        """
        tail = min(fraction, 1.0 - fraction)
        inner = min(INNER_FACTOR * tail, 0.5)
        levels = (fraction, 1.0 - inner if fraction > 0.5 else inner)
        limits = {max(self.quantile(level), at_least) for level in levels}
        return stronger(*map(self.dependence_at, limits))

    def quantile(self, fraction: float) -> Seconds:
        """The nearest-rank quantile; of requests without a duration, the largest duration there is."""
        if not len(self.all_values):
            return 0.0
        rank = max(fraction * float(self.totals.sum()) - 1e-9, 0.0)
        place = int(np.searchsorted(self.all_cumulated, rank))
        return float(self.all_values[min(place, len(self.all_values) - 1)])


def span_length(seconds: int, spans: int) -> int:
    """The length of a span, in seconds, if a run of *seconds* is cut into at most so many of them."""
    length = max(-(-seconds // spans), 1)
    return length if seconds <= LONG_RUN else -(-length // LONG_RUN_STEP) * LONG_RUN_STEP


def time_batches(histograms: Sequence[Histogram], totals: Sequence[int] | None = None) -> TimeBatches:
    """
    The durations of consecutive seconds, in at most `MAX_BATCHES` spans: of whole minutes in a long run.

    *totals* are the numbers of requests of each second, if there are requests without a duration.
    """
    numbers = np.asarray([each.count for each in histograms] if totals is None else totals, dtype=np.int64)
    per_span = span_length(len(histograms), MAX_BATCHES)
    starts = range(0, len(histograms), per_span)
    found: list[tuple[Unsigned, Unsigned]] = []
    everything = Histogram()
    for start in starts:
        merged = merge_histograms(histograms[start : start + per_span])  # not kept: it has unused buckets, too
        everything.merge(merged)
        buckets, counts = merged.used_buckets()
        found.append((narrow(buckets), narrow(np.cumsum(counts))))
    all_buckets, all_counts = everything.used_buckets()
    return TimeBatches(
        seconds=float(per_span),
        totals=np.asarray([int(numbers[start : start + per_span].sum()) for start in starts], dtype=np.int64),
        buckets=tuple(buckets for buckets, _ in found),
        cumulated=tuple(cumulated for _, cumulated in found),
        all_values=bucket_midpoints(all_buckets),
        all_cumulated=np.cumsum(all_counts),
    )
