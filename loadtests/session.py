"""
Where Locust's events become a run: made at the start of a test, drained and closed before Locust stops anything.

Locust swallows what a listener raises and goes on. Ours must not: an exception here ends the run as broken, and the
process with 70.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

import gevent
from locust import log
from locust.env import Environment
from locust.event import EventHook
from locust.runners import LocalRunner

from chainproof.command import Mistake
from chainproof.contract.credentials import NoKey
from chainproof.contract.spec import METHOD
from chainproof.contract.targets import BadTarget
from chainproof.embedded import Endpoint, endpoint
from chainproof.judgement.verdict import Exit
from chainproof.results.exchange import Exchange, Fate, Transport
from chainproof.results.folder import FolderMistake, RunWriter, check_writable, default_path, now
from chainproof.results.manifest import Ending, Kind, Manifest, versions
from chainproof.workload.objectives import BadObjective
from chainproof.workload.workload import BadWorkload, Model

from .progress import show_progress
from .recorder import Recorder
from .run import LoadRun
from .settings import Demand, demand
from .wire import Reply

EXIT_OF = {Ending.COMPLETED: Exit.PASS, Ending.INTERRUPTED: Exit.INTERRUPTED, Ending.BROKEN: Exit.SOFTWARE}
"""How the Locust process ends; the verdict on a completed run is the report's."""

MISTAKES = (Mistake, BadTarget, BadWorkload, BadObjective, FolderMistake, NoKey)


class NotOk(Exception):
    """
    What Locust's tables show of a request that was not ok: transport, status and code, never an id of its own.
    """


Listener = Callable[..., None]
"""What Locust calls with keyword arguments, their types unsaid."""


def guarded(listener: Listener) -> Listener:
    """
    A listener of a session whose exceptions end the run instead of being swallowed.
    """

    @wraps(listener)
    def guard(session: Session, **event: Any) -> None:
        try:
            listener(session, **event)
        except Exception as wrong:  # noqa: BLE001  # Locust would log it and go on
            traceback.print_exc()
            session.break_off(f"{type(wrong).__name__}: {wrong}")

    return guard


