"""
The master of a distributed run: it assigns the requests to workers, and writes what they report.

Each worker draws the complete plan itself and sends every n-th request of it; the digest of its plan must be the master's.
Second 0 of a run is one instant of wall-clock time. On several machines the clocks must agree (NTP): otherwise the seconds
of the workers are shifted in charts over time, by at most `START_DELAY`. Percentiles and counts do not depend on the clocks.
"""

from __future__ import annotations

import os
import signal
import socket
import time
import traceback
from array import array
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, ClassVar
from uuid import uuid4

import gevent
from gevent.event import Event
from locust import runners
from locust.env import Environment

from chainproof import __version__
from chainproof.clock import Seconds
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.linux import is_running, oom_kills
from chainproof.results.manifest import as_settings
from chainproof.workload.arrivals import digest
from chainproof.workload.workload import WorkloadModel

from ..demand import Demand, Shard
from ..engine.rate_change import RateChange
from .locust_messages import KINDS, Ignored
from .merge import REPORT_TIMEOUT, DistributedRun, WorkerState
from .messages import BEGIN, CHANGE_PLAN, HALT, PREPARE, READY, REPORT, Assignment, ReadyMessage, WorkerReport
from .session import abort_on_error, freeze_garbage_collector
from .transport import IGNORED, print_message
from .worker_token import required_token
from .writer_session import WriterSession

START_DELAY: Seconds = 1.0
"""Time from the message to begin to second 0: it must reach every worker, and all users must be started."""
READY_TIMEOUT: Seconds = 300.0
"""Time for every worker to draw the plan and check the connection to the target."""

REJOIN_TIMEOUT: Seconds = 5.0
"""Time for workers to be ready again after a run."""
_WAIT_NOTICE: Seconds = 10.0
"""A master that waits for workers says so as often as this."""
_OUT_OF_MEMORY = "killed by the kernel because memory ran out"
_MAX_KEPT = 10_000
"""Names and errors in Locust's tables; no more are added to them."""
_HEARTBEAT_MARGIN = 5
"""Further heartbeats, one each second, after which Locust gives up a worker."""


