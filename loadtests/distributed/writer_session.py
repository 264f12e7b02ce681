"""The session of a Locust process that writes run folders: a local process, or a master whose workers send the requests."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from abc import abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import gevent
from gevent.event import AsyncResult
from locust.env import Environment

from chainproof.clock import PerSecond, Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE
from chainproof.endpoint import Endpoint, open_endpoint
from chainproof.errors import UsageError
from chainproof.hardware import this_machine
from chainproof.judgement.verdict import ExitCode
from chainproof.processes import chainproof_command, piped_environment
from chainproof.results.manifest import (
    Ending,
    Manifest,
    PlanChange,
    RunKind,
    RunSettings,
    Series,
    SeriesKind,
    Side,
    as_settings,
    versions,
)
from chainproof.results.run_writer import RunWriter, check_writable, create_run_folder, utc_timestamp
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import WorkloadModel

from ..client.preflight import check_handshake
from ..demand import Demand, demand
from ..engine.base_run import BaseRun
from ..engine.guards import start_guards
from ..engine.load_run import LoadRun, PlanChangeTooLate
from ..engine.rate_change import PhaseNames, RateChange, apply_rate_change
from ..engine.self_monitor import monitor_generator
from ..limits import Limits, announcement, apply_limits, limits
from ..locust_arguments import requested_target
from ..recording.recorder import Recorder
from ..recording.totals_writer import TotalsWriter
from .locust_stats import LocustStats
from .session import Session, freeze_garbage_collector, unhandled_error
from .transport import print_message
from .user_classes import classes_of_model, hosts_of, with_class_host


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedOptions:
    """What the options of a run ask for, checked and with its target open."""

    demand: Demand
    requested: TargetOptions
    endpoint: Endpoint
    limits: Limits
    closing: ExitStack | None
    """Closes the endpoint; None if it is the one that the session has."""


class WriterSession(Session):
    """A session that writes run folders: a local process or a master."""

    PLAN_CHANGE_NOTICE: ClassVar[Seconds] = 0.5
    """Minimum time between the announcement of a new plan and its first request."""

    def __init__(self, environment: Environment) -> None:
        """Check everything that can be checked before a run. Raises UsageError."""
        super().__init__(environment)
        self.writer: TotalsWriter | None = None
        """The writer of the current run folder, or of the last one."""
        if environment.shape_class is not None:
            raise UsageError(
                f"expected no load shape, found {type(environment.shape_class).__name__}: chainproof plans the load; describe "
                "it with phases in a workload file (--workload FILE.toml)"
            )
        self._user_classes = list(environment.user_classes)
        self._hosts = hosts_of(self._user_classes)
        # Locust replaces None by a number of its own later.
        self.requested_users: int | None = self.options.num_users
        self._requested: TargetOptions | None = None
        self._host: str | None = None
        """The host that Locust shows."""
        self.start_error = ""
        """Why the last run could not start."""
        self.zero: Seconds | None = None
        """Second 0 of the run, on the monotonic clock; None: as soon as it can begin."""
        self._summary: subprocess.CompletedProcess[str] | None = None
        """The summary of the finished run, and as exit code that of its verdict."""
        self._begin_instant: AsyncResult[Seconds] = AsyncResult()
        """Second 0 of a run of a duet, from the standard input."""
        series = self.options.series_json
        self.series = None if series is None else Series.from_json(json.loads(series))
        self._start = self.runner.start
        self.plan: array[float] = array("d")
        """The intended starts of the current run, or of the last one."""
        self.phase_names: PhaseNames
        self.demand: Demand
        self.endpoint: Endpoint
        self.limits: Limits
        self.apply_options()

    def check(self) -> tuple[Demand, TargetOptions]:
        """The demand and target of the current options. Changes nothing. Raises UsageError."""
        if self.options.out:
            check_writable(Path(self.options.out))
        requested_demand, target = demand(self.options, self.requested_users), requested_target(self.options)
        classes = classes_of_model(self._user_classes, requested_demand.workload.model)
        return requested_demand, with_class_host(target, self._hosts, classes, is_child=self.options.until_eof)

    def apply_options(self) -> None:
        """Set demand, endpoint, limits and users from the options, between two runs. Raises UsageError."""
        self._adopt_host()
        self.adopt(self.prepared())

    def prepared(self) -> ResolvedOptions:
        """What the current options ask for, with its target open. Changes nothing in the session. Raises UsageError."""
        requested_demand, requested = self.check()
        with ExitStack() as closing:
            if requested == self._requested:
                endpoint, kept = self.endpoint, None
            else:
                endpoint = closing.enter_context(open_endpoint(requested))
                check_handshake(endpoint)
                kept = closing
            run_limits = limits(self.options, endpoint)
            return ResolvedOptions(
                demand=apply_limits(requested_demand, run_limits),
                requested=requested,
                endpoint=endpoint,
                limits=run_limits,
                closing=kept and kept.pop_all(),
            )

    def adopt(self, prepared: ResolvedOptions) -> None:
        """Use a prepared demand, endpoint and limits. The former target is closed if it is another."""
        if prepared.closing is not None:
            self._closing.close()
            self._closing = prepared.closing
        self._requested, self.endpoint = prepared.requested, prepared.endpoint
        self.demand, self.limits = prepared.demand, prepared.limits
        self.environment.user_classes = classes_of_model(self._user_classes, self.demand.workload.model)
        self.environment.host = self._host = self.endpoint.target.origin

    def _adopt_host(self) -> None:
        """Take the target from Locust's environment if a listener of the locustfile set it. Raises UsageError."""
        host = self.environment.host
        if host and host != self._host:
            if self.options.target not in (None, host):
                raise UsageError(
                    f"expected one target, found {self.options.target} and, as environment.host, {host}; leave one out"
                )
            self.options.target = host

    def attach(self) -> None:
        """Replace Locust's start of users: the run is prepared first, and it sets their number."""
        super().attach()
        self.runner.start = self.start
        if self.options.until_eof:
            gevent.spawn(self._await_eof)

    def users(self) -> int:
        """The number of Locust users for the run."""
        work = self.demand.workload
        return work.users if work.model is WorkloadModel.CLOSED else 1

    def start(self, user_count: int, spawn_rate: float, **_: Any) -> None:
        """Start a run; this replaces Locust's start of users."""
        del user_count, spawn_rate  # our options determine the run
        if self._is_quitting:
            return
        if self.running:
            print("chainproof loadtests: the users of a run cannot be changed; nothing was changed", file=sys.stderr)
            return
        try:
            self.run = None  # a second test in the same process must not see the first run
            self.prepare()
            self.zero = None if self.duet_side is None else self._begin_instant.get()
        except UsageError as error:
            self.report_usage_error(str(error))
        except Exception as error:  # noqa: BLE001  # there is no run to record it
            self.abort_on(error)
        else:
            if self.limits.is_remote:
                text = announcement(self.demand.workload, len(self.plan), self.endpoint.target.url, self.limits)
                print_message(text)
            users = self.users()
            if self.options.headless:  # Locust puts these into the name of its --html file
                self.options.num_users, self.options.run_time = users, self.demand.workload.duration
            self._start(users, float(users))

    @abstractmethod
    def prepare(self) -> None:
        """Do everything that takes time before a run. Raises UsageError."""

    @property
    def duet_side(self) -> Side | None:
        """The side of a duet whose requests this run sends; None if it is not one of a duet."""
        return None if self.series is None or self.series.kind is not SeriesKind.DUET else self.series.side

    @property
    def key_variable(self) -> str:
        """The variable in which processes of the run find the API key. The emulator's key is in the default variable."""
        assert self._requested is not None
        return DEFAULT_KEY_VARIABLE if self.endpoint.target.emulated else self._requested.key_variable

    @property
    def can_change_plan(self) -> bool:
        """Whether a run can get a new plan: only the open model has one, and only the web UI can change it."""
        return self.environment.web_ui is not None and self.demand.workload.model is WorkloadModel.OPEN

    @property
    def rate(self) -> PerSecond:
        """The planned requests per second at the end of the plan."""
        work = self.demand.workload
        return work.phases[-1].final_rate if work.phases else work.rate

    @property
    def phase_of(self) -> Callable[[Seconds], str | None] | None:
        """A function that names the phase of an intended start; None if there can be no phases."""
        self.phase_names = PhaseNames(self.demand.workload)
        return self.phase_names if self.can_change_plan or self.demand.workload.phases else None

    def change(self, rate: PerSecond, duration: Seconds) -> Seconds:
        """
        Change the rate of the current run. Returns the whole second from which it applies. Raises UsageError.

        *duration* is that of the whole run. The second is far enough ahead for the new plan to reach every worker.
        """
        run, writer = self.run, self.writer
        if run is None or writer is None or not self.running or self._stopping or run.now() < 0:
            raise UsageError("expected a current run, found none; start one first")
        start = float(int(run.now() + self.PLAN_CHANGE_NOTICE) + 1)
        # A process with no request left to send by then has finished its plan and takes no new one.
        if run.ending is not Ending.COMPLETED or len(self.plan) - bisect_left(self.plan, start) < self.users():
            raise UsageError("expected a run that still starts requests, found one that only waits for answers")
        rate_change = RateChange(start=start, rate=rate, duration=duration)
        demand, plan = apply_rate_change(self.demand, self.plan, rate_change)
        apply_limits(demand, self.limits)
        self.switch_plan(rate_change, demand, plan)
        writer.write_plan_change(PlanChange(start=start, settings=demand.settings(plan)))
        self.demand, self.plan = demand, plan
        return start

    @abstractmethod
    def switch_plan(self, rate_change: RateChange, demand: Demand, plan: array[float]) -> None:
        """Switch to a new plan. Raises UsageError if it is too late."""

    def report_usage_error(self, message: str) -> None:
        """Show a usage error. Without a web UI the process ends."""
        self.start_error = message
        if not self.options.headless:
            logging.getLogger("chainproof").error(message)  # the web UI shows it
        else:
            self.end_with_usage_error(message)

    def exit_code(self) -> int:
        """The exit code: that of the verdict, unless `chainproof loadtests` is the parent and reports the verdict."""
        code = super().exit_code()
        if self._has_usage_error or self.writer is None or not self._shows_verdict:
            return code
        verdict = self._summarise(self.writer.path).returncode
        return verdict if code == ExitCode.PASS else code

    def _summarise(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """The report of the last run for the terminal, made once."""
        if not self._summary:
            self._summary = subprocess.run(
                chainproof_command("reports", str(folder)),
                env=piped_environment(),
                stdout=subprocess.PIPE,
                encoding="utf-8",
                check=False,
            )
        return self._summary

    @property
    def _shows_verdict(self) -> bool:
        """Whether this process ends with its run and nobody else shows the verdict."""
        return not self.options.until_eof and (self.options.headless or self._quits_after_run)

    @property
    def _quits_after_run(self) -> bool:
        """Whether Locust's options ask the web page to end some time after its run."""
        return bool(self.options.autostart) and self.options.autoquit >= 0

    def on_quit(self, **event: Any) -> None:
        """Show the verdict and the run folder of the last run, below Locust's own tables."""
        super().on_quit(**event)
        if self.writer is not None and not self.options.until_eof and not self._has_usage_error:
            # With --json, Locust's standard output is JSON and nothing else.
            stream = sys.stderr if self.options.json else sys.stdout
            print(f"{self._summarise(self.writer.path).stdout}run folder: {self.writer.path}", file=stream, flush=True)

    def open_run_folder(self, settings: RunSettings) -> TotalsWriter:
        """Create the run folder."""
        demand, endpoint, started = self.demand, self.endpoint, utc_timestamp()
        sources = [name for kind in self.environment.user_classes for name in getattr(kind, "payload_sources", list)()]
        if sources:
            settings |= as_settings(payloads=sources)
        if self.options.label:
            settings |= as_settings(label=self.options.label)
        out = Path(self.options.out) if self.options.out else create_run_folder(demand.workload.name, endpoint.target)
        manifest = Manifest(
            kind=RunKind.LOAD,
            name=demand.workload.name,
            started=started,
            target=endpoint.target.url,
            emulated=endpoint.target.emulated,
            contract=demand.contract.value,
            seed=demand.seed,
            settings=settings | endpoint.settings | self.limits.settings(),
            objectives=tuple(objective.text for objective in demand.workload.objectives),
            versions=versions("locust", "gevent", "httptools", "orjson"),
            hardware=this_machine(),
            series=self.series,
        )
        self.writer = TotalsWriter(RunWriter(out, manifest), manifest)
        return self.writer

    def follow(self, run: BaseRun) -> None:
        """Apply the guards of a run, and end Locust after it."""
        writer = self.writer
        assert writer is not None
        start_guards(run, lambda: writer.cumulative, self.limits, lambda: len(self.plan))
        gevent.spawn(self._supervise, run)

    def _supervise(self, run: BaseRun) -> None:
        run.supervise()
        if self.options.headless or self._signals:
            self.quit_locust()
        elif not self._stopping:
            self.runner.stop()
            if self._quits_after_run:
                gevent.sleep(self.options.autoquit)
                self.quit_locust()

    def _await_eof(self) -> None:
        """Handle the end of standard input like a signal, and a line as the instant to begin."""
        hub = gevent.get_hub()
        watcher = hub.loop.io(sys.stdin.fileno(), 1)
        hub.wait(watcher)
        while line := os.read(sys.stdin.fileno(), 1024):
            if self.duet_side is not None:
                self._begin_instant.set(float(line))
            hub.wait(watcher)
        watcher.close()
        self.on_signal()


class LocalSession(WriterSession):
    """The session of a process that sends the requests and writes the run folder."""

    def prepare(self) -> None:
        """Draw the plan and create the run folder."""
        self.apply_options()
        plan = self.plan = self.demand.plan()
        self._recorder = Recorder(
            self.open_run_folder(self.demand.settings(plan)),
            contract=self.demand.contract,
            seed=self.demand.seed,
            phase_of=self.phase_of,
            has_output_schema=self.demand.output is not None,
            has_user_check=self.demand.check is not None,
            record_requests=self.demand.record_requests,
        )
        if self.duet_side is not None:
            self.plan = self.demand.plan_of_side(plan, self.duet_side)

    def begin(self) -> None:
        """Start the run."""
        run = LoadRun(
            self.demand,
            self.plan,
            self.endpoint,
            self._recorder,
            variable=self.key_variable,
            listener=LocustStats(self.environment, self.endpoint),
            unhandled_error=unhandled_error,
        )
        self.run = run
        freeze_garbage_collector()
        run.begin(self.zero)
        gevent.spawn(run.flush_every_second)
        gevent.spawn(monitor_generator, run)
        self.follow(run)

    def switch_plan(self, rate_change: RateChange, demand: Demand, plan: array[float]) -> None:
        """Switch this process to a new plan."""
        assert self.load_run is not None
        before, self.phase_names.workload = self.phase_names.workload, demand.workload
        try:
            self.load_run.change_plan(demand, plan, rate_change.start)
        except PlanChangeTooLate as late:
            self.phase_names.workload = before
            raise UsageError(f"the plan cannot change now: {late}") from None
