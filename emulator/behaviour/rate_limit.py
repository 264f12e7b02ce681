"""Rate limit: a token bucket, with the time as an argument."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.clock import PerSecond, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Requests per second in the long run, and the number of requests allowed at once."""

    rate: PerSecond
    burst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBucket:
    """The tokens left at an instant."""

    tokens: float
    updated_at: Seconds


def take_token(bucket: TokenBucket | None, limit: RateLimit, now: Seconds) -> tuple[bool, TokenBucket]:
    """Whether a request is admitted at *now*, and the bucket after it. The first bucket is full."""
    tokens = limit.burst if bucket is None else min(limit.burst, bucket.tokens + (now - bucket.updated_at) * limit.rate)
    admit = tokens >= 1.0
    return admit, TokenBucket(tokens=tokens - admit, updated_at=now)
