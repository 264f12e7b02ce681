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
from chainproof.command import Mistake
from chainproof.contract.credentials import DEFAULT_VARIABLE
from chainproof.judgement.verdict import Exit
from chainproof.results.manifest import as_settings
from chainproof.workload.arrivals import digest
from chainproof.workload.workload import Model

from ..demand import Demand, Share
from ..engine.replan import Renewal
from .merge import Gathering, Member
from .messages import BEGIN, HALT, PREPARE, READY, REPLAN, REPORT, Order, Readiness, Report
from .session import Writing, guarded, settle_memory

LEAD: Seconds = 1.0
"""From the word to begin to second 0, so that it has reached every worker and every user is there."""
PATIENCE: Seconds = 60.0
"""For every worker to be ready: it draws the plan, and connects to nobody."""


RETURN: Seconds = 5.0
"""For workers to be ready again after a run."""


class Master(Writing):
    """
    A process that has the requests of a run sent, and writes its folder.
    """

    NOTICE: ClassVar[Seconds] = 2.0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._main = gevent.getcurrent()
        self._members: list[Member] = []
        self._ready: dict[str, Readiness] = {}
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
        return work.users if work.model is Model.CLOSED else max(len(self._members), 1)

    # ------------------------------------------------------------------ what the workers say

    @guarded
    def on_ready(self, msg: Any, **_: Any) -> None:
        """A worker has prepared, or cannot."""
        said = Readiness.decoded(msg.data)
        if said.run == self._run:
            self._ready[msg.node_id] = said
            self._answered.set()

    @guarded
    def on_report(self, msg: Any, **_: Any) -> None:
        """A worker tells what it saw."""
        report = Report.decoded(msg.data)
        if report.run == self._run and isinstance(self.course, Gathering):
            self.course.hear(msg.node_id, report)

    # ------------------------------------------------------------------ from beginning to end

    def prepare(self) -> None:
        """Draw the plan, have every worker draw it too, and share it out."""
        self.look_through()
        self._await_return()
        self.plan = self.demand.plan(pause=lambda: gevent.sleep(0))
        self._run = uuid4().hex
        self._ready.clear()
        clients = [client.id for client in self.runner.clients.all if client.state != "missing"]
        clients.sort(key=self.runner.get_worker_index)
        self._members = [
            Member(client=client, share=Share(index=index, of=len(clients))) for index, client in enumerate(clients)
        ]
        self._check()
        for kind in self.environment.user_classes:
            if self.demand.workload.model is Model.OPEN:
                kind.fixed_count = len(clients)
        for member in self._members:
            self.runner.send_message(PREPARE, self._order(member.share).encoded(), member.client)
        self._await_ready()

    def _await_return(self) -> None:
        """
        Wait for those workers that Locust has just had stop: it strikes them off until they are ready again.
        """
        before = sum(not member.lost for member in self._members)
        give_up = time.monotonic() + RETURN
        while len(self.runner.clients.ready) < before and time.monotonic() < give_up:
            gevent.sleep(0.05)

    def _check(self) -> None:
        """
        Raise Mistake when the demand cannot be shared out.
        """
        count, work = len(self._members), self.demand.workload
        if not count:
            raise Mistake(
                "expected a worker that is connected, found none: start some with --worker, or use --processes"
            )
        name, most = ("--max-in-flight", work.max_in_flight) if work.model is Model.OPEN else ("--users", work.users)
        if most < count:
            raise Mistake(f"expected {name} of at least {count}, one for each worker, found {most}")

    def _order(self, share: Share) -> Order:
        """
        What a worker is to do.
        """
        assert self._asked is not None
        return Order(
            run=self._run,
            share=share,
            demand=self.demand,
            target=self.endpoint.target.url,
            emulated=self.endpoint.target.emulated,
            changeable=self.changeable,
            words=tuple(replace(self._asked, url=None, variable=self._variable).arguments()),
        )

    @property
    def _variable(self) -> str:
        """
        Where the workers find the key: the emulator's is in the usual variable.
        """
        return DEFAULT_VARIABLE if self.endpoint.target.emulated else str(self.options.api_key_env)

    def _await_ready(self) -> None:
        """
        Wait for every worker to be ready. Raises Mistake when one is not.
        """
        give_up, wanted = time.monotonic() + PATIENCE, digest(self.plan)
        while len(self._ready) < len(self._members):
            if time.monotonic() > give_up:
                missing = [member.worker for member in self._members if member.client not in self._ready]
                raise Mistake(f"worker {', '.join(missing)} did not get ready within {PATIENCE:.0f} s")
            self._answered.wait(1.0)
            self._answered.clear()
        for member in self._members:
            said = self._ready[member.client]
            if said.mistake:
                raise Mistake(f"worker {member.worker} ({member.client.rpartition('_')[0]}): {said.mistake}")
            if said.digest != wanted:
                raise Mistake(
                    f"worker {member.worker} drew another plan from the same seed: are its versions of Python and "
                    "chainproof the master's?"
                )
            member.process = said.process

    def begin(self) -> None:
        """Make the run folder, and name the instant."""
        settings = self.demand.settings(self.plan) | as_settings(workers=len(self._members))
        gathering = Gathering(
            self.demand,
            self.plan,
            self._members,
            self.open_book(settings),
            halt=self._halt,
            let_go=self._let_go,
            phase_of=self.phase_of,
        )
        self.course = gathering
        settle_memory()
        zero = time.time() + LEAD
        gathering.begin(time.monotonic() + LEAD)
        for member in self._members:
            said = {"run": self._run, "zero": zero, "variable": self._variable}
            self.runner.send_message(BEGIN, said, member.client)
        self.follow(gathering)

    def apply(self, renewal: Renewal, demand: Demand, plan: array[float]) -> None:
        """Tell every worker of another plan; each draws it for itself."""
        assert isinstance(self.course, Gathering)
        said = {"run": self._run, **asdict(renewal)}
        for member in self._members:
            self.runner.send_message(REPLAN, said, member.client)
        self.naming.workload = demand.workload
        self.course.replan(demand, plan)

    def _halt(self, how: str) -> None:
        """
        Tell every worker that is still there to stop.
        """
        for member in self._members:
            if not member.settled:
                self.runner.send_message(HALT, how, member.client)

    def _let_go(self, member: Member) -> None:
        """
        Have a lost worker end: it may only be out of reach, and still be sending.
        """
        self.runner.send_message("quit", None, member.client)
        if self.options.processes and member.client.startswith(f"{socket.gethostname()}_"):
            with suppress(ProcessLookupError):
                os.kill(member.process, signal.SIGKILL)

    def exit_code(self) -> int:
        """How the process ends: with 4 when a worker was lost."""
        code = super().exit_code()
        lost = isinstance(self.course, Gathering) and self.course.lost
        return Exit.INVALID if lost and code != Exit.SOFTWARE else code

    def leave(self) -> None:
        """End the process, also while Locust is still waiting for workers."""
        super().leave()
        if self.course is None and self.options.headless:
            gevent.kill(self._main, SystemExit(self.environment.process_exit_code))
