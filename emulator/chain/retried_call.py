"""A call of the chain that the gateway repeats while it fails."""

from __future__ import annotations

from collections.abc import Callable

from chainproof.clock import Seconds

from ..behaviour.gateway_retries import RETRIED_STATUSES, RetryPolicy
from .chain_response import ChainResponse, ChainResponseKind
from .replica import ChainCall, ResponseCallback

FinalCallback = Callable[[ChainResponse, int], None]
"""Takes the response that the caller gets, and the number of attempts."""


class RetriedCall:
    """One request, sent to the chain once or several times. A timeout of the gateway's own is not repeated."""

    def __init__(
        self,
        send: Callable[[ResponseCallback], ChainCall],
        on_final: FinalCallback,
        *,
        policy: RetryPolicy | None,
        clock: Callable[[], Seconds],
        call_at: Callable[[Seconds, Callable[[], None]], None],
    ) -> None:
        self._send = send
        self._on_final = on_final
        self._policy = policy
        self._clock = clock
        self._call_at = call_at
        self._started_at = clock()
        self._attempts = 0
        self._abandoned = False
        self._call: ChainCall | None = None
        self._start()

    def abandon(self) -> None:
        """Stop waiting: nobody reads the answer any more."""
        self._abandoned = True
        if self._call is not None:
            self._call.abandon()

    def _start(self) -> None:
        """Send the request once more, unless nobody waits."""
        if not self._abandoned:
            self._attempts += 1
            self._call = self._send(self._receive)

    def _receive(self, response: ChainResponse) -> None:
        """Pass a response on, or schedule the next attempt."""
        delay = self._delay(response)
        if delay is None:
            self._on_final(response, self._attempts)
        else:
            self._call_at(self._clock() + delay, self._start)

    def _delay(self, response: ChainResponse) -> Seconds | None:
        """Seconds until the next attempt; None if there is none."""
        is_retried = response.status in RETRIED_STATUSES and response.kind is not ChainResponseKind.TIMED_OUT
        if self._policy is None or not is_retried:
            return None
        return self._policy.delay_after(self._attempts, self._clock() - self._started_at)
