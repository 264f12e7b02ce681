"""
Where a series of runs changes its level: a permutation test on cumulative sums.

For every split of the series the two means are compared, in units of their standard deviation. The largest difference is
compared with the largest ones of the same values in random order. So the probability of a false alarm is known,
whatever the distribution. If there is a change, both parts are tested again (binary segmentation; Vostrikova, 1981).

A level that lasts only a few runs changes neither mean much. So if no split is found, every short segment within the series is
compared with all other runs in the same way (circular binary segmentation; Olshen et al., Biostatistics 5, 2004).

Each of these is tested twice, and all four tests share the probability of a false alarm. One test replaces values by the
normal scores of their ranks, so that one slow run is no change and does not hide one. The other test takes the values
themselves: it finds a large change from two or three runs on, whose ranks alone could be chance. Runs must not depend on each
other: a slow drift is found as one or several steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import scipy
from numpy.typing import NDArray

SPLIT_OF_VALUES, SPLIT_OF_RANKS, SEGMENTS = 0.02, 0.006, 0.007
"""
The probability of a false alarm of the test of splits by values, of that by ranks, and of each of the two tests of segments.

In all four at most 4 %: less than 5 %, since a simulation must not exceed it. The first one is the largest, for short series:
in 12 runs, three of which are slower, no order has a probability below 0.9 %.
"""
MIN_LEVEL = 2
"""Runs that a level lasts at least."""
MIN_RUNS = 9
"""Runs below which no order is rare enough, however large the change is."""
MAX_SEGMENT = 10
"""Runs that a segment has at most; longer ones are found by their ends."""
_PERMUTATIONS = 999
_SHORT, _MORE_PERMUTATIONS = 12, 49_999
"""Runs of a short series, and its permutations. Its rarest orders have a probability near the limit, so it is estimated closely."""
_BLOCK = 1 << 20
"""Numbers that are computed at once, so that long series need little memory."""

_Floats = NDArray[np.float64]
_Spans = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Parts of a series: their starts, and their ends (exclusive)."""


def change_points(values: Sequence[float]) -> list[int]:
    """
    The indices at which a new level begins, ascending.

    >>> change_points([1.0, 1.1, 0.9, 1.0, 1.05, 2.0, 2.1, 1.9, 2.05])
    [5]
    """
    return sorted(_change_points(np.asarray(values, dtype=np.float64), 0, np.random.default_rng(len(values))))


def detectable_shift(values: Sequence[float]) -> float | None:
    """
    The smallest change of level, in the middle of the series, that is found with a probability of about 80 %; None if none is.

    The noise is that between neighbours, so that a change in the series hardly counts as noise. The number of its standard
    deviations is from simulations of normal values, within a tenth for 10 to 40 runs.

    >>> detectable_shift([1.0, 1.1, 0.9, 1.0, 1.05])
    """
    count = len(values)
    if count < MIN_RUNS:
        return None
    noise = float(np.sqrt(np.mean(np.diff(np.asarray(values, dtype=np.float64)) ** 2) / 2))
    return noise * 8.0 / math.sqrt(count) * (1.0 + 1.5 / (count - 8) ** 2)


def segments(values: Sequence[float]) -> list[list[float]]:
    """The values, cut where their level changes."""
    bounds = [0, *change_points(values), len(values)]
    return [list(values[start:end]) for start, end in pairwise(bounds)]


def _change_points(values: _Floats, offset: int, source: np.random.Generator) -> Iterator[int]:
    """The change points of a part of the series that begins at *offset*."""
    count = len(values)
    if count < MIN_RUNS or not np.ptp(values):
        return
    # The values come first: for a large change they give its place exactly, ranks only to about a run.
    scaled, ranks = values / values.std(), _normal_scores(values)
    splits, inner = _splits_of(count), _segments_of(count)
    tests = (
        (scaled, splits, SPLIT_OF_VALUES),
        (ranks, splits, SPLIT_OF_RANKS),
        (scaled, inner, SEGMENTS),
        (ranks, inner, SEGMENTS),
    )
    spans = (_changed_span(scores, allowed, level, source) for scores, allowed, level in tests)
    found = next((span for span in spans if span is not None), None)
    if found is None:
        return
    cuts = [place for place in found if place < count]
    yield from (offset + place for place in cuts)
    for start, end in pairwise([0, *cuts, count]):
        yield from _change_points(values[start:end], offset + start, source)


def _splits_of(count: int) -> _Spans:
    """The spans from each allowed split to the end of the series."""
    starts = np.arange(MIN_LEVEL, count - MIN_LEVEL + 1)
    return starts, np.full_like(starts, count)


def _segments_of(count: int) -> _Spans:
    """The short spans within the series."""
    starts, lengths = np.meshgrid(np.arange(MIN_LEVEL, count), np.arange(MIN_LEVEL, MAX_SEGMENT + 1))
    ends = starts + lengths
    is_inside = ends <= count - MIN_LEVEL
    return starts[is_inside], ends[is_inside]


def _changed_span(scores: _Floats, spans: _Spans, level: float, source: np.random.Generator) -> tuple[int, int] | None:
    """The span whose level differs most from that of the other runs, as start and end; None if that may be chance."""
    observed = _contrasts(scores[np.newaxis], spans)[0]
    count = _MORE_PERMUTATIONS if len(scores) <= _SHORT else _PERMUTATIONS
    shuffled = source.permuted(np.tile(scores, (count, 1)), axis=1)
    blocks = np.array_split(shuffled, 1 + count * len(observed) // _BLOCK)
    least = observed.max() - 1e-9
    larger = sum(int((_contrasts(block, spans).max(axis=1) >= least).sum()) for block in blocks)
    place = observed.argmax()
    is_change = (larger + 1) / (count + 1) <= level
    return (int(spans[0][place]), int(spans[1][place])) if is_change else None


def _contrasts(rows: _Floats, spans: _Spans) -> _Floats:
    """For each row and each span: how far its mean and that of the rest are apart, in standard errors."""
    count = rows.shape[1]
    starts, ends = spans
    sums = np.cumsum(rows - rows.mean(axis=1, keepdims=True), axis=1)
    lengths = ends - starts
    return np.asarray(np.abs(sums[:, ends - 1] - sums[:, starts - 1]) / np.sqrt(lengths * (count - lengths) / count))


def _normal_scores(values: _Floats) -> _Floats:
    """The expected normal deviate of each rank (van der Waerden); equal values share theirs."""
    ordered = np.sort(values)
    ranks = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2
    return np.asarray(scipy.special.ndtri(ranks / (len(values) + 1)))
