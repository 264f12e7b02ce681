"""
The session of a Locust process: it starts a run when Locust starts a test, and drains it before Locust stops.

A process has one of three roles. A local process sends the requests and writes the run folder. A master lets workers send
them and writes what they report (`master.py`); a worker sends its share and reports (`worker.py`).

Locust ignores exceptions of listeners. Ours end the run with an internal error, and the process with exit code 70.
"""

from __future__ import annotations

import argparse
import gc
import logging
import resource
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any, cast
from weakref import WeakKeyDictionary

import gevent
import locust.main
from gevent import Greenlet
from locust import TaskSet, User, log
from locust.env import Environment
from locust.event import EventHook

from chainproof.judgement.verdict import ExitCode
from chainproof.linux import return_freed_memory
from chainproof.machine_faults import machine_fault, usage_error_or_machine_fault
from chainproof.results.manifest import Ending
from chainproof.signals import signals_to_handle

from ..engine.base_run import BaseRun
from ..engine.load_run import LoadRun
from .transport import print_message
from .user_classes import user_error_note

EXIT_CODE_OF = {
    Ending.COMPLETED: ExitCode.PASS,
    Ending.STOPPED_BY_GUARD: ExitCode.PASS,
    Ending.INTERRUPTED: ExitCode.INTERRUPTED,
    Ending.INTERNAL_ERROR: ExitCode.SOFTWARE,
    Ending.MACHINE_FAULT: ExitCode.INVALID,
}
"""The exit code of the Locust process; the verdict on a completed run is that of `chainproof reports`."""

_MISLEADING = (
    ("locust.runners", "spawn rate"),
    ("locust.runners", "Ramping to"),
    ("locust.main", "No run time limit set"),
)
"""Messages of Locust that do not hold: all users start at once on purpose, and the plan has an end."""

_LOGGERS = (
    "locust.util.exception_handler",
    "locust.user.task",
    "locust.event",
    "locust.runners",
    "locust.log",
    "locust.web",
)
"""Those with which Locust logs exceptions."""


def _lacks(text: str, record: logging.LogRecord) -> bool:
    """A filter of a logger: drops messages with a text."""
    return text not in str(record.msg)


def _without_traceback(record: logging.LogRecord) -> bool:
    """A filter of a logger: replaces the traceback of a problem of the machine by a line that says what it is."""
    error = record.exc_info[1] if record.exc_info else None
    fault = machine_fault(error) if error is not None else None
    if fault is not None:
        record.msg, record.args, record.exc_info = f"chainproof loadtests: {fault}", (), None
    return True


EventListener = Callable[..., None]
"""A listener of a Locust event: it is called with keyword arguments of unknown types."""


def abort_on_error(listener: EventListener) -> EventListener:
    """A decorator for a session's listeners: an exception ends the run instead of being ignored."""

    @wraps(listener)
    def guard(session: Session, **event: Any) -> None:
        try:
            listener(session, **event)
        except Exception as error:  # noqa: BLE001  # Locust would log it and continue
            session.abort_on(error)

    return guard


