"""
A worker: it sends its share of a master's run, and reports what it saw once a second.

It needs nothing but Locust's `--worker` and the API key in its environment: what to run, it is told. When the master
falls silent or the parent process is gone, it stops: nobody would know of its requests.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gevent
from locust.env import Environment

from chainproof.clock import Seconds
from chainproof.command import TARGET_VARIABLE, add_target_options, wanted
from chainproof.contract.credentials import DEFAULT_VARIABLE, EMULATOR_KEY
from chainproof.endpoint import EMULATED_VARIABLE, Endpoint, endpoint
from chainproof.judgement.verdict import Exit
from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.interval import Interval
from chainproof.results.manifest import End, Ending
from chainproof.workload.arrivals import digest

from ..client.preflight import check_handshake
from ..demand import look_up
from ..engine.load_run import LoadRun
from ..engine.replan import Naming, Renewal, renewed
from ..engine.self_monitor import attend
from ..recording.recorder import Recorder
from .locust_stats import Tables
from .messages import BEGIN, HALT, PREPARE, READY, REPLAN, REPORT, Order, Readiness, Report
from .session import MISTAKES, Session, guarded, listen, settle_memory, trouble

FORSAKEN: Seconds = 10.0
"""A master that was not heard for so long is gone: it answers Locust's heartbeat every second."""


_PR_SET_PDEATHSIG = 1


