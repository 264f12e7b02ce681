"""
Where Locust's events become a run: made at the start of a test, drained and closed before Locust stops anything.

A process plays one of three roles. Alone, it sends the requests and writes the run folder. A master has workers send
them and writes down what they report (`master.py`); a worker sends its share and reports (`worker.py`).

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
import traceback
from array import array
from bisect import bisect_left
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, cast
from weakref import WeakKeyDictionary

import gevent
from locust import User, log
from locust.env import Environment
from locust.event import EventHook

from chainproof.clock import PerSecond, Seconds
from chainproof.endpoint import Endpoint, open_endpoint
from chainproof.errors import UsageError
from chainproof.judgement import verdict
from chainproof.judgement.verdict import ExitCode
from chainproof.results.folder import RunWriter, check_writable, default_run_path, read_run, utc_timestamp
from chainproof.results.manifest import Ending, Manifest, RunKind, RunSettings, as_settings, versions
from chainproof.results.replan import Replan
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import WorkloadModel

from ..client.preflight import check_handshake
from ..demand import Demand, demand
from ..engine.base_run import BaseRun
from ..engine.guards import start_guards
from ..engine.load_run import LoadRun, ReplanTooLate
from ..engine.progress import show_progress
from ..engine.replan import PhaseNames, RateChange, apply_rate_change
from ..engine.self_monitor import monitor_generator
from ..limits import Limits, announcement, apply_limits, limits
from ..options import requested_target
from ..recording.recorder import Recorder
from ..recording.totals_writer import TotalsWriter
from .locust_stats import LocustStats

EXIT_CODE_OF = {
    Ending.COMPLETED: ExitCode.PASS,
    Ending.STOPPED_BY_GUARD: ExitCode.PASS,
    Ending.INTERRUPTED: ExitCode.INTERRUPTED,
    Ending.INTERNAL_ERROR: ExitCode.SOFTWARE,
}
"""How the Locust process ends; the verdict on a completed run is the report's."""

EventListener = Callable[..., None]
"""What Locust calls with keyword arguments, their types unsaid."""


def abort_on_error(listener: EventListener) -> EventListener:
    """
    A listener of a session whose exceptions end the run instead of being swallowed.
    """

    @wraps(listener)
    def guard(session: Session, **event: Any) -> None:
        try:
            listener(session, **event)
        except Exception as wrong:  # noqa: BLE001  # Locust would log it and go on
            traceback.print_exc()
            session.abort(f"{type(wrong).__name__}: {wrong}")

    return guard


