"""
What a run is going to send, said before it sends anything.

How many requests generation makes depends on what it finds. So the plan is a count: `plan.json` holds what each part of the
catalogue took on the emulator, at each depth, and `python benchmarks/request_counts.py` counts again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

from chainproof.durations import format_duration

from ..options import Depth, Intrusion, Settings
from ..transport.rate_limit import Allowance

PLAN = Path(__file__).parents[1] / "plan.json"


@cache
def counted() -> Mapping[str, Mapping[str, int]]:
    """
    Requests by depth and part, as they were counted.
    """
    return cast(Mapping[str, Mapping[str, int]], json.loads(PLAN.read_text()))


def parts_of(depth: Depth) -> Mapping[str, int]:
    """
    Requests by part, at a depth.
    """
    return counted().get(depth.value, {})


def plan_lines(settings: Settings, allowance: Allowance, *, local: bool) -> list[str]:
    """
    The plan in words: how many requests of what kind, how fast, and what is left out.
    """
    parts = parts_of(settings.depth)
    total = sum(parts.values())
    kinds = ", ".join(f"{part.replace('_', ' ')} {count:,}" for part, count in parts.items() if count)
    lines = [f"plan: about {total:,} requests, as counted on the emulator: {kinds}"]
    if allowance.most is not None or allowance.rate is not None:
        lines.append(f"      {_limits(total, allowance)}")
    if not local:
        left_out = [kind.value for kind in Intrusion if kind not in settings.allow]
        if left_out:
            lines.append(f"      without leave (--allow) not: {', '.join(left_out)}")
    if settings.duration is not None:
        lines.append(f"      and more of what is generated, until {format_duration(settings.duration)} have passed")
    return lines


def _limits(total: int, allowance: Allowance) -> str:
    """
    How many at most, how fast, and how long that takes.
    """
    words = [] if allowance.most is None else [f"at most {allowance.most:,}"]
    if allowance.rate is not None:
        count = total if allowance.most is None else min(total, allowance.most)
        words.append(
            f"at most {allowance.rate:g} a second: about {format_duration(float(round(count / allowance.rate)))}"
        )
    return "; ".join(words)
