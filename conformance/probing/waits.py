"""How long a run waits for a busy, slow or silent target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer

from ..options import MAX_BUSY_WAIT, SLOW_TARGET, Depth
from .budget import ResponseTimes
from .liveness import MAX_RECOVERY

_IDLE_BY_DEPTH: dict[Depth, Seconds] = {Depth.QUICK: 2.5, Depth.STANDARD: 6.0, Depth.DEEP: 16.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long a run waits."""

    retry_pauses: tuple[Seconds, ...] = (0.1, 0.3, 1.0, 2.0)
    """Pauses before each further attempt at a request that found the target busy."""
    max_busy_wait: Seconds = MAX_BUSY_WAIT[Depth.STANDARD]
    """Sum of these pauses in one run."""
    start: Seconds = MAX_RECOVERY
    """How long a target that was never ready may take to answer the first request: an idle chain has to start."""
    recovery_pauses: tuple[Seconds, ...] = (0.5, 2.0, 5.0)
    """Pauses before the simplest input is sent again to a target that has stopped answering."""
    probe_deadline: Seconds = 5.0
    """Time limit for the answer to that input, if answers are usually fast."""
    shrink_requests: int = 200
    """Requests that a generating check may send to make one violating example smaller."""
    idle: Seconds = _IDLE_BY_DEPTH[Depth.STANDARD]
    """How long a target gets no requests before it gets one again. Many servers close idle connections after five seconds."""
    late_answer: Seconds = 0.4
    """How long to wait after a timeout for the answer that came too late."""
    recovery: Seconds = 5.0
    """How long a target may stay busy after many bad requests."""
    close: Seconds = 2.0
    """How long a target may take to close a connection that it has to close."""
    optional_answer: Seconds = 0.4
    """How long to wait for an answer to a malformed message. Many servers wait for the rest of it instead."""
    continue_answer: Seconds = 2.0
    """How long to wait for `100 Continue` before the body is sent anyway (RFC 9110 §10.1.1)."""

    @classmethod
    def for_depth(cls, depth: Depth) -> Self:
        """The waits of a run at a depth."""
        return cls(max_busy_wait=MAX_BUSY_WAIT[depth], idle=_IDLE_BY_DEPTH[depth])

    def for_response_time(self, seconds: Seconds) -> Self:
        """These waits for a target that takes this long for each answer, interim answers included."""
        return replace(self, continue_answer=self.continue_answer + seconds, late_answer=self.late_answer + seconds)


class TargetBehaviour:
    """How fast the target has answered so far, and how long the run has waited for it."""

    def __init__(self, waits: Waits) -> None:
        self._accepted: Seconds | None = None
        self._rejected: dict[int, Seconds] = {}
        """By status: a gateway may be fast where the chain is slow."""
        self.slow_seconds: Seconds = 0.0
        """Time in which the run waited for slow answers. Requests at the same time count once."""
        self._slow_until: Seconds = float("-inf")
        self._busy_wait_left = waits.max_busy_wait

    def add_duration(self, began: Seconds, ended: Seconds, answer: Answer | None) -> None:
        """Add when one exchange began and ended."""
        if answer is None:
            return
        seconds = ended - began
        if seconds > SLOW_TARGET:
            self.slow_seconds += max(0.0, ended - max(began, self._slow_until))
            self._slow_until = max(ended, self._slow_until)
        if 400 <= answer.status < 500:
            self._rejected[answer.status] = min(seconds, self._rejected.get(answer.status, seconds))
        else:
            self._accepted = seconds if self._accepted is None else min(seconds, self._accepted)

    @property
    def response_times(self) -> ResponseTimes:
        """How long the target has taken to answer so far, at best."""
        rejected = max(self._rejected.values(), default=self._accepted or 0.0)
        return ResponseTimes(accepted=rejected if self._accepted is None else self._accepted, rejected=rejected)

    def take_pause(self, pause: Seconds) -> bool:
        """Take a pause from the time left to wait for a busy target. Returns False if less than that is left."""
        if self._busy_wait_left < pause:
            return False
        self._busy_wait_left -= pause
        return True
