"""
Whether a number grows over time: the test for a queue that has no steady state.

The series is cut into ten equal batches, and a line is fitted to their means. It grows if the slope is significantly above
zero and the line rises noticeably. Batches of a queue are correlated with their neighbours, so near capacity the test also
fires by chance: a search repeats a probe before it relies on the test alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy

BATCHES = 10
_SIGNIFICANCE = 0.01
_MIN_SHARE = 0.1
"""A rise of less than this share of the first value does not matter."""
_MIN_RISE = 3.0
"""A rise by fewer requests does not matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The line through one or several series of the same quantity."""

    start: float
    """Its value at the start, averaged over the series."""
    rise: float
    """Its value at the end, minus `start`."""
    p_value: float
    """The probability of at least this slope if there is none."""

    @property
    def grows(self) -> bool:
        """True if the rise is significant, and large enough to matter."""
        return self.p_value < _SIGNIFICANCE and self.rise >= max(_MIN_RISE, _MIN_SHARE * self.start)


def trend(series: Sequence[Sequence[float]]) -> Trend:
    """
    The common slope of series that may have different levels. Series of fewer than ten values are left out.

    >>> trend([range(100)]).grows
    True
    >>> trend([[5.0, 6.0] * 50]).grows
    False
    """
    means = np.array([_batch_means(each) for each in series if len(each) >= BATCHES])
    if not len(means):
        return Trend(start=0.0, rise=0.0, p_value=1.0)
    times = np.arange(BATCHES) - (BATCHES - 1) / 2
    levels = means.mean(axis=1, keepdims=True)
    spread = float((times @ times) * len(means))
    slope = float(((means - levels) @ times).sum() / spread)
    residuals = means - levels - slope * times
    freedom = means.size - len(means) - 1
    error = math.sqrt(float((residuals**2).sum()) / freedom / spread)
    p_value = float(scipy.special.stdtr(freedom, -slope / error)) if error > 0 else float(slope <= 0)
    rise = slope * (BATCHES - 1)
    return Trend(start=float(levels.mean()) - rise / 2, rise=rise, p_value=p_value)


def _batch_means(values: Sequence[float]) -> list[float]:
    """The means of ten equal parts."""
    edges = [len(values) * place // BATCHES for place in range(BATCHES + 1)]
    return [float(np.mean(values[low:high])) for low, high in pairwise(edges)]
