"""
The forecast of a run: how many requests it will send, shown before it sends any.

The number of generated requests depends on what a run finds, so the forecast is a count: `forecast.json` has the requests of
each check module against the emulator, at each depth. `python benchmarks/request_counts.py` counts again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

from chainproof.durations import format_duration

from ..options import Depth, Permission, Settings
from ..transport.rate_limit import RateLimiter

FORECAST_FILE = Path(__file__).parents[1] / "forecast.json"


@cache
def request_counts() -> Mapping[str, Mapping[str, int]]:
    """
    Counted requests, by depth and check module.
    """
    return cast(Mapping[str, Mapping[str, int]], json.loads(FORECAST_FILE.read_text()))


def forecast_counts(depth: Depth) -> Mapping[str, int]:
    """
    Counted requests at a depth, by check module.
    """
    return request_counts().get(depth.value, {})


def forecast_lines(settings: Settings, rate_limiter: RateLimiter, *, local: bool) -> list[str]:
    """
    The forecast in words: how many requests, how fast, and what is skipped.
    """
    counts = forecast_counts(settings.depth)
    total = sum(counts.values())
    by_module = ", ".join(f"{module.replace('_', ' ')} {count:,}" for module, count in counts.items() if count)
    lines = [f"plan: about {total:,} requests, as counted on the emulator: {by_module}"]
    if rate_limiter.max_requests is not None or rate_limiter.rate is not None:
        lines.append(f"      {_limits(total, rate_limiter)}")
    if not local:
        forbidden = [permission.value for permission in Permission if permission not in settings.allow]
        if forbidden:
            lines.append(f"      skipped on remote targets without --allow: {', '.join(forbidden)}")
    if settings.duration is not None:
        lines.append(f"      then more generated requests, until {format_duration(settings.duration)} have passed")
    return lines


def _limits(total: int, rate_limiter: RateLimiter) -> str:
    """
    The limits on the number and the rate of requests, and how long a run takes at that rate.
    """
    words = [] if rate_limiter.max_requests is None else [f"at most {rate_limiter.max_requests:,}"]
    if rate_limiter.rate is not None:
        count = total if rate_limiter.max_requests is None else min(total, rate_limiter.max_requests)
        words.append(
            f"at most {rate_limiter.rate:g} per second: about {format_duration(float(round(count / rate_limiter.rate)))}"
        )
    return "; ".join(words)
