"""
The clock, the types for time, and durations such as `1m30s`.

Times are seconds (float) everywhere. Only `reports/formatting` and the functions below convert them to other units.
"""

from __future__ import annotations

import math
import re
import time
from typing import Protocol

Seconds = float
"""A duration or an instant, in seconds."""

PerSecond = float
"""A rate, in events per second."""


class Clock(Protocol):
    """A callable that returns a monotonic time."""

    def __call__(self) -> Seconds:
        """Seconds since some fixed instant."""
        ...


monotonic: Clock = time.monotonic

UNITS: dict[str, Seconds] = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_PART = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>us|µs|ms|s|m|h)")
_BARE = re.compile(r"\d+(?:\.\d+)?|\.\d+")


def parse_duration(text: str) -> Seconds:
    """
    The seconds in *text*: a bare number, or parts such as `1h`, `1m30s`, `250ms`.

    >>> parse_duration("1m30s")
    90.0
    >>> parse_duration("250ms")
    0.25
    >>> parse_duration("20")
    20.0

    Raises ValueError.
    """
    bare = text.strip()
    parts = list(_PART.finditer(bare))
    if _BARE.fullmatch(bare):
        seconds = float(bare)
    elif parts and "".join(part.group() for part in parts) == bare:
        seconds = sum(float(part["number"]) * UNITS[part["unit"]] for part in parts)
    else:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"expected a duration such as 20s, 1m30s or 250ms, found {text!r}")
    return seconds


def format_duration(seconds: Seconds) -> str:
    """
    A duration for display: three significant digits up to a minute, then hours, minutes and seconds.

    >>> [format_duration(s) for s in (0.0000123, 0.0123, 1.5, 90.0, 3600.0)]
    ['12.3 µs', '12.3 ms', '1.5 s', '1m30s', '1h']
    """
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds == 0:
        return "0 s"
    if seconds < 59.95:
        for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
            if seconds >= scale * 0.9995:
                return f"{_three_digits(seconds / scale)} {unit}"
        return f"{_three_digits(seconds / 1e-6)} µs"
    rounded = round(seconds)
    parts = ((rounded // 3600, "h"), (rounded % 3600 // 60, "m"), (rounded % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _three_digits(value: float) -> str:
    """Three significant digits, without exponent and trailing zeros."""
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
