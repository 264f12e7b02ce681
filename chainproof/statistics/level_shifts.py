"""
Where a series of seconds changes its level: a test for seconds that depend on each other, and the seconds of the changes.

The test is that of cumulative sums (CUSUM): S(k) is the sum of the first k deviations from the mean, and max |S| / √(n·v) is
large if the level changes. v is the long-run variance, which is larger than the variance if neighbours are alike. It is
estimated from the differences of the means of neighbouring batches, since changes of the level affect few of them, by their
median absolute value; the largest v over batches of 1, 2, 4, … seconds is taken, down to ten batches. If there is a change,
the series is split where this explains most, and both parts are tested again (binary segmentation; Vostrikova, 1981).

A run of few correlation times varies by more than v shows. So the limit for every change rises with the correlation time τ
of what all changes together leave unexplained.

Values are compared by their logarithms. Each is replaced by the median of itself and its neighbours, so that a single slow
second is no change. Seconds are weighted by their number of requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MIN_SECONDS = 10
"""Seconds below which a change cannot be distinguished from chance."""
CRITICAL = 2.75
"""
The largest |S| / √(n·v) without a change: exceeded in at most 5 % of runs without one, if they are 20 correlation times long
(`benchmarks/simulations/settling.py`). Independent values would allow 1.36, but v is estimated.
"""
CRITICAL_DEPENDENT = 140.0
"""The limit is at least this number × τ ÷ n, for a correlation time of τ of n seconds (`benchmarks/simulations/settling.py`)."""
MIN_LEVEL = 5
"""Seconds that a level lasts at least, except for the first one: a cold start may be short."""
_LEAST_NOISE = 0.01
"""The standard deviation of a second that is assumed at least, as a share: rounded or equal values have too little."""
_MIN_BATCHES = 10
_MAD_TO_SD = 1.4826
"""Standard deviation of a normal distribution, divided by its median absolute deviation."""
_NO_CORRELATION = 0.05
"""The autocorrelation below which it counts as none."""
_LEAST = 1e-9
"""Stands for zero, which has no logarithm."""

_Floats = NDArray[np.float64]


def level_shifts(values: Sequence[float], weights: Sequence[float], similarity: float) -> list[int]:
    """The indices at which the level of *values* changes by more than the share *similarity*, ascending."""
    if len(values) < MIN_SECONDS:
        return []
    logs = np.log(np.maximum(np.asarray(values, dtype=np.float64), _LEAST))
    found = sorted(
        _shifts(_without_single_outliers(logs), np.asarray(weights, dtype=np.float64), 0, math.log1p(similarity))
    )
    time = _correlation_time(logs, [place for place, _ in found])
    return [place for place, evidence in found if evidence > CRITICAL_DEPENDENT * time]


def levels(values: Sequence[float], weights: Sequence[float], shifts: Sequence[int]) -> list[float]:
    """The level between each two shifts: the weighted geometric mean."""
    logs = _without_single_outliers(np.log(np.maximum(np.asarray(values, dtype=np.float64), _LEAST)))
    bounds = [0, *shifts, len(values)]
    spans = [slice(start, end) for start, end in pairwise(bounds)]
    return [math.exp(np.average(logs[span], weights=np.asarray(weights, dtype=np.float64)[span])) for span in spans]


def _without_single_outliers(values: _Floats) -> _Floats:
    """Each value replaced by the median of itself and its two neighbours; at the ends, of itself and the next two."""
    if len(values) < 3:
        return values
    padded = np.concatenate([values[2:3], values, values[-3:-2]])
    return np.asarray(np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0))


def _shifts(values: _Floats, weights: _Floats, offset: int, least: float) -> Iterator[tuple[int, float]]:
    """The shifts of a part of the series that begins at *offset*, each with max |S| / √(n·v) × n of its part."""
    first, end = 1 if offset == 0 else MIN_LEVEL, len(values) - MIN_LEVEL
    if len(values) < MIN_SECONDS:
        return
    total = weights.sum()
    until = np.cumsum(weights)[:-1]
    sums = np.cumsum(weights * (values - np.average(values, weights=weights)))[:-1]
    explained = (sums * sums / (until * (total - until)))[first - 1 : end]
    split = int(np.argmax(explained)) + first
    before = np.average(values[:split], weights=weights[:split])
    after = np.average(values[split:], weights=weights[split:])
    statistic = np.abs(sums).max() / math.sqrt(total * _long_run_variance(values, weights))
    if abs(after - before) <= least or statistic <= CRITICAL:
        return
    yield offset + split, statistic * len(values)
    yield from _shifts(values[:split], weights[:split], offset, least)
    yield from _shifts(values[split:], weights[split:], offset + split, least)


def _correlation_time(values: _Floats, shifts: Sequence[int]) -> float:
    """The correlation time of what the shifts leave unexplained, in seconds: 1 + 2 × the sum of its autocorrelations."""
    rest = np.concatenate([part - part.mean() for part in np.split(values, shifts)])
    squares = float(rest @ rest)
    time = 1.0
    for lag in range(1, len(rest) // 3 if squares else 1):
        correlation = float(rest[:-lag] @ rest[lag:]) / squares
        if correlation < _NO_CORRELATION:
            break
        time += 2 * correlation
    return time


def _long_run_variance(values: _Floats, weights: _Floats) -> float:
    """The variance of a sum of requests, divided by their number, as if there were no shift."""
    length, largest = 1, _LEAST_NOISE**2 * float(weights.mean())
    while length == 1 or len(values) // length >= _MIN_BATCHES:
        used = len(values) // length * length
        counts = weights[:used].reshape(-1, length).sum(axis=1)
        sums = (weights[:used] * values[:used]).reshape(-1, length).sum(axis=1)
        means, counts = sums[counts > 0] / counts[counts > 0], counts[counts > 0]
        if len(counts) < 2:
            return largest
        steps = np.diff(means) / np.sqrt(1.0 / counts[1:] + 1.0 / counts[:-1])
        largest = max(largest, float(_MAD_TO_SD * np.median(np.abs(steps))) ** 2)
        length *= 2
    return largest
