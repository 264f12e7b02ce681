"""Numbers with their units. For times see `chainproof.judgement.latency`."""

from __future__ import annotations

from collections.abc import Mapping

from chainproof.judgement.latency import time_text
from chainproof.statistics.histogram import Histogram

from .safe_text import escape_unprintable

time = time_text
NOTHING = "–"
"""Shown where there is no value."""


def count(number: int) -> str:
    """A count with thousands separators."""
    return f"{number:,}"


def counts(numbers: Mapping[int, int] | Mapping[str, int]) -> str:
    """Counts by name: `200 × 512, 400 × 96`."""
    return ", ".join(f"{escape_unprintable(str(name))} × {count(number)}" for name, number in numbers.items()) or "none"


def percent(share: float) -> str:
    """
    A share in per cent; 100 % or 0 % only if it is exactly that.

    >>> [percent(share) for share in (1.0, 0.99996, 0.123, 0.01, 0.0)]
    ['100 %', '99.996 %', '12.3 %', '1.0 %', '0 %']
    """
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    for decimals in range(1, 9):
        text = f"{share * 100:.{decimals}f}"
        if float(text) not in (0.0, 100.0):
            break
    return f"{text} %"


def rate(per_second: float) -> str:
    """A rate in events per second."""
    return f"{per_second:,.0f}/s" if per_second >= 100 else f"{per_second:.3g}/s"


def median_and_p99(times: Histogram) -> str:
    """The median and the 99th percentile of some durations."""
    return f"p50 {time(times.quantile(0.5))}, p99 {time(times.quantile(0.99))}"


def size(octets: int) -> str:
    """
    A number of bytes in a unit that suits it.

    >>> [size(octets) for octets in (999, 1000, 1_234_567, 5 * 10**12)]
    ['999 bytes', '1 kB', '1.23 MB', '5,000 GB']
    """
    if octets < 1000:
        return f"{octets} bytes"
    unit = min((len(str(octets)) - 1) // 3, 3)
    value = octets / 1000**unit
    return f"{value:,.0f} {'kMG'[unit - 1]}B" if value >= 100 else f"{value:.3g} {'kMG'[unit - 1]}B"
