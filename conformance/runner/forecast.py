"""
What a run is going to send, said before it sends anything.

How many requests generation makes depends on what it finds. So the plan is a count: `forecast.json` holds what each part of the
catalogue took on the emulator, at each depth, and `python benchmarks/request_counts.py` counts again.
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
    Requests by depth and part, as they were counted.
    """
    return cast(Mapping[str, Mapping[str, int]], json.loads(FORECAST_FILE.read_text()))


def forecast_counts(depth: Depth) -> Mapping[str, int]:
    """
    Requests by part, at a depth.
    """
    return request_counts().get(depth.value, {})


def forecast_lines(settings: Settings, rate_limiter: RateLimiter, *, local: bool) -> list[str]:
    """
    The plan in words: how many requests of what kind, how fast, and what is left out.
    """
    parts = forecast_counts(settings.depth)
    total = sum(parts.values())
    kinds = ", ".join(f"{part.replace('_', ' ')} {count:,}" for part, count in parts.items() if count)
    lines = [f"plan: about {total:,} requests, as counted on the emulator: {kinds}"]
    if rate_limiter.max_requests is not None or rate_limiter.rate is not None:
        lines.append(f"      {_limits(total, rate_limiter)}")
    if not local:
        left_out = [kind.value for kind in Permission if kind not in settings.allow]
        if left_out:
            lines.append(f"      without leave (--allow) not: {', '.join(left_out)}")
    if settings.duration is not None:
        lines.append(f"      and more of what is generated, until {format_duration(settings.duration)} have passed")
    return lines


def _limits(total: int, rate_limiter: RateLimiter) -> str:
    """
    How many at most, how fast, and how long that takes.
    """
    words = [] if rate_limiter.max_requests is None else [f"at most {rate_limiter.max_requests:,}"]
    if rate_limiter.rate is not None:
        count = total if rate_limiter.max_requests is None else min(total, rate_limiter.max_requests)
        words.append(
            f"at most {rate_limiter.rate:g} a second: about {format_duration(float(round(count / rate_limiter.rate)))}"
        )
    return "; ".join(words)