class Session(ABC):
    """The part of a session that all roles share: Locust's events, signals and the exit code."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.options = cast(argparse.Namespace, environment.parsed_options)
        self.runner: Any = environment.runner  # one of Locust's three runner classes, depending on the role
        self.run: BaseRun | None = None
        """The current run, or the last one."""
        self._signals = 0
        self._is_quitting = False
        """Whether Locust is ending, after the last run."""
        self._stopping = False
        self._has_usage_error = False
        self._closing = ExitStack()

    @property
    def load_run(self) -> LoadRun | None:
        """The run whose requests this process sends."""
        return self.run if isinstance(self.run, LoadRun) else None

    @property
    def running(self) -> bool:
        """Whether a run has started and not finished."""
        return self.run is not None and not self.run.finished

    def attach(self) -> None:
        """Listen to Locust's events, and handle signals."""
        for name, text in _MISLEADING:
            logging.getLogger(name).addFilter(partial(_lacks, text))
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_without_traceback)
        events = self.environment.events
        add_listener(events.test_start, self.on_test_start)
        add_listener(events.test_stopping, self.on_test_stopping)
        add_listener(events.quitting, self.on_quitting)
        add_listener(events.quit, self.on_quit)
        add_listener(events.user_error, self.on_user_error)
        for number in signals_to_handle():
            # On the event loop: an exception in the middle of other code would leave its requests unaccounted for.
            gevent.signal_handler(number, self.on_signal)
        # Locust adds a handler of SIGTERM that runs its whole end once more, beside or within the one that is running.
        locust.main.gevent = SimpleNamespace(**{**vars(gevent), "signal_handler": lambda *_: None})  # type: ignore[attr-defined]  # its import
        hub = gevent.get_hub()
        self._print_error = hub.handle_error
        hub.handle_error = self.on_greenlet_error
        _, max_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))
        return_freed_memory()  # of large answers: what a hostile target sends would add up beyond --max-response-memory

    # ------------------------------------------------------------------ Locust's events

    @abort_on_error
    def on_test_start(self, **_: Any) -> None:
        """Begin the prepared run."""
        self._stopping = False
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Begin the prepared run soon."""

    @abort_on_error
    def on_test_stopping(self, **_: Any) -> None:
        """Drain the run, before Locust stops its users."""
        self._stopping = True
        self._close()
        # Users end with the run, and their group forgets them later. Until then Locust could not tell what to stop.
        while any(user.dead for user in self.runner.user_greenlets):
            gevent.sleep(0)

    @abort_on_error
    def on_quitting(self, **_: Any) -> None:
        """Drain the run, and set the exit code, which Locust reads next."""
        self._close()
        self._is_quitting = True
        self.environment.process_exit_code = ExitCode.INVALID  # if there is no verdict: Locust's own code could be 0
        self.environment.process_exit_code = self.exit_code()

    def on_quit(self, **_: Any) -> None:
        """Close the endpoint, and with it the emulator if there is one."""
        self._closing.close()

    @abort_on_error
    def on_user_error(self, user_instance: User | TaskSet, exception: Exception, **_: Any) -> None:
        """End the run: requests of the plan are missing after an exception in a user."""
        self.abort(user_error_note(user_instance, exception))

    def on_greenlet_error(self, context: object, kind: type | None, error: BaseException | None, trace: Any) -> None:
        """
        End the run if a greenlet could not go on because of a problem of the machine. If a request of the web page could not,
        without memory for it being the reason, only say so. gevent prints other exceptions.
        """
        fault = None if error is None else machine_fault(error)
        if isinstance(error, MemoryError) or (isinstance(error, Exception) and fault and isinstance(context, Greenlet)):
            self.abort_on(error)
        elif fault is not None:
            print_message(fault)
        else:
            self._print_error(context, kind, error, trace)

    def on_signal(self) -> None:
        """The first signal drains the run, the second ends it at once; without a run the process ends."""
        if self._is_quitting:
            return
        self._signals += 1
        if self.run is None or self.run.finished:
            self._is_quitting = True  # with --autostart or --headless, Locust could start a run within its end
            self.environment.process_exit_code = self.exit_code()
            self.quit_locust()
        elif self._signals == 1:
            self.run.interrupt()
        else:
            self.run.interrupt()
            self.run.censor()

    def quit_locust(self) -> None:
        """End the process as Locust does."""
        self.runner.quit()
        if self.environment.web_ui is not None:
            self.environment.web_ui.stop()  # type: ignore[no-untyped-call]  # Locust has no type hints here

    # ------------------------------------------------------------------ from beginning to end

    def abort(self, note: str) -> None:
        """End the run with an internal error, or the process if there is no run yet."""
        if self.run is not None:
            self.run.abort(note)
            return
        self.environment.process_exit_code = ExitCode.SOFTWARE
        gevent.spawn(self.quit_locust)

    def abort_on(self, error: Exception) -> None:
        """End the run, or the process if there is no run yet, because of an exception of ours or a problem of the machine."""
        fault = machine_fault(error)
        if fault is None:
            traceback.print_exc()
            self.abort(f"{type(error).__name__}: {error}")
        elif self.run is not None:
            self.run.end_by_machine(fault)
        else:
            self.end_with_usage_error(fault)

    def end_with_usage_error(self, message: str) -> None:
        """Print why the process cannot start, and end it."""
        print_message(message)
        self.environment.process_exit_code = ExitCode.USAGE
        self._has_usage_error = True
        gevent.spawn(self.quit_locust)

    def exit_code(self) -> int:
        """The exit code of the process."""
        if self._has_usage_error:
            return ExitCode.USAGE
        if self.run is None:
            # Ending the web UI without a run is not an interrupted run.
            idle = ExitCode.PASS if self.environment.web_ui is not None else ExitCode.INTERRUPTED
            return idle if self._signals else ExitCode.SOFTWARE
        code = EXIT_CODE_OF[self.run.ending]
        return ExitCode.SOFTWARE if unhandled_error() and self.run.ending is not Ending.MACHINE_FAULT else code

    def _close(self) -> None:
        """Stop the run, if there is one, and wait until its record is complete."""
        if self.run is not None:
            self.run.stop()
            self.run.wait()


def freeze_garbage_collector() -> None:
    """Exclude all objects so far from garbage collection, which would otherwise scan all of Locust every few seconds."""
    gc.collect()
    gc.freeze()


def unhandled_error() -> str:
    """A message if Locust has logged an exception of a greenlet or listener; else empty."""
    return "a listener or a greenlet raised, see stderr" if log.unhandled_greenlet_exception else ""


def add_listener(hook: EventHook, listener: EventListener) -> None:
    """Add a listener to one of Locust's event hooks."""
    hook.add_listener(listener)  # type: ignore[no-untyped-call]  # Locust's hooks have no type hints


_SESSIONS: WeakKeyDictionary[Environment, Session] = WeakKeyDictionary()


def open_session(environment: Environment, make: Callable[[Environment], Session]) -> Session:
    """Create the session of a Locust environment. A usage error ends the process with one line."""
    try:
        session = make(environment)
        session.attach()
    except Exception as error:
        message = usage_error_or_machine_fault(error)
        if message is None:
            raise
        print_message(message)
        sys.exit(ExitCode.USAGE)
    _SESSIONS[environment] = session
    return session


def session_of(environment: Environment) -> Session:
    """The session of an environment."""
    return _SESSIONS[environment]
