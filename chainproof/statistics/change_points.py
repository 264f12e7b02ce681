"""
Where a series of runs changes its level: a permutation test on cumulative sums.

For every split of the series the two means are compared, in units of their standard deviation. The largest of these is
compared with the largest ones of the same values in random order, so the probability of a false alarm is the significance,
whatever the distribution. If there is a change, both parts are tested again (binary segmentation; Vostrikova, 1981).

Two tests share the significance. One replaces values by the normal scores of their ranks, so that one slow run is no change and
does not hide one. The other takes the values themselves: it finds a large change from two or three runs on, whose ranks alone
could be chance. Runs must not depend on each other: a slow drift is found as one or several steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import scipy
from numpy.typing import NDArray

SIGNIFICANCE = 0.04
"""The probability of a false alarm in a series without a change. Less than 5 %, since a simulation must not exceed it."""
MIN_LEVEL = 2
"""Runs that a level lasts at least."""
MIN_RUNS = 6
"""Runs below which no order is rare enough."""
_PERMUTATIONS = 999

_Floats = NDArray[np.float64]


def change_points(values: Sequence[float]) -> list[int]:
    """
    The indices at which a new level begins, ascending.

    >>> change_points([1.0, 1.1, 0.9, 1.0, 1.05, 2.0, 2.1, 1.9, 2.05])
    [5]
    """
    return sorted(_splits(np.asarray(values, dtype=np.float64), 0, np.random.default_rng(len(values))))


def segments(values: Sequence[float]) -> list[list[float]]:
    """The values, cut where their level changes."""
    bounds = [0, *change_points(values), len(values)]
    return [list(values[start:end]) for start, end in pairwise(bounds)]


def _splits(values: _Floats, offset: int, source: np.random.Generator) -> Iterator[int]:
    """The change points of a part of the series that begins at *offset*."""
    count = len(values)
    if count < MIN_RUNS or not np.ptp(values):
        return
    # The values come first: for a large change they give its place exactly, ranks only to about a run.
    split = _split(values / values.std(), source) or _split(_normal_scores(values), source)
    if split is None:
        return
    yield offset + split
    yield from _splits(values[:split], offset, source)
    yield from _splits(values[split:], offset + split, source)


def _split(scores: _Floats, source: np.random.Generator) -> int | None:
    """The index at which the level of the scores changes most; None if that may be chance."""
    observed = _contrasts(scores[np.newaxis])[0]
    shuffled = source.permuted(np.tile(scores, (_PERMUTATIONS, 1)), axis=1)
    larger = int((_contrasts(shuffled).max(axis=1) >= observed.max() - 1e-9).sum())
    chance = (larger + 1) / (_PERMUTATIONS + 1)
    return int(observed.argmax()) + MIN_LEVEL if chance <= SIGNIFICANCE / 2 else None


def _contrasts(rows: _Floats) -> _Floats:
    """For each row and each allowed split: how far the two means are apart, in standard errors."""
    count = rows.shape[1]
    until = np.arange(MIN_LEVEL, count - MIN_LEVEL + 1)
    sums = np.cumsum(rows - rows.mean(axis=1, keepdims=True), axis=1)[:, until - 1]
    return np.asarray(np.abs(sums) / np.sqrt(until * (count - until) / count))


def _normal_scores(values: _Floats) -> _Floats:
    """The expected normal deviate of each rank (van der Waerden); equal values share theirs."""
    ordered = np.sort(values)
    ranks = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2
    return np.asarray(scipy.special.ndtri(ranks / (len(values) + 1)))
