"""
A run under way, whoever sends its requests: this process, or workers that report to it.
"""

from __future__ import annotations

from typing import Protocol

from chainproof.clock import Seconds
from chainproof.results.manifest import Ending, Guard

from .recorder import Accounting
from .settings import Demand


class Course(Protocol):
    """
    What a session does with a run from its beginning to its end.
    """

    demand: Demand
    ending: Ending
    note: str

    def now(self) -> Seconds:
        """Seconds since the run began; negative before."""
        ...

    def stop(self) -> None:
        """Start nothing more; harmless when repeated, or when everything was started."""
        ...

    def interrupt(self) -> None:
        """Stop as a person asks for it: the run counts as interrupted even if all was started."""
        ...

    def censor(self) -> None:
        """Wait for nothing: settle whatever is in flight as censored, now."""
        ...

    def guard(self, guard: Guard, reason: str) -> None:
        """Stop because a guard says so, and remember which and why."""
        ...

    def break_off(self, note: str) -> None:
        """Stop because we are broken, and say why."""
        ...

    def wait(self, patience: Seconds | None = None) -> bool:
        """Return when the record is complete; after *patience* at the latest, with whether it is."""
        ...

    def supervise(self) -> None:
        """Follow the run to its end and complete the record."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the record is complete."""
        ...

    @property
    def accounting(self) -> Accounting:
        """What became of the requests so far."""
        ...

    @property
    def in_flight(self) -> int:
        """Requests started and not settled."""
        ...