class Session:
    """
    One Locust process, from its options to its exit code, in whatever role.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.options = cast(argparse.Namespace, environment.parsed_options)
        self.runner: Any = environment.runner  # which of Locust's three it is, the role knows
        self.run: BaseRun | None = None
        """The run under way, or the last one."""
        self._signals = 0
        self._stopping = False
        self._closing = ExitStack()
        self._logger = logging.getLogger("locust.runners")

    @property
    def load_run(self) -> LoadRun | None:
        """The run whose requests this very process sends."""
        return self.run if isinstance(self.run, LoadRun) else None

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self.run is not None and not self.run.finished

    def attach(self) -> None:
        """Listen to Locust, and take over the signals."""
        # All users at once is what is asked for: Locust's doubt about it is not our user's.
        self._logger.addFilter(lambda record: "spawn rate" not in str(record.msg))
        events = self.environment.events
        add_listener(events.test_start, self.on_test_start)
        add_listener(events.test_stopping, self.on_test_stopping)
        add_listener(events.quitting, self.on_quitting)
        add_listener(events.quit, self.on_quit)
        add_listener(events.user_error, self.on_user_error)
        for number in (signal.SIGINT, signal.SIGTERM):
            # On the event loop, not in the midst of whatever runs: nothing may be torn out of its accounting.
            gevent.signal_handler(number, self.on_signal)
        _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))

    # ------------------------------------------------------------------ Locust's events

    @abort_on_error
    def on_test_start(self, **_: Any) -> None:
        """Begin what was prepared."""
        self._stopping = False
        self.begin()

    def begin(self) -> None:
        """Let second 0 be a moment from now."""
        raise NotImplementedError

    @abort_on_error
    def on_test_stopping(self, **_: Any) -> None:
        """Drain, before Locust stops its users."""
        self._stopping = True
        self._close()

    @abort_on_error
    def on_quitting(self, **_: Any) -> None:
        """Drain, and settle the exit code: Locust reads it right after."""
        self._close()
        self.environment.process_exit_code = self.exit_code()

    def on_quit(self, **_: Any) -> None:
        """Let go of the target."""
        self._closing.close()

    @abort_on_error
    def on_user_error(self, exception: Exception, **_: Any) -> None:
        """A user that raised is our own error: its requests are missing from the plan."""
        self.abort(f"{type(exception).__name__}: {exception}")

    def on_signal(self) -> None:
        """First: stop and drain. Again: wait for nothing. Without a run: leave."""
        self._signals += 1
        if self.run is None or self.run.finished:
            self.environment.process_exit_code = self.exit_code()
            self.quit_locust()
        elif self._signals == 1:
            self.run.interrupt()
        else:
            self.run.interrupt()
            self.run.censor()

    def quit_locust(self) -> None:
        """End the process by Locust's own way."""
        self.runner.quit()
        if self.environment.web_ui is not None:
            self.environment.web_ui.stop()  # type: ignore[no-untyped-call]  # Locust says no types here

    # ------------------------------------------------------------------ from beginning to end

    def abort(self, note: str) -> None:
        """End the run as broken; the process too, where there is none yet."""
        if self.run is not None:
            self.run.abort(note)
            return
        self.environment.process_exit_code = ExitCode.SOFTWARE
        gevent.spawn(self.quit_locust)

    def exit_code(self) -> int:
        """How the process ends."""
        if self.run is None:
            # Whoever ends a web page that ran nothing has asked for nothing.
            idle = ExitCode.PASS if self.environment.web_ui is not None else ExitCode.INTERRUPTED
            return idle if self._signals else ExitCode.SOFTWARE
        return ExitCode.SOFTWARE if unhandled_error() else EXIT_CODE_OF[self.run.ending]

    def _close(self) -> None:
        """
        Stop the run, if there is one, and wait for its record to be complete.
        """
        if self.run is not None:
            self.run.stop()
            self.run.wait()


