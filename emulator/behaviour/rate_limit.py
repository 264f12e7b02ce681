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
class TokenBucket:
    """
    How many requests could be admitted at an instant.
    """

    tokens: float
    updated_at: Seconds


def take_token(bucket: TokenBucket | None, limit: RateLimit, now: Seconds) -> tuple[bool, TokenBucket]:
    """
    Whether a request is admitted now, and the bucket after it. A bucket begins full.
    """
    tokens = limit.burst if bucket is None else min(limit.burst, bucket.tokens + (now - bucket.updated_at) * limit.rate)
    admit = tokens >= 1.0
    return admit, TokenBucket(tokens=tokens - admit, updated_at=now)
