"""Gateway retries: when a request is sent to the chain again after a 502, 503 or 504."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.clock import Seconds

RETRIED_STATUSES = frozenset((502, 503, 504))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The delays between attempts. The defaults are Baseten's (docs.baseten.co/deployment/autoscaling/request-lifecycle)."""

    first_delay: Seconds = 0.5
    factor: float = 1.5
    max_delay: Seconds = 60.0
    give_up_after: Seconds = 900.0
    """Seconds since the first attempt after which no further attempt starts."""

    def delay_after(self, attempts: int, elapsed: Seconds) -> Seconds | None:
        """Seconds until the next attempt, *elapsed* seconds after the start of the first; None if the response is passed on."""
        delay = self.first_delay
        for _ in range(attempts - 1):
            delay = min(delay * self.factor, self.max_delay)  # step by step: a power could overflow
        return delay if elapsed + delay <= self.give_up_after else None