class WriterSession(Session):
    """
    A process that was asked for runs, and writes their folders: alone or as a master.
    """

    REPLAN_NOTICE: ClassVar[Seconds] = 0.5
    """From the word of another plan to its first instant, at least."""

    def __init__(self, environment: Environment) -> None:
        """
        Check everything that can be known before a run. Raises UsageError.
        """
        super().__init__(environment)
        self.writer: TotalsWriter | None = None
        """The folder of the run under way, or of the last one."""
        self._user_classes = list(environment.user_classes)
        # Locust puts a number of its own where none was given.
        self.requested_users: int | None = self.options.num_users
        self._asked: TargetOptions | None = None
        self._asked_wrongly = False
        self._start = self.runner.start
        self.plan: array[float] = array("d")
        """Every intended start of the run under way, or of the last one."""
        self.phase_names: PhaseNames
        self.demand: Demand
        self.endpoint: Endpoint
        self.limits: Limits
        self.apply_options()

    def check(self) -> tuple[Demand, TargetOptions]:
        """What the options ask for now, with nothing done about it yet. Raises UsageError."""
        if self.options.out:
            check_writable(Path(self.options.out))
        return demand(self.options, self.requested_users), requested_target(self.options)

    def apply_options(self) -> None:
        """Draw the demand, the endpoint and the users from the options, between two runs. Raises UsageError."""
        self.demand, asked = self.check()
        if asked != self._asked:
            self._asked = None
            self._closing.close()
            self.endpoint = self._closing.enter_context(open_endpoint(asked))
            check_handshake(self.endpoint)
            self._asked = asked
        self.limits = limits(self.options, self.endpoint)
        self.demand = apply_limits(self.demand, self.limits)
        self.environment.user_classes = _of_model(self._user_classes, self.demand.workload.model)

    def attach(self) -> None:
        """Be the one that starts users: as many as the run takes, and after all is prepared."""
        super().attach()
        self.runner.start = self.start
        if self.options.until_eof:
            gevent.spawn(self._await_eof)

    def users(self) -> int:
        """How many of Locust's users the run takes."""
        work = self.demand.workload
        return work.users if work.model is WorkloadModel.CLOSED else 1

    def start(self, user_count: int, spawn_rate: float, **_: Any) -> None:
        """Start a run, in place of Locust's own start of users."""
        del user_count, spawn_rate  # what is run is said by our options
        if self.running:
            return
        try:
            self.run = None  # a second test of the same process must not find the first one's
            self.prepare()
        except UsageError as mistake:
            self.report_usage_error(str(mistake))
        except Exception as wrong:  # noqa: BLE001  # our own error, and no run to tell it
            traceback.print_exc()
            self.abort(f"{type(wrong).__name__}: {wrong}")
        else:
            if self.limits.is_remote:
                said = announcement(self.demand.workload, len(self.plan), self.endpoint.target.url, self.limits)
                print(f"chainproof loadtests: {said}", file=sys.stderr, flush=True)
            users = self.users()
            self._start(users, float(users))

    def prepare(self) -> None:
        """Do all that takes time before a run can begin. Raises UsageError."""
        raise NotImplementedError

    @property
    def can_replan(self) -> bool:
        """Whether a run may be given another plan: somebody looks on, and there is a plan."""
        return self.environment.web_ui is not None and self.demand.workload.model is WorkloadModel.OPEN

    @property
    def rate(self) -> PerSecond:
        """What is asked a second as the plan ends."""
        work = self.demand.workload
        return work.phases[-1].final_rate if work.phases else work.rate

    @property
    def phase_of(self) -> Callable[[Seconds], str | None] | None:
        """What names the phase of an intended start; None where there are no phases and can be none."""
        self.phase_names = PhaseNames(self.demand.workload)
        return self.phase_names if self.can_replan or self.demand.workload.phases else None

    def change(self, rate: PerSecond, duration: Seconds) -> Seconds:
        """
        Ask at another rate from a whole second on, in the same run; from which one. Raises UsageError.

        *duration* is that of the whole run. The second is far enough ahead for whoever sends to have heard of it.
        """
        course, book = self.run, self.writer
        if course is None or book is None or not self.running or self._stopping or course.now() < 0:
            raise UsageError("expected a run under way, found none")
        start = float(int(course.now() + self.REPLAN_NOTICE) + 1)
        # Whoever sends must have something left to send by then, or it is done and does not listen.
        if course.ending is not Ending.COMPLETED or len(self.plan) - bisect_left(self.plan, start) < self.users():
            raise UsageError("expected a run that still starts requests, found one that only awaits answers")
        rate_change = RateChange(start=start, rate=rate, duration=duration)
        demand, plan = apply_rate_change(self.demand, self.plan, rate_change)
        apply_limits(demand, self.limits)
        self.switch_plan(rate_change, demand, plan)
        book.write_replan(Replan(start=start, settings=demand.settings(plan)))
        self.demand, self.plan = demand, plan
        return start

    def switch_plan(self, rate_change: RateChange, demand: Demand, plan: array[float]) -> None:
        """Have another plan sent. Raises UsageError where it is too late for that."""
        raise NotImplementedError

    def report_usage_error(self, mistake: str) -> None:
        """Say what was asked wrongly; leave, unless somebody may ask again."""
        if not self.options.headless:
            logging.getLogger("chainproof").error(mistake)  # where the page shows it
        else:
            print(f"chainproof loadtests: {mistake}", file=sys.stderr)
            self.environment.process_exit_code = ExitCode.USAGE
            self._asked_wrongly = True
            gevent.spawn(self.quit_locust)

    def exit_code(self) -> int:
        """How the process ends: a completed run by its verdict, unless our own command stands by to report it."""
        if self._asked_wrongly:
            return ExitCode.USAGE
        code = super().exit_code()
        if code != ExitCode.PASS or self.writer is None or self.options.until_eof or not self.options.headless:
            return code
        from chainproof.judgement.load_summary import summarise_load  # noqa: PLC0415  # heavy: only when a run has ended

        return verdict.EXIT_CODE_OF[summarise_load(read_run(self.writer.path)).verdict]

    def open_run_folder(self, settings: RunSettings) -> TotalsWriter:
        """Make the run folder."""
        demand, chosen, started = self.demand, self.endpoint, utc_timestamp()
        own = [name for kind in self.environment.user_classes for name in getattr(kind, "payload_sources", list)()]
        if own:
            settings |= as_settings(payloads=own)
        out = (
            Path(self.options.out)
            if self.options.out
            else default_run_path(demand.workload.name, chosen.target, started)
        )
        manifest = Manifest(
            kind=RunKind.LOAD,
            name=demand.workload.name,
            started=started,
            target=chosen.target.url,
            emulated=chosen.target.emulated,
            contract=demand.contract.value,
            seed=demand.seed,
            settings=settings | chosen.settings | self.limits.settings(),
            objectives=tuple(objective.text for objective in demand.workload.objectives),
            versions=versions("locust", "gevent", "httptools", "orjson"),
        )
        self.writer = TotalsWriter(RunWriter(out, manifest))
        return self.writer

    def follow(self, course: BaseRun) -> None:
        """Show where a run stands, see it to its end, then let Locust end."""
        gevent.spawn(show_progress, course, overwrite=self.options.overwrite_progress)
        book = self.writer
        assert book is not None
        start_guards(course, lambda: book.cumulative, self.limits, lambda: len(self.plan))
        gevent.spawn(self._see_to_the_end, course)

    def _see_to_the_end(self, course: BaseRun) -> None:
        course.supervise()
        if self.options.headless or self._signals:
            self.environment.process_exit_code = self.exit_code()
            self.quit_locust()
        elif not self._stopping:
            self.runner.stop()

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


