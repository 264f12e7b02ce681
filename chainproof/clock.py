"""
The clock, and the types for time.

Times are seconds (float) everywhere. Only `reports/formatting` and `durations` convert them to other units.
"""

from __future__ import annotations

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
