"""
The forecast of a run: how many requests it will send, shown before it sends any.

The number of generated requests depends on what a run finds, so the forecast is a count: `forecast.json` has the requests of
each check against the emulator, at each depth, all and those of a first round. `python benchmarks/request_counts.py` counts again.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chainproof.clock import format_duration
from chainproof.json_text import JSON

from ..options import Depth, Permission, Settings
from ..transport.rate_limit import RateLimiter

FORECAST_FILE = Path(__file__).parents[1] / "forecast.json"
_WIDTH = 100
TYPED_MODULES = frozenset({"typed_inputs", "consistency"})
"""Modules of checks that need an input schema or inputs of the chain."""
TYPED_CHAIN: dict[str, JSON] = {
    "type": "object",
    "properties": {
        "texts": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1, "maxLength": 200}},
        "language": {"enum": ["de", "en", "ja"]},
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
        "threshold": {"type": "number", "minimum": 0, "maximum": 1},
        "upper": {"type": "boolean", "default": False},
    },
    "required": ["texts", "language", "limit", "threshold"],
}
"""The input schema with which their requests are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCount:
    """Counted requests."""

    requests: int = 0
    reached: int = 0
    """Those that reached the chain; the others were rejected before, which is fast and costs nothing."""

    def __add__(self, other: RequestCount) -> RequestCount:
        """Both counts together."""
        return RequestCount(requests=self.requests + other.requests, reached=self.reached + other.reached)


@cache
def _rows() -> Mapping[str, Mapping[str, tuple[int, int, int, int]]]:
    """Of each depth and check: requests, those that reach the chain, and both in the first round only."""
    rows: Mapping[str, Mapping[str, tuple[int, int, int, int]]] = json.loads(FORECAST_FILE.read_text(encoding="utf-8"))
    return rows


@cache
def forecast_counts(depth: Depth) -> Mapping[str, RequestCount]:
    """Counted requests at a depth, by id of the check."""
    rows = _rows().get(depth.value, {})
    return {name: RequestCount(requests=sent, reached=reached) for name, (sent, reached, _, _) in rows.items()}


@cache
def first_round_counts(depth: Depth) -> Mapping[str, RequestCount]:
    """Those of them that belong to the first round."""
    rows = _rows().get(depth.value, {})
    return {name: RequestCount(requests=sent, reached=reached) for name, (_, _, sent, reached) in rows.items()}


def by_module(counts: Mapping[str, RequestCount]) -> Mapping[str, RequestCount]:
    """The requests of each check module, without modules that send none."""
    modules: dict[str, RequestCount] = {}
    for name, count in counts.items():
        module = name.partition("-")[0]
        modules[module] = modules.get(module, RequestCount()) + count
    return {module: count for module, count in modules.items() if count.requests}


def forecast_lines(settings: Settings, rate_limiter: RateLimiter, *, local: bool) -> list[str]:
    """The forecast in words: how many requests, how fast, and what is skipped."""
    modules = by_module(forecast_counts(settings.depth))
    is_typed = settings.input_schema is not None or settings.payloads is not None
    counts = {name: count for name, count in modules.items() if is_typed or name not in TYPED_MODULES}
    total = sum(count.requests for count in counts.values())
    parts = ", ".join(f"{module.replace('_', ' ')} {count.requests:,}" for module, count in counts.items())
    plan = f"plan: about {total:,} requests, as counted on the emulator: {parts}"
    lines = textwrap.wrap(plan, _WIDTH, subsequent_indent=" " * 6)
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
    """The limits on the number and the rate of requests, and how long a run takes at that rate."""
    words = [] if rate_limiter.max_requests is None else [f"at most {rate_limiter.max_requests:,}"]
    if rate_limiter.rate is not None:
        count = total if rate_limiter.max_requests is None else min(total, rate_limiter.max_requests)
        words.append(
            f"at most {rate_limiter.rate:g} per second: about {format_duration(float(round(count / rate_limiter.rate)))}"
        )
    return "; ".join(words)