class Post:
    """
    A worker's record on its way to the master: kept until it is posted, posted in numbered reports.
    """

    def __init__(self, run: str, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._report = Report(run=run, number=0)

    def interval(self, interval: Interval) -> None:
        """Keep one second, or a part of it."""
        self._report.intervals.append(interval)
        self._report.until = max(self._report.until, float(interval.second + 1))

    def exemplar(self, exemplar: Exemplar) -> None:
        """Keep one exchange."""
        self._report.exemplars.append(exemplar)

    def finding(self, finding: Finding) -> None:
        """Keep a finding, or its newer count."""
        self._report.findings.append(finding)

    def clause(self, count: ClauseCount) -> None:
        """Keep how often a clause was put to the test."""
        self._report.clauses.append(count)

    def finish(self, end: End) -> None:
        """Post all that is left, and the end."""
        self._report.end = end
        self._report.accounting = end.accounting
        self._report.in_flight = 0
        self._send(self._report.encoded())

    def post(self, recorder: Recorder) -> None:
        """Post what was kept."""
        report = self._report
        report.accounting = recorder.accounting.to_json()
        report.in_flight = recorder.in_flight
        report.clauses = list(recorder.clauses)
        report.request_ids = recorder.new_request_ids()
        self._send(report.encoded())
        self._report = Report(run=report.run, number=report.number + 1, until=report.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """
    An order that can be carried out.
    """

    order: Order
    plan: array[float]
    endpoint: Endpoint


class Worker(Session):
    """
    A process that sends a share of a run's requests.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._prepared: Prepared | None = None
        self._naming: Naming | None = None
        self._parent = os.getppid()
        self._heard = time.monotonic()

    def attach(self) -> None:
        """Listen to the master too."""
        super().attach()
        for kind, listener in (
            (PREPARE, self.on_prepare),
            (BEGIN, self.on_begin),
            (HALT, self.on_halt),
            (REPLAN, self.on_replan),
        ):
            self.runner.register_message(kind, listener)
        listen(self.environment.events.heartbeat_received, self.on_heartbeat)
        gevent.spawn(self._look_after_the_master)

    # ------------------------------------------------------------------ what the master says

    @guarded
    def on_prepare(self, msg: Any, **_: Any) -> None:
        """Get ready for a share of a run, or say why not."""
        order = Order.decoded(msg.data)
        drawn, mistake = "", ""
        self._prepared = None
        self._closing.close()
        try:
            chosen = self._closing.enter_context(_endpoint(order))
            check_handshake(chosen)
            look_up(order.demand.check)
        except MISTAKES as wrong:
            mistake = str(wrong)
        else:
            plan = order.demand.plan(pause=lambda: gevent.sleep(0))
            drawn = digest(plan)
            self._prepared = Prepared(order=order, plan=plan, endpoint=chosen)
        ready = Readiness(run=order.run, digest=drawn, process=os.getpid(), mistake=mistake)
        self.runner.send_message(READY, ready.encoded())

    @guarded
    def on_begin(self, msg: Any, **_: Any) -> None:
        """Let second 0 be the instant that the master named by the clock on the wall."""
        said = msg.data
        prepared = self._prepared
        if prepared is None or prepared.order.run != said["run"]:
            return
        order, self._signals = prepared.order, 0
        post = Post(order.run, lambda octets: self.runner.send_message(REPORT, octets))
        demand = order.demand
        self._naming = Naming(demand.workload) if order.changeable else None
        recorder = Recorder(
            post,
            contract=demand.contract,
            seed=demand.seed,
            worker=str(order.share.index),
            phase_of=self._naming or (demand.workload.phase_at if demand.workload.phases else None),
            shaped=demand.output is not None,
            checked=demand.check is not None,
            flushed=post.post,
        )
        run = LoadRun(
            demand,
            prepared.plan,
            prepared.endpoint,
            recorder,
            variable=said["variable"],
            share=order.share,
            listener=Tables(self.environment, prepared.endpoint),
            trouble=trouble,
        )
        settle_memory()
        self.course = run
        run.begin(time.monotonic() + said["zero"] - time.time())
        gevent.spawn(run.flush_every_second)
        gevent.spawn(attend, run)
        gevent.spawn(run.supervise)

    @guarded
    def on_replan(self, msg: Any, **_: Any) -> None:
        """Ask by another plan from an instant on; the run is broken where that has passed."""
        said, prepared = msg.data, self._prepared
        if prepared is None or prepared.order.run != said["run"] or self.load is None or self._naming is None:
            return
        renewal = Renewal(start=said["start"], rate=said["rate"], duration=said["duration"])
        demand, plan = renewed(self.load.demand, prepared.plan, renewal)
        if self.load.finished or self.load.ending is not Ending.COMPLETED:
            return
        self._naming.workload = demand.workload
        self.load.replan(demand, plan, renewal.start)
        self._prepared = replace(prepared, plan=plan)

    @guarded
    def on_halt(self, msg: Any, **_: Any) -> None:
        """Stop as the master was asked to."""
        if self.course is not None:
            {"stop": self.course.stop, "interrupt": self.course.interrupt, "censor": self.course.censor}[msg.data]()

    def on_heartbeat(self, **_: Any) -> None:
        """The master is there."""
        self._heard = time.monotonic()

    # ------------------------------------------------------------------ from beginning to end

    def begin(self) -> None:
        """Nothing: the master's word began it."""

    def exit_code(self) -> int:
        """What went wrong is the master's to tell, unless it is our own error."""
        broken = self.course is not None and self.course.ending is Ending.BROKEN
        return Exit.SOFTWARE if broken else Exit.PASS

    def _look_after_the_master(self) -> None:
        """
        Stop when there is nobody any more to report to.
        """
        while os.getppid() == self._parent and time.monotonic() - self._heard < FORSAKEN:
            gevent.sleep(1.0)
        if self.course is not None:
            self.course.interrupt()
            self.course.wait()
        self.leave()


def end_with_parent() -> None:
    """
    Have the kernel tell this process when its parent has gone, where the kernel is Linux.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _endpoint(order: Order) -> Any:
    """
    The endpoint of an order, with this process's own key. Raises one of MISTAKES.
    """
    parser = argparse.ArgumentParser()
    add_target_options(parser)
    asked = replace(wanted(parser.parse_args(order.words)), url=None if order.emulated else order.target)
    environment = dict(os.environ)
    if order.emulated:
        environment |= {TARGET_VARIABLE: order.target, EMULATED_VARIABLE: "1", DEFAULT_VARIABLE: EMULATOR_KEY}
    return endpoint(asked, environment=environment)
