"""Where a logarithmic axis of times begins and ends, and where it has its labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainproof.clock import Seconds
from chainproof.statistics.histogram import Histogram

MIN_TIME: Seconds = 1e-6
"""The lowest time that is drawn, because a logarithmic axis has no zero."""


def range_of(times: Sequence[Histogram]) -> tuple[Seconds, Seconds]:
    """The ends of an axis, with a margin: without it a constant time would leave an axis of no length."""
    low = max(min(each.min_value for each in times), MIN_TIME)
    return low / 1.03, max(low, *(each.max_value for each in times)) * 1.03


def log_ticks(low: float, high: float, max_ticks: int) -> list[float]:
    """
    Round numbers between the ends of a logarithmic axis, with room for their labels.

    They are 1, 2 and 5 times powers of ten; only powers of ten if those are too many, other multiples if they are too few.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    candidates = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    ticks = [tick for tick in candidates if low <= tick <= high]
    if len(ticks) < 3:
        ticks = _multiples(low, high)
    if len(ticks) > max_ticks:
        ticks = [tick for tick in ticks if f"{tick:e}".startswith("1")]
    return _apart(ticks, (high / low) ** (1 / (max_ticks + 1)))


def _apart(ticks: Sequence[float], ratio: float) -> list[float]:
    """The ticks, without those that are less than *ratio* times the one before: their labels would overlap."""
    kept = list(ticks[:1])
    for tick in ticks[1:]:
        if tick >= kept[-1] * ratio:
            kept.append(tick)
    return kept


def _multiples(low: float, high: float) -> list[float]:
    """The multiples of 1, 2 or 5 times a power of ten between two numbers: two to six of them."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
    return [float(f"{number * step:.6g}") for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
