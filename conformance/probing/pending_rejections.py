"""Rejections that count only once the unchanged request has been accepted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from threading import Lock

from chainproof.clock import Clock, Seconds, monotonic
from chainproof.contract.clauses import Clause


@dataclass(slots=True)
class LastAcceptance:
    """When the chain last accepted the base input. All checks of a run share it."""

    at: Seconds = float("-inf")


class PendingRejections:
    """How often requests were rejected by each clause, and since when. Any thread may add to it."""

    def __init__(self, clock: Clock = monotonic) -> None:
        self._counts: Counter[Clause] = Counter()
        self._clock = clock
        self._lock = Lock()
        self.first: Seconds = float("inf")
        """When the first one was added."""
        self.last: Seconds = float("-inf")
        """When the last one was added."""

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, clause: Clause) -> None:
        """Add one rejection."""
        with self._lock:
            self._counts[clause] += 1
            self.last = self._clock()
            self.first = min(self.first, self.last)

    def counts(self) -> Counter[Clause]:
        """How often each clause."""
        return self._counts
