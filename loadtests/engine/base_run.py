"""The interface of a run in progress, whose requests are sent by this process or by its workers."""

from __future__ import annotations

import sys
import traceback
from abc import ABC, abstractmethod

from gevent.event import Event

from chainproof.clock import Seconds
from chainproof.command import print_message
from chainproof.errors import UserCodeError
from chainproof.judgement.accounting import Accounting
from chainproof.machine_faults import machine_fault
from chainproof.results.manifest import Ending, Guard

from ..demand import Demand


class BaseRun(ABC):
    """A run in progress, and how it ended."""

    demand: Demand

    def __init__(self) -> None:
        self.ending = Ending.COMPLETED
        self.note = ""
        """Why it ended, if `ending` does not say it all."""
        self._guard: Guard | None = None
        self._finished = Event()

    @abstractmethod
    def now(self) -> Seconds:
        """Seconds since the start of the run; negative before it."""

    @abstractmethod
    def stop(self) -> None:
        """Start no further request. Has no effect when all were started."""

    @abstractmethod
    def censor(self) -> None:
        """Stop, and settle all requests in flight as censored without waiting for their answers."""

    @abstractmethod
    def supervise(self) -> None:
        """Wait for the end of the run and complete the run folder."""

    @property
    @abstractmethod
    def accounting(self) -> Accounting:
        """The totals so far."""

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """How many requests are in flight."""

    def interrupt(self) -> None:
        """Stop because a user asks for it. The run counts as interrupted even if all requests were started."""
        self._mark_interrupted()
        self.stop()

    def _mark_interrupted(self) -> None:
        if self.ending is Ending.COMPLETED and not self.finished:
            self.ending = Ending.INTERRUPTED

    def guard(self, guard: Guard, reason: str) -> None:
        """Stop because of a guard, and record which one and why."""
        if self.ending is Ending.COMPLETED and not self.finished:
            self.ending, self.note, self._guard = Ending.STOPPED_BY_GUARD, reason, guard
        self.stop()

    def abort(self, note: str) -> None:
        """Stop because of an error in chainproof or in the user's code, described by *note*."""
        if self.ending not in (Ending.INTERNAL_ERROR, Ending.MACHINE_FAULT):
            self.ending, self.note = Ending.INTERNAL_ERROR, note
        self.stop()

    def end_by_machine(self, fault: str) -> None:
        """Stop because of a problem of the machine, described by *fault*. Others that follow from it are not shown."""
        if self.ending not in (Ending.INTERNAL_ERROR, Ending.MACHINE_FAULT):
            self.ending, self.note = Ending.MACHINE_FAULT, fault
            print(
                f"chainproof loadtests: {fault}; the run ends here, and what is in the run folder is reported",
                file=sys.stderr,
            )
        self.stop()

    def abort_on_exception(self) -> None:
        """
        Abort because of the exception that is being handled: of a problem of the machine, print what it is; else print the
        traceback of the failed code.
        """
        error = sys.exception()
        assert error is not None
        fault = machine_fault(error)
        if fault is not None:
            self.end_by_machine(fault)
        elif isinstance(error, UserCodeError):
            if self.ending is Ending.INTERNAL_ERROR:
                return  # requests in flight meet the same error
            cause = error.__cause__
            if cause is not None and cause.__traceback__ is not None:
                traceback.print_exception(type(cause), cause, cause.__traceback__.tb_next)
            print_message("chainproof loadtests", str(error))
            self.abort(str(error))
        else:
            traceback.print_exc()
            self.abort(traceback.format_exc(limit=0).strip().splitlines()[-1])

    def wait(self, timeout: Seconds | None = None) -> bool:
        """Wait until the run folder is complete, at most for *timeout*; returns whether it is."""
        # gevent forgets a greenlet that waits for a set event while other waits for it time out: look first. A wait that timed
        # out as the run finished returns False: look again, since nothing may be written after the end.
        if not self.finished:
            self._finished.wait(timeout)
        return self.finished

    @property
    def finished(self) -> bool:
        """Whether the run folder is complete."""
        return bool(self._finished.is_set())
