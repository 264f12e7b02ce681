"""
Time comes in as an argument; this file is where it comes from.

Seconds are floats everywhere inside; only `reports/formatting` uses other units.
"""

from __future__ import annotations

import time
from typing import Protocol

Seconds = float
"""A duration or an instant, in seconds."""

PerSecond = float
"""A rate, in events per second."""


class Clock(Protocol):
    """
    Whatever tells a monotonic time in seconds.
    """

    def __call__(self) -> Seconds:
        """The present, in seconds since some fixed instant."""
        ...


monotonic: Clock = time.monotonic
