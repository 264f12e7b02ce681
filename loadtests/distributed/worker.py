"""
The worker of a distributed run: it sends its share of the requests, and reports the results once a second.

It needs only Locust's `--worker` and the API key in its environment; the master sends everything else. It stops when the
master is silent or its parent process has ended, since its results would be lost.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import gevent
from locust.env import Environment

from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.endpoint import EMULATED_VARIABLE, Endpoint, open_endpoint
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.options import TARGET_VARIABLE
from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, RunEnd
from chainproof.workload.arrivals import digest

from ..client.preflight import check_handshake
from ..demand import validate_check
from ..engine.load_run import LoadRun
from ..engine.rate_change import PhaseNames, RateChange, apply_rate_change
from ..engine.self_monitor import monitor_generator
from ..locust_arguments import given_options
from ..recording.recorder import Recorder
from .locust_stats import LocustStats
from .messages import (
    BEGIN,
    CHANGE_PLAN,
    HALT,
    PREPARE,
    READY,
    REPORT,
    Assignment,
    ReadyMessage,
    WorkerReport,
    start_delay,
)
from .session import Session, abort_on_error, add_listener, freeze_garbage_collector, unhandled_error
from .transport import LISTENING, print_message

MASTER_TIMEOUT: Seconds = 10.0
"""A master that is silent for this long is gone: it answers Locust's heartbeat every second."""


