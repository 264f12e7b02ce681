"""Where a logarithmic axis has its labels."""

from __future__ import annotations

import math


def log_ticks(low: float, high: float, max_ticks: int) -> list[float]:
    """Round numbers between the ends of a logarithmic axis: 1, 2 and 5 times powers of ten, fewer if those are too many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    candidates = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    ticks = [tick for tick in candidates if low <= tick <= high]
    if len(ticks) < 3:
        ticks = _multiples(low, high)
    return ticks if len(ticks) <= max_ticks else [tick for tick in ticks if f"{tick:e}".startswith("1")]


def _multiples(low: float, high: float) -> list[float]:
    """The multiples of 1, 2 or 5 times a power of ten between two numbers: two to six of them."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
    return [float(f"{number * step:.6g}") for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
