"""
Callers who try again, as far as a run is asked to have such: which outcome is tried again, how often and after how long.

Nothing is tried again unless it is asked for. Each attempt is an exchange of its own in every figure; what the caller
met in the end is counted beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chainproof.clock import Seconds
from chainproof.results.exchange import Outcome, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """
    A policy: exponential waits between its bounds.
    """

    statuses: frozenset[int]
    transports: frozenset[Transport]
    attempts: int
    """The most that a caller makes, the first one included."""
    first_wait: Seconds
    longest_wait: Seconds

    def wait(self, attempt: int, outcome: Outcome) -> Seconds | None:
        """How long the caller waits after his attempt of that number, from 1, met this outcome; None to leave it there."""
        again = outcome.status in self.statuses or outcome.transport in self.transports
        if not again or attempt >= self.attempts:
            return None
        return min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)


RETRY_POLICIES: Mapping[str, RetryPolicy] = MappingProxyType(
    {
        # docs.baseten.co, HTTP client configuration: tenacity's wait_exponential(multiplier=1, min=1, max=30) and five
        # attempts, on these statuses, on httpx's ConnectError (a name, a refusal, a handshake) and on its ReadTimeout.
        "baseten": RetryPolicy(
            statuses=frozenset({429, 500, 502, 503, 504}),
            transports=frozenset(
                {
                    Transport.NAME_NOT_RESOLVED,
                    Transport.CONNECTION_REFUSED,
                    Transport.CONNECT_FAILED,
                    Transport.TLS_FAILED,
                    Transport.DEADLINE,
                }
            ),
            attempts=5,
            first_wait=1.0,
            longest_wait=30.0,
        )
    }
)
"""The policies that `--retry` names."""