class ReportSender:
    """A sink that collects a worker's results and sends them to the master in numbered reports."""

    def __init__(self, run: str, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._report = WorkerReport(run=run, number=0)

    def write_interval(self, interval: Interval) -> None:
        """Add one second, or a part of it."""
        self._report.intervals.append(interval)
        self._report.complete_until = max(self._report.complete_until, float(interval.second + 1))

    def write_exemplar(self, exemplar: Exemplar) -> None:
        """Add an exemplar."""
        self._report.exemplars.append(exemplar)

    def write_finding(self, finding: Finding) -> None:
        """Add a finding, or its new count."""
        self._report.findings.append(finding)

    def write_clause(self, count: ClauseCount) -> None:
        """Add the counts of a clause."""
        self._report.clauses.append(count)

    def write_requests(self, rows: Sequence[str]) -> None:
        """Add rows of recorded requests."""
        self._report.requests += rows

    def finish(self, end: RunEnd) -> None:
        """Send the last report, with how the run ended."""
        self._report.end = end
        self._report.accounting = end.accounting
        self._report.in_flight = 0
        self._send(self._report.encode())

    def post(self, recorder: Recorder) -> None:
        """Send a report of what was added since the last one."""
        report = self._report
        report.accounting = recorder.accounting.to_json()
        report.in_flight = recorder.in_flight
        report.clauses = list(recorder.clauses)
        report.request_ids = recorder.new_request_ids()
        self._send(report.encode())
        self._report = WorkerReport(run=report.run, number=report.number + 1, complete_until=report.complete_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """An assignment with everything that is prepared for it."""

    assignment: Assignment
    plan: array[float]
    endpoint: Endpoint


class Worker(Session):
    """The session of a worker."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._prepared: PreparedRun | None = None
        self._phase_names: PhaseNames | None = None
        self._parent = os.getppid()
        self._last_heartbeat = time.monotonic()
        unused = given_options(self.options)
        if unused and not self.options.processes:  # a forked worker has the options of its master
            print_message(f"a worker does not use {', '.join(unused)}: its master decides")

    def attach(self) -> None:
        """Also listen to the master's messages."""
        super().attach()
        for kind, listener in (
            (PREPARE, self.on_prepare),
            (BEGIN, self.on_begin),
            (HALT, self.on_halt),
            (CHANGE_PLAN, self.on_change_plan),
        ):
            self.runner.register_message(kind, listener)
        add_listener(self.environment.events.heartbeat_received, self.on_heartbeat)
        LISTENING.set()
        gevent.spawn(self._watch_master)

    # ------------------------------------------------------------------ messages of the master

    @abort_on_error
    def on_prepare(self, msg: Any, **_: Any) -> None:
        """Prepare for an assignment, and answer whether that worked."""
        assignment = Assignment.decode(msg.data)
        plan_digest, error = "", ""
        self._prepared = None
        self._closing.close()
        try:
            endpoint = self._closing.enter_context(_endpoint(assignment))
            check_handshake(endpoint)
            validate_check(assignment.demand.check)
        except UsageError as usage_error:
            error = str(usage_error)
            if not self.options.processes:  # then the master shares our terminal
                print_message(error)
        else:
            plan = assignment.demand.plan(pause=lambda: gevent.sleep(0))
            plan_digest = digest(plan)
            if assignment.duet_side is not None:
                plan = assignment.demand.plan_of_side(plan, assignment.duet_side)
            self._prepared = PreparedRun(assignment=assignment, plan=plan, endpoint=endpoint)
        ready = ReadyMessage(run=assignment.run, digest=plan_digest, pid=os.getpid(), error=error)
        self.runner.send_message(READY, ready.encode())

    @abort_on_error
    def on_begin(self, msg: Any, **_: Any) -> None:
        """Begin the run at the wall-clock time that the master chose."""
        message = msg.data
        prepared = self._prepared
        if prepared is None or prepared.assignment.run != message["run"]:
            return
        assignment, self._signals = prepared.assignment, 0
        sender = ReportSender(assignment.run, lambda octets: self.runner.send_message(REPORT, octets))
        demand = assignment.demand
        self._phase_names = PhaseNames(demand.workload) if assignment.can_change_plan else None
        recorder = Recorder(
            sender,
            contract=demand.contract,
            seed=demand.seed,
            worker=str(assignment.shard.index),
            phase_of=self._phase_names or (demand.workload.phase_at if demand.workload.phases else None),
            has_output_schema=demand.output is not None,
            has_user_check=demand.check is not None,
            record_requests=demand.record_requests,
            on_flush=sender.post,
        )
        run = LoadRun(
            demand,
            prepared.plan,
            prepared.endpoint,
            recorder,
            variable=message["variable"],
            shard=assignment.shard,
            listener=LocustStats(self.environment, prepared.endpoint),
            unhandled_error=unhandled_error,
        )
        freeze_garbage_collector()
        self.run = run
        run.begin(time.monotonic() + start_delay(message["start_time"], time.time(), message["notice"]))
        gevent.spawn(run.flush_every_second)
        gevent.spawn(monitor_generator, run)
        gevent.spawn(self._supervise, run)

    def _supervise(self, run: LoadRun) -> None:
        """Wait for the end of a run, and leave after a signal."""
        run.supervise()
        if self._signals:
            self.quit_locust()

    @abort_on_error
    def on_change_plan(self, msg: Any, **_: Any) -> None:
        """Switch to a new plan. A change that arrives too late is an internal error."""
        message, prepared = msg.data, self._prepared
        if (
            prepared is None
            or prepared.assignment.run != message["run"]
            or self.load_run is None
            or self._phase_names is None
        ):
            return
        rate_change = RateChange(start=message["start"], rate=message["rate"], duration=message["duration"])
        demand, plan = apply_rate_change(self.load_run.demand, prepared.plan, rate_change)
        if self.load_run.finished or self.load_run.ending is not Ending.COMPLETED:
            return
        self._phase_names.workload = demand.workload
        self.load_run.change_plan(demand, plan, rate_change.start)
        self._prepared = replace(prepared, plan=plan)

    @abort_on_error
    def on_halt(self, msg: Any, **_: Any) -> None:
        """Stop, interrupt or censor the run, as the master orders."""
        if self.run is not None:
            {"stop": self.run.stop, "interrupt": self.run.interrupt, "censor": self.run.censor}[msg.data]()

    def on_heartbeat(self, **_: Any) -> None:
        """Note that the master is alive."""
        self._last_heartbeat = time.monotonic()

    # ------------------------------------------------------------------ from beginning to end

    def begin(self) -> None:
        """Do nothing: the master's message begins the run."""

    def exit_code(self) -> int:
        """The exit code: 70 after an internal error, else 0, since the master reports the rest."""
        broken = self.run is not None and self.run.ending is Ending.INTERNAL_ERROR
        return ExitCode.SOFTWARE if broken else ExitCode.PASS

    def _watch_master(self) -> None:
        """Stop when the master or the parent process is gone."""
        while os.getppid() == self._parent and time.monotonic() - self._last_heartbeat < MASTER_TIMEOUT:
            gevent.sleep(1.0)
        if self.run is not None:
            self.run.interrupt()
            self.run.wait()
        self.quit_locust()


def _endpoint(assignment: Assignment) -> AbstractContextManager[Endpoint]:
    """The endpoint of an assignment, with the API key of this process. Raises UsageError."""
    if not assignment.emulated:
        return open_endpoint(assignment.target)
    assert assignment.target.url is not None
    emulator = {
        TARGET_VARIABLE: assignment.target.url,
        EMULATED_VARIABLE: "1",
        DEFAULT_KEY_VARIABLE: EMULATOR_KEY,
    }
    return open_endpoint(replace(assignment.target, url=None), environment={**os.environ, **emulator})
