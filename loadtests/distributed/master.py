"""
A master: it has workers send the requests, and writes what they report.

Every worker gets every n-th request of the plan and draws the whole plan itself; its digest must be the master's. Second
0 is one instant of the clock on the wall. Workers of one machine read one clock; on several machines theirs must agree
(NTP), or the workers' seconds lie beside each other: percentiles and counts do not depend on that.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from array import array
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, ClassVar
from uuid import uuid4

import gevent
from gevent.event import Event
from locust.env import Environment

from chainproof.clock import Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.results.manifest import as_settings
from chainproof.workload.arrivals import digest
from chainproof.workload.workload import WorkloadModel

from ..demand import Demand, Shard
from ..engine.replan import RateChange
from .merge import DistributedRun, WorkerState
from .messages import BEGIN, HALT, PREPARE, READY, REPLAN, REPORT, Assignment, ReadyMessage, WorkerReport
from .session import WriterSession, abort_on_error, freeze_garbage_collector

START_DELAY: Seconds = 1.0
"""From the word to begin to second 0, so that it has reached every worker and every user is there."""
READY_TIMEOUT: Seconds = 60.0
"""For every worker to be ready: it draws the plan, and connects to nobody."""


REJOIN_TIMEOUT: Seconds = 5.0
"""For workers to be ready again after a run."""


class Master(WriterSession):
    """
    A process that has the requests of a run sent, and writes its folder.
    """

    REPLAN_NOTICE: ClassVar[Seconds] = 2.0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._main = gevent.getcurrent()
        self._members: list[WorkerState] = []
        self._ready: dict[str, ReadyMessage] = {}
        self._answered = Event()
        self._run = ""

    def attach(self) -> None:
        """Listen to the workers too."""
        super().attach()
        self.runner.register_message(READY, self.on_ready)
        self.runner.register_message(REPORT, self.on_report)

    def users(self) -> int:
        """One dispatcher per worker in the open model; in the closed one Locust spreads the users."""
        work = self.demand.workload
        return work.users if work.model is WorkloadModel.CLOSED else max(len(self._members), 1)

    # ------------------------------------------------------------------ what the workers say

    @abort_on_error
    def on_ready(self, msg: Any, **_: Any) -> None:
        """A worker has prepared, or cannot."""
        said = ReadyMessage.decode(msg.data)
        if said.run == self._run:
            self._ready[msg.node_id] = said
            self._answered.set()

    @abort_on_error
    def on_report(self, msg: Any, **_: Any) -> None:
        """A worker tells what it saw."""
        report = WorkerReport.decode(msg.data)
        if report.run == self._run and isinstance(self.run, DistributedRun):
            self.run.add_report(msg.node_id, report)

    # ------------------------------------------------------------------ from beginning to end

    def prepare(self) -> None:
        """Draw the plan, have every worker draw it too, and share it out."""
        self.apply_options()
        self._await_return()
        self.plan = self.demand.plan(pause=lambda: gevent.sleep(0))
        self._run = uuid4().hex
        self._ready.clear()
        clients = [client.id for client in self.runner.clients.all if client.state != "missing"]
        clients.sort(key=self.runner.get_worker_index)
        self._members = [
            WorkerState(client=client, shard=Shard(index=index, of=len(clients)))
            for index, client in enumerate(clients)
        ]
        self._check()
        for kind in self.environment.user_classes:
            if self.demand.workload.model is WorkloadModel.OPEN:
                kind.fixed_count = len(clients)
        for worker_state in self._members:
            self.runner.send_message(PREPARE, self._order(worker_state.shard).encode(), worker_state.client)
        self._await_ready()

    def _await_return(self) -> None:
        """
        Wait for those workers that Locust has just had stop: it strikes them off until they are ready again.
        """
        before = sum(not worker_state.lost for worker_state in self._members)
        give_up = time.monotonic() + REJOIN_TIMEOUT
        while len(self.runner.clients.ready) < before and time.monotonic() < give_up:
            gevent.sleep(0.05)

    def _check(self) -> None:
        """
        Raise UsageError when the demand cannot be shared out.
        """
        count, work = len(self._members), self.demand.workload
        if not count:
            raise UsageError(
                "expected a worker that is connected, found none: start some with --worker, or use --processes"
            )
        name, most = (
            ("--max-in-flight", work.max_in_flight) if work.model is WorkloadModel.OPEN else ("--users", work.users)
        )
        if most < count:
            raise UsageError(f"expected {name} of at least {count}, one for each worker, found {most}")

    def _order(self, shard: Shard) -> Assignment:
        """
        What a worker is to do.
        """
        assert self._asked is not None
        return Assignment(
            run=self._run,
            shard=shard,
            demand=self.demand,
            target=replace(self._asked, url=self.endpoint.target.url, key_variable=self._variable),
            emulated=self.endpoint.target.emulated,
            can_replan=self.can_replan,
        )

    @property
    def _variable(self) -> str:
        """
        Where the workers find the key: the emulator's is in the usual variable.
        """
        return DEFAULT_KEY_VARIABLE if self.endpoint.target.emulated else str(self.options.api_key_env)

    def _await_ready(self) -> None:
        """
        Wait for every worker to be ready. Raises UsageError when one is not.
        """
        give_up, wanted = time.monotonic() + READY_TIMEOUT, digest(self.plan)
        while len(self._ready) < len(self._members):
            if time.monotonic() > give_up:
                missing = [
                    worker_state.worker for worker_state in self._members if worker_state.client not in self._ready
                ]
                raise UsageError(f"worker {', '.join(missing)} did not get ready within {READY_TIMEOUT:.0f} s")
            self._answered.wait(1.0)
            self._answered.clear()
        for worker_state in self._members:
            said = self._ready[worker_state.client]
            if said.error:
                raise UsageError(
                    f"worker {worker_state.worker} ({worker_state.client.rpartition('_')[0]}): {said.error}"
                )
            if said.digest != wanted:
                raise UsageError(
                    f"worker {worker_state.worker} drew another plan from the same seed: are its versions of Python and "
                    "chainproof the master's?"
                )
            worker_state.pid = said.pid

    def begin(self) -> None:
        """Make the run folder, and name the instant."""
        settings = self.demand.settings(self.plan) | as_settings(workers=len(self._members))
        gathering = DistributedRun(
            self.demand,
            self.plan,
            self._members,
            self.open_run_folder(settings),
            halt=self._halt,
            terminate_worker=self._let_go,
            phase_of=self.phase_of,
        )
        self.run = gathering
        freeze_garbage_collector()
        zero = time.time() + START_DELAY
        gathering.begin(time.monotonic() + START_DELAY)
        for worker_state in self._members:
            said = {"run": self._run, "start_time": zero, "variable": self._variable}
            self.runner.send_message(BEGIN, said, worker_state.client)
        self.follow(gathering)

    def switch_plan(self, rate_change: RateChange, demand: Demand, plan: array[float]) -> None:
        """Tell every worker of another plan; each draws it for itself."""
        assert isinstance(self.run, DistributedRun)
        said = {"run": self._run, **asdict(rate_change)}
        for worker_state in self._members:
            self.runner.send_message(REPLAN, said, worker_state.client)
        self.phase_names.workload = demand.workload
        self.run.replan(demand, plan)

    def _halt(self, how: str) -> None:
        """
        Tell every worker that is still there to stop.
        """
        for worker_state in self._members:
            if not worker_state.settled:
                self.runner.send_message(HALT, how, worker_state.client)

    def _let_go(self, worker_state: WorkerState) -> None:
        """
        Have a lost worker end: it may only be out of reach, and still be sending.
        """
        self.runner.send_message("quit", None, worker_state.client)
        if self.options.processes and worker_state.client.startswith(f"{socket.gethostname()}_"):
            with suppress(ProcessLookupError):
                os.kill(worker_state.pid, signal.SIGKILL)

    def exit_code(self) -> int:
        """How the process ends: with 4 when a worker was lost."""
        code = super().exit_code()
        lost = isinstance(self.run, DistributedRun) and self.run.lost
        return ExitCode.INVALID if lost and code != ExitCode.SOFTWARE else code

    def quit_locust(self) -> None:
        """End the process, also while Locust is still waiting for workers."""
        super().quit_locust()
        if self.run is None and self.options.headless:
            gevent.kill(self._main, SystemExit(self.environment.process_exit_code))
