"""
A run under way, whoever sends its requests: this process, or workers that report to it.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod

from gevent.event import Event

from chainproof.clock import Seconds
from chainproof.judgement.accounting import Accounting
from chainproof.results.manifest import Ending, Guard

from ..demand import Demand


class BaseRun(ABC):
    """
    What a session does with a run from its beginning to its end, and how it ended.
    """

    demand: Demand

    def __init__(self) -> None:
        self.ending = Ending.COMPLETED
        self.note = ""
        """Why it ended so, where that is not plain."""
        self._guard: Guard | None = None
        self._finished = Event()

    @abstractmethod
    def now(self) -> Seconds:
        """Seconds since the run began; negative before."""

    @abstractmethod
    def stop(self) -> None:
        """Start nothing more; harmless when repeated, or when everything was started."""

    @abstractmethod
    def censor(self) -> None:
        """Wait for nothing: settle whatever is in flight as censored, now."""

    @abstractmethod
    def supervise(self) -> None:
        """Follow the run to its end and complete the record."""

    @property
    @abstractmethod
    def accounting(self) -> Accounting:
        """What became of the requests so far."""

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Requests started and not settled."""

    def interrupt(self) -> None:
        """Stop as a person asks for it: the run counts as interrupted even if all was started."""
        self._interrupted()
        self.stop()

    def _interrupted(self) -> None:
        """
        Remember that a person asked for the end.
        """
        if self.ending is Ending.COMPLETED and not self.finished:
            self.ending = Ending.INTERRUPTED

    def guard(self, guard: Guard, reason: str) -> None:
        """Stop because a guard says so, and remember which and why."""
        if self.ending is Ending.COMPLETED and not self.finished:
            self.ending, self.note, self._guard = Ending.STOPPED_BY_GUARD, reason, guard
        self.stop()

    def abort(self, note: str) -> None:
        """Stop because we are broken, and say why."""
        if self.ending is not Ending.INTERNAL_ERROR:
            self.ending, self.note = Ending.INTERNAL_ERROR, note
        self.stop()

    def abort_on_exception(self) -> None:
        """Abort because of the exception that is being handled, and print its traceback."""
        traceback.print_exc()
        self.abort(traceback.format_exc(limit=0).strip().splitlines()[-1])

    def wait(self, patience: Seconds | None = None) -> bool:
        """Return when the record is complete; after *patience* at the latest, with whether it is."""
        return bool(self._finished.wait(patience))

    @property
    def finished(self) -> bool:
        """Whether the record is complete."""
        return bool(self._finished.is_set())