class Master(WriterSession):
    """The session of a master: workers send the requests, and it writes the run folder."""

    PLAN_CHANGE_NOTICE: ClassVar[Seconds] = 2.0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if not self.options.processes:
            required_token(os.environ)
        self._main = gevent.getcurrent()
        self._members: list[WorkerState] = []
        self._ready: dict[str, ReadyMessage] = {}
        self._ready_changed = Event()
        self._run = ""
        self._oom_kills = 0

    def attach(self) -> None:
        """Also listen to the workers' messages."""
        super().attach()
        # Locust would otherwise stop the run of a single worker before a missing report can count as lost.
        module: Any = runners
        module.HEARTBEAT_LIVENESS = REPORT_TIMEOUT + _HEARTBEAT_MARGIN
        self._handle_message = self.runner.handle_message
        self.runner.handle_message = self.handle_message
        self.runner.register_message(READY, self.on_ready)
        self.runner.register_message(REPORT, self.on_report)
        if self.options.skip_log_setup and (self.options.headless or self.options.autostart):
            gevent.spawn_later(_WAIT_NOTICE / 5, self._report_missing_workers)  # else Locust's log says it
        # Locust's own wait would end with exit code 1, which is that of a failed target.
        if self.options.expect_workers_max_wait > 0:
            gevent.spawn_later(self.options.expect_workers_max_wait, self._give_up_waiting, self.options.expect_workers)
            self.options.expect_workers_max_wait = 0

    def _report_missing_workers(self) -> None:
        """Say how many workers the run still needs, until they are there."""
        expected, address = self.options.expect_workers, f"{self.options.master_bind_host}:{self.runner.server.port}"
        while self.run is None and (ready := len(self.runner.clients.ready)) < expected:
            print_message(f"waiting for workers: {ready} of {expected} are connected to {address}")
            gevent.sleep(_WAIT_NOTICE)

    def _give_up_waiting(self, expected: int) -> None:
        """End a process that starts its run by itself if it waits for more workers than there are."""
        ready = len(self.runner.clients.ready)
        if self.run is None and ready < expected and (self.options.headless or self.options.autostart):
            self.report_usage_error(
                f"expected {expected} workers, found {ready} in time: see --expect-workers-max-wait"
            )

    def users(self) -> int:
        """In the open model one dispatcher per worker; in the closed model Locust distributes the users."""
        work = self.demand.workload
        return work.users if work.model is WorkloadModel.CLOSED else max(len(self._members), 1)

    # ------------------------------------------------------------------ messages of workers

    def handle_message(self, client_id: str, message: Any) -> None:
        """Let Locust handle a message. It would stop listening to all workers after an exception."""
        reason = self._objection(message)
        if reason is not None:
            IGNORED[reason] += 1
            return
        try:
            self._handle_message(client_id, message)
        except Exception:  # noqa: BLE001  # responsible: the sender; `locust_messages.py` has checked all that we know of
            traceback.print_exc()
            IGNORED[Ignored.MALFORMED] += 1

    def _objection(self, message: Any) -> Ignored | None:
        """Why a message is not for Locust, which would log it or keep it for good; None if it is."""
        kind, data, runner = message.type, message.data, self.runner
        if kind not in KINDS and kind not in runner.custom_messages:
            return Ignored.MALFORMED
        if kind == "logs":
            is_own = data["worker_id"] == message.node_id and message.node_id in runner.clients
            return None if is_own else Ignored.FOREIGN
        if kind in ("stats", "exception"):
            kept = len(runner.stats.entries) + len(runner.stats.errors) + len(runner.exceptions)
            is_empty = kind == "stats" and not data["stats"] and not data["errors"]  # a worker without a run
            is_member = any(state.client == message.node_id for state in self._members)
            return None if is_empty or (is_member and kept <= _MAX_KEPT) else Ignored.FOREIGN
        return None

    @abort_on_error
    def on_ready(self, msg: Any, **_: Any) -> None:
        """A worker is ready, or reports why it cannot start."""
        message = ReadyMessage.decode(msg.data)
        if message is None:
            IGNORED[Ignored.MALFORMED] += 1
        elif message.run == self._run:
            self._ready[msg.node_id] = message
            self._ready_changed.set()

    @abort_on_error
    def on_report(self, msg: Any, **_: Any) -> None:
        """A worker reports results."""
        report = WorkerReport.decode(msg.data)
        if report is None:
            IGNORED[Ignored.MALFORMED] += 1
        elif report.run == self._run and isinstance(self.run, DistributedRun):
            self.run.add_report(msg.node_id, report)

    # ------------------------------------------------------------------ from beginning to end

    def prepare(self) -> None:
        """Draw the plan, and assign shares of it to the workers."""
        self.apply_options()
        self._await_rejoin()
        self.plan = self.demand.plan(pause=lambda: gevent.sleep(0))
        self._run = uuid4().hex
        self._ready.clear()
        self.runner._users_dispatcher = None  # noqa: SLF001  # Locust keeps it after a run whose workers were all lost
        clients = [client.id for client in self.runner.clients.all if client.state != "missing"]
        clients.sort(key=self.runner.get_worker_index)
        self._members = [
            WorkerState(client=client, shard=Shard(index=index, of=len(clients)))
            for index, client in enumerate(clients)
        ]
        self._check_shares()
        for kind in self.environment.user_classes:
            if self.demand.workload.model is WorkloadModel.OPEN:
                kind.fixed_count = len(clients)
        for state in self._members:
            self.runner.send_message(PREPARE, self._assignment(state.shard).encode(), state.client)
        self._await_ready()
        self._totals = self.open_run_folder(self.demand.settings(self.plan) | as_settings(workers=len(self._members)))

    def _await_rejoin(self) -> None:
        """Wait for the workers of the last run: Locust removes them from its list until they are ready again."""
        before = sum(not state.lost for state in self._members)
        deadline = time.monotonic() + REJOIN_TIMEOUT
        while len(self.runner.clients.ready) < before and time.monotonic() < deadline:
            gevent.sleep(0.05)

    def _check_shares(self) -> None:
        """Raise UsageError unless there is a worker, and every worker gets a share."""
        count, work = len(self._members), self.demand.workload
        if not count:
            raise UsageError(
                "expected at least one connected worker, found none: start workers with --worker, or use --processes"
            )
        name, available = (
            ("--max-in-flight", work.max_in_flight) if work.model is WorkloadModel.OPEN else ("--users", work.users)
        )
        if available < count:
            raise UsageError(f"expected {name} of at least {count}, one for each worker, found {available}")

    def _assignment(self, shard: Shard) -> Assignment:
        """The assignment of a worker."""
        assert self._requested is not None
        return Assignment(
            run=self._run,
            shard=shard,
            demand=self.demand,
            target=replace(self._requested, url=self.endpoint.target.url, key_variable=self.key_variable),
            emulated=self.endpoint.target.emulated,
            can_change_plan=self.can_change_plan,
            duet_side=self.duet_side,
        )

    def _await_ready(self) -> None:
        """Wait until every worker is ready. Raises UsageError if one is not."""
        began, own_digest = time.monotonic(), digest(self.plan)
        notice = began + _WAIT_NOTICE
        while len(self._ready) < len(self._members):
            missing = [state for state in self._members if state.client not in self._ready]
            gone = [state for state in missing if state.client not in self.runner.clients]
            names = ", ".join(f"{state.worker} ({state.host})" for state in gone or missing)
            now = time.monotonic()
            if gone:
                raise UsageError(f"worker {names} left before the run: start it again")
            if now > began + READY_TIMEOUT:
                raise UsageError(
                    f"expected worker {names} to draw the plan and connect to the target within {READY_TIMEOUT:.0f} s: "
                    "see whether that machine is overloaded and reaches the target, then start it again"
                )
            if now > notice:
                print_message(f"waiting for worker {names} to draw the plan and connect to the target")
                notice = now + _WAIT_NOTICE
            self._ready_changed.wait(1.0)
            self._ready_changed.clear()
        for state in self._members:
            message = self._ready[state.client]
            if message.error:
                raise UsageError(f"worker {state.worker} ({state.host}): {message.error}")
            if message.version != __version__:
                raise UsageError(
                    f"worker {state.worker} ({state.host}) has chainproof {message.version}, the master {__version__}: "
                    "install the same version for all"
                )
            if message.digest != own_digest:
                raise UsageError(
                    f"worker {state.worker} drew a different plan from the same seed: use the same versions of "
                    "Python and chainproof for the master and all workers"
                )
            state.pid = message.pid

    def begin(self) -> None:
        """Tell the workers when to begin."""
        run = DistributedRun(
            self.demand,
            self.plan,
            self._members,
            self._totals,
            halt=self._halt,
            terminate_worker=self._terminate,
            phase_of=self.phase_of,
            ignored=IGNORED,
        )
        self.run = run
        freeze_garbage_collector()
        self._oom_kills = oom_kills()
        now = time.monotonic()
        zero = now + START_DELAY if self.zero is None else self.zero
        message = {
            "run": self._run,
            "start_time": time.time() + zero - now,
            "notice": zero - now,
            "variable": self.key_variable,
        }
        run.begin(zero)
        for state in self._members:
            self.runner.send_message(BEGIN, message, state.client)
        self.follow(run)

    def switch_plan(self, rate_change: RateChange, demand: Demand, plan: array[float]) -> None:
        """Send the change to every worker; each draws the new plan itself."""
        assert isinstance(self.run, DistributedRun)
        message = {"run": self._run, **asdict(rate_change)}
        for state in self._members:
            self.runner.send_message(CHANGE_PLAN, message, state.client)
        self.phase_names.workload = demand.workload
        self.run.change_plan(demand, plan)

    def _halt(self, how: str) -> None:
        """Tell every worker that still sends or drains to stop: `stop`, `interrupt` or `censor`."""
        for state in self._members:
            if not state.settled:
                self.runner.send_message(HALT, how, state.client)

    def _terminate(self, state: WorkerState) -> str:
        """End a lost worker: it may be unreachable and still sending. Returns why its process ended, if that is known."""
        self.runner.send_message("quit", None, state.client)
        node = self.runner.clients.pop(state.client, None)  # the next run must not wait for it
        dispatcher = self.runner._users_dispatcher  # noqa: SLF001  # Locust has no public way to give up a worker
        if node is not None and dispatcher is not None:
            dispatcher.remove_worker(node)
        if self.options.processes and state.client.startswith(f"{socket.gethostname()}_"):
            if not is_running(state.pid):
                return _OUT_OF_MEMORY if oom_kills() > self._oom_kills else "its process ended"
            with suppress(ProcessLookupError):
                os.kill(state.pid, signal.SIGKILL)
        return ""

    def exit_code(self) -> int:
        """The exit code: 4 if a worker was lost."""
        code = super().exit_code()
        lost = isinstance(self.run, DistributedRun) and self.run.lost
        return ExitCode.INVALID if lost and code != ExitCode.SOFTWARE else code

    def quit_locust(self) -> None:
        """End the process, even while Locust waits for workers."""
        super().quit_locust()
        if self.run is None and (self.options.headless or self.options.autostart):
            gevent.kill(self._main, SystemExit(self.environment.process_exit_code))
