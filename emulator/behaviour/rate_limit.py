"""
A rate limit as a token bucket, driven by the time it is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.clock import PerSecond, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """
    So many requests a second in the long run, and so many at once after a pause.
    """

    rate: PerSecond
    burst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """
    How many requests could be admitted at an instant.
    """

    tokens: float
    at: Seconds


def admitted(bucket: Bucket | None, limit: RateLimit, now: Seconds) -> tuple[bool, Bucket]:
    """
    Whether a request is admitted now, and the bucket after it. A bucket begins full.
    """
    tokens = limit.burst if bucket is None else min(limit.burst, bucket.tokens + (now - bucket.at) * limit.rate)
    admit = tokens >= 1.0
    return admit, Bucket(tokens=tokens - admit, at=now)