class Session:
    """
    One Locust process, from its options to its exit code.
    """

    def __init__(self, environment: Environment) -> None:
        """
        Check everything that can be known before a run. Raises one of MISTAKES.
        """
        options = cast(argparse.Namespace, environment.parsed_options)
        if not isinstance(environment.runner, LocalRunner):
            raise Mistake("expected a single process: this version does not distribute a run over workers")
        self.environment = environment
        self._runner = environment.runner
        self.demand: Demand = demand(options, options.num_users)
        self._options = options
        self._closing = ExitStack()
        if options.out is not None:
            check_writable(options.out)
        self._endpoint: Endpoint = self._closing.enter_context(endpoint(options.target, options.api_key_env))
        self._signals = 0
        self._run: LoadRun | None = None
        self._fire: Listener = environment.events.request.fire
        self._failures: dict[str, NotOk] = {}
        self._started = 0.0

    @property
    def run(self) -> LoadRun:
        """The run under way."""
        assert self._run is not None, "a test that Locust started has a run"
        return self._run

    def attach(self) -> None:
        """Listen to Locust, take over the signals, and set the other model's users aside."""
        work = self.demand.workload
        environment, options = self.environment, self._options
        environment.user_classes = [
            kind for kind in environment.user_classes if getattr(kind, "model", work.model) is work.model
        ]
        options.num_users = work.users if work.model is Model.CLOSED else 1
        # All users at once is what is asked for: Locust's doubt about it is not our user's.
        options.spawn_rate = float(options.num_users)
        logging.getLogger("locust.runners").addFilter(lambda record: "spawn rate" not in str(record.msg))
        listen(environment.events.test_start, self.on_test_start)
        listen(environment.events.test_stopping, self.on_test_stopping)
        listen(environment.events.quitting, self.on_quitting)
        listen(environment.events.quit, self.on_quit)
        listen(environment.events.user_error, self.on_user_error)
        for number in (signal.SIGINT, signal.SIGTERM):
            # On the event loop, not in the midst of whatever runs: nothing may be torn out of its accounting.
            gevent.signal_handler(number, self.on_signal)
        _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
        if options.until_eof:
            gevent.spawn(self._await_eof)

    # ------------------------------------------------------------------ Locust's events

    @guarded
    def on_test_start(self, **_: Any) -> None:
        """Make the run folder, and begin."""
        options, chosen = self._options, self._endpoint
        self._run = None  # a second test of the same process must not find the first one's
        plan = self.demand.plan()
        started = now()
        out: Path = options.out or default_path(self.demand.workload.name, chosen.target, started)
        writer = RunWriter(
            out,
            Manifest(
                kind=Kind.LOAD,
                name=self.demand.workload.name,
                started=started,
                target=chosen.target.url,
                emulated=chosen.target.emulated,
                contract=self.demand.contract.value,
                seed=self.demand.seed,
                settings=self.demand.settings(plan),
                objectives=tuple(objective.text for objective in self.demand.workload.objectives),
                versions=versions("locust", "gevent", "httptools", "orjson"),
            ),
        )
        self._run = LoadRun(
            self.demand,
            plan,
            chosen.target,
            chosen.key,
            Recorder(writer, contract=self.demand.contract, seed=self.demand.seed),
            variable=options.api_key_env,
            listener=self._tell_locust,
            trouble=_trouble,
        )
        # What is loaded by now stays: without this, collecting garbage walks through all of Locust every few seconds.
        gc.collect()
        gc.freeze()
        self._run.begin()
        self._started = time.time() - self._run.now()
        gevent.spawn(self._run.flush_every_second)
        gevent.spawn(show_progress, self._run, overwrite=options.overwrite_progress)
        gevent.spawn(self._see_to_the_end, self._run)

    @guarded
    def on_test_stopping(self, **_: Any) -> None:
        """Drain, before Locust stops its users."""
        self._close()

    @guarded
    def on_quitting(self, **_: Any) -> None:
        """Drain, and settle the exit code: Locust reads it right after."""
        self._close()
        self.environment.process_exit_code = self.exit_code()

    def on_quit(self, **_: Any) -> None:
        """Let go of the target."""
        self._closing.close()

    @guarded
    def on_user_error(self, exception: Exception, **_: Any) -> None:
        """A user that raised is our own error: its requests are missing from the plan."""
        self.break_off(f"{type(exception).__name__}: {exception}")

    def on_signal(self) -> None:
        """First: stop and drain. Again: wait for nothing. Without a run: leave."""
        self._signals += 1
        if self._run is None or self._run.finished:
            self.environment.process_exit_code = self.exit_code()
            self._runner.quit()
        elif self._signals == 1:
            self._run.interrupt()
        else:
            self._run.interrupt()
            self._run.censor()

    # ------------------------------------------------------------------ from beginning to end

    def break_off(self, note: str) -> None:
        """End the run as broken; the process too, where there is none yet."""
        if self._run is not None:
            self._run.break_off(note)
            return
        self.environment.process_exit_code = Exit.SOFTWARE
        gevent.spawn(self._runner.quit)

    def exit_code(self) -> int:
        """How the process ends."""
        if self._run is None:
            return Exit.INTERRUPTED if self._signals else Exit.SOFTWARE
        return Exit.SOFTWARE if _trouble() else EXIT_OF[self._run.ending]

    def _see_to_the_end(self, run: LoadRun) -> None:
        """
        Follow the run to its end, then let Locust end.
        """
        run.supervise()
        if self._options.headless:
            self.environment.process_exit_code = self.exit_code()
            self._runner.quit()
        else:
            self._runner.stop()

    def _close(self) -> None:
        """
        Stop the run, if there is one, and wait for its folder to be complete.
        """
        if self._run is not None:
            self._run.stop()
            self._run.wait()

    def _await_eof(self) -> None:
        """
        Treat the end of the standard input as a signal.
        """
        hub = gevent.get_hub()
        watcher = hub.loop.io(sys.stdin.fileno(), 1)
        hub.wait(watcher)
        while os.read(sys.stdin.fileno(), 1024):
            hub.wait(watcher)
        watcher.close()
        self.on_signal()

    def _tell_locust(self, exchange: Exchange, reply: Reply) -> None:
        """
        Locust's own event, so that its tables, CSV files and whoever listens go on working.
        """
        outcome = exchange.outcome
        answered = outcome.transport is Transport.ANSWERED
        self._fire(
            request_type=METHOD,
            name=self._endpoint.target.path,
            # Locust takes None for a request whose time is not known: a deadline is not a latency.
            response_time=exchange.response_time * 1e3 if answered else None,
            response_length=len(reply.answer.body) if reply.answer is not None else 0,
            response=reply.answer,
            exception=None if outcome.fate is Fate.OK else self._failure(exchange),
            context={"number": exchange.number, "intended_start_s": exchange.intended_start},
            start_time=self._started + exchange.start,
            url=self._endpoint.target.url,
        )

    def _failure(self, exchange: Exchange) -> NotOk:
        outcome = exchange.outcome
        parts = (outcome.transport.value,) if outcome.status is None else (str(outcome.status), outcome.error_code)
        text = " ".join(part for part in parts if part)
        return self._failures.setdefault(text, NotOk(text))


def _trouble() -> str:
    """
    What Locust noticed of failures that nobody else will speak of; empty when there were none.
    """
    return "a listener or a greenlet raised, see stderr" if log.unhandled_greenlet_exception else ""


def listen(hook: EventHook, listener: Listener) -> None:
    """
    Have a listener called with every event of a hook.
    """
    hook.add_listener(listener)  # type: ignore[no-untyped-call]  # Locust's hooks carry no types


_SESSIONS: WeakKeyDictionary[Environment, Session] = WeakKeyDictionary()


def open_session(environment: Environment, **_: Any) -> None:
    """
    Make Locust's environment a session of ours, or leave with what was asked wrongly in one line.
    """
    try:
        session = Session(environment)
        session.attach()
    except MISTAKES as mistake:
        print(f"chainproof loadtests: {mistake}", file=sys.stderr)
        sys.exit(Exit.USAGE)
    _SESSIONS[environment] = session


def session_of(environment: Environment) -> Session:
    """
    The session of an environment.
    """
    return _SESSIONS[environment]