class LocalSession(WriterSession):
    """
    A process that sends the requests and writes the folder.
    """

    def prepare(self) -> None:
        """Draw the plan and make the run folder."""
        self.apply_options()
        plan = self.plan = self.demand.plan()
        self._recorder = Recorder(
            self.open_run_folder(self.demand.settings(plan)),
            contract=self.demand.contract,
            seed=self.demand.seed,
            phase_of=self.phase_of,
            has_output_schema=self.demand.output is not None,
            has_user_check=self.demand.check is not None,
        )

    def begin(self) -> None:
        """Start the run."""
        run = LoadRun(
            self.demand,
            self.plan,
            self.endpoint,
            self._recorder,
            variable=self.options.api_key_env,
            listener=LocustStats(self.environment, self.endpoint),
            unhandled_error=unhandled_error,
        )
        self.run = run
        freeze_garbage_collector()
        run.begin()
        gevent.spawn(run.flush_every_second)
        gevent.spawn(monitor_generator, run)
        self.follow(run)

    def switch_plan(self, rate_change: RateChange, demand: Demand, plan: array[float]) -> None:
        """Have another plan sent by this process."""
        assert self.load_run is not None
        before, self.phase_names.workload = self.phase_names.workload, demand.workload
        try:
            self.load_run.replan(demand, plan, rate_change.start)
        except ReplanTooLate as late:
            self.phase_names.workload = before
            raise UsageError(f"no other plan can begin: {late}") from None


def _of_model(classes: list[type[User]], model: WorkloadModel) -> list[type[User]]:
    """
    The user classes of a model: those that others are made from are set aside too, being there to be built on.

    Raises UsageError when there is none, or more than one dispatcher.
    """
    those = [kind for kind in classes if getattr(kind, "model", model) is model]
    made = [kind for kind in those if not any(other is not kind and issubclass(other, kind) for other in those)]
    if not made:
        raise UsageError(
            f"expected a user of the {model} model in the locustfile, found none: import one, or choose --model"
        )
    if model is WorkloadModel.OPEN and len(made) > 1:
        names = ", ".join(kind.__name__ for kind in made)
        raise UsageError(f"expected one user of the open model, found {names}: name one on Locust's command line")
    return made


def freeze_garbage_collector() -> None:
    """
    Let what is loaded by now stay: without this, collecting garbage walks through all of Locust every few seconds.
    """
    gc.collect()
    gc.freeze()


def unhandled_error() -> str:
    """
    What Locust noticed of failures that nobody else will speak of; empty when there were none.
    """
    return "a listener or a greenlet raised, see stderr" if log.unhandled_greenlet_exception else ""


def add_listener(hook: EventHook, listener: EventListener) -> None:
    """
    Have a listener called with every event of a hook.
    """
    hook.add_listener(listener)  # type: ignore[no-untyped-call]  # Locust's hooks carry no types


_SESSIONS: WeakKeyDictionary[Environment, Session] = WeakKeyDictionary()


def open_session(environment: Environment, make: Callable[[Environment], Session]) -> Session:
    """
    Make Locust's environment a session of ours, or leave with what was asked wrongly in one line.
    """
    try:
        session = make(environment)
        session.attach()
    except UsageError as mistake:
        print(f"chainproof loadtests: {mistake}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    _SESSIONS[environment] = session
    return session


def session_of(environment: Environment) -> Session:
    """
    The session of an environment.
    """
    return _SESSIONS[environment]
