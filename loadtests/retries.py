"""
Retry policies: which outcomes are retried, how often and after which wait.

Requests are retried only with `--retry`. Every attempt counts as a request of its own in all figures. The final result
of each call is counted in addition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chainproof.clock import Seconds
from chainproof.results.exchange import Outcome, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Retries with exponential backoff."""

    statuses: frozenset[int]
    transports: frozenset[Transport]
    attempts: int
    """Maximum number of attempts, the first one included."""
    first_wait: Seconds
    longest_wait: Seconds

    def wait(self, attempt: int, outcome: Outcome) -> Seconds | None:
        """The wait after an attempt, counted from 1, with this outcome; None if it is not retried."""
        is_retried = outcome.status in self.statuses or outcome.transport in self.transports
        if not is_retried or attempt >= self.attempts:
            return None
        return min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)


RETRY_POLICIES: Mapping[str, RetryPolicy] = MappingProxyType(
    {
        # docs.baseten.co, HTTP client configuration: tenacity's wait_exponential(multiplier=1, min=1, max=30) and five
        # attempts, on these statuses, on httpx's ConnectError (name resolution, connect, TLS) and on its ReadTimeout.
        "baseten": RetryPolicy(
            statuses=frozenset({429, 500, 502, 503, 504}),
            transports=frozenset(
                {
                    Transport.NAME_NOT_RESOLVED,
                    Transport.CONNECTION_REFUSED,
                    Transport.CONNECT_FAILED,
                    Transport.NO_RESOURCES,
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
"""The policies for `--retry`, by name."""
