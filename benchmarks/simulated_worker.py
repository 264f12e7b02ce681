"""
Simulated workers: they speak Locust's protocol and ours with a real master, and send no requests.

Each reports every planned request of its share as answered, with one histogram, one clause count and one request id a
request, as a real worker does. Many of them share one thread.
"""

from __future__ import annotations

import os
import random
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import msgpack
import zmq
from zmq.utils import z85

from chainproof.contract import clauses
from chainproof.judgement.accounting import accounting
from chainproof.loadtests.distributed.messages import (
    BEGIN,
    HALT,
    PREPARE,
    READY,
    REPORT,
    Assignment,
    ReadyMessage,
    WorkerReport,
)
from chainproof.loadtests.distributed.worker_token import secret_key
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.finding import ClauseCount
from chainproof.results.intervals.generator_health import GeneratorHealth
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, RunEnd
from chainproof.workload.arrivals import digest

LOCUST_VERSION = metadata.version("locust")
OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
HEARTBEAT_S, STATS_S, REPORT_S = 1.0, 3.0, 1.0
EXERCISED = clauses.CLAUSES[:20]


@dataclass(slots=True)
class Plans:
    """The plan of each assignment, drawn once for all simulated workers."""

    drawn: dict[str, array[float]] = field(default_factory=dict)

    def of(self, assignment: Assignment) -> array[float]:
        """The plan of an assignment."""
        if assignment.run not in self.drawn:
            self.drawn[assignment.run] = assignment.demand.plan()
        return self.drawn[assignment.run]


class SimulatedWorker:
    """One worker. `step` is called again and again; it sends what is due."""

    def __init__(self, context: zmq.Context[Any], port: int, token: str, name: str, plans: Plans) -> None:
        self.name = name
        self._plans = plans
        self._random = random.Random(name)
        self.socket = context.socket(zmq.DEALER)
        self.socket.identity = name.encode()
        self.socket.curve_publickey, self.socket.curve_secretkey = zmq.curve_keypair()
        self.socket.curve_serverkey = zmq.curve_public(z85.encode(secret_key(token)))
        self.socket.linger = 500
        self._address = f"tcp://127.0.0.1:{port}"
        self.state = "ready"
        self.done = False
        self.assignment: Assignment | None = None
        self.late_s = 0.0
        """How long after second 0 the message to begin came; negative if before."""
        self._report: Iterator[bytes] | None = None
        self._users: dict[str, int] = {}
        now = time.monotonic() + self._random.random()
        self._due = {"heartbeat": now, "stats": now, "report": float("inf")}

    def connect(self) -> None:
        """Connect to the master."""
        self.socket.connect(self._address)
        self.send("client_ready", LOCUST_VERSION)

    def send(self, kind: str, data: object) -> None:
        """Send a message to the master."""
        self.socket.send(msgpack.packb((kind, data, self.name)))

    def send_raw(self, *frames: bytes) -> None:
        """Send frames as they are."""
        self.socket.send_multipart(frames)

    # ------------------------------------------------------------------ what a worker sends by itself

    def step(self, now: float) -> None:
        """Handle what has arrived, and send what is due."""
        while not self.done and self.socket.poll(0):
            kind, data, _ = msgpack.unpackb(self.socket.recv(), strict_map_key=False)
            self.handle(kind, data)
        if self.done:
            return
        for name, every, send in (
            ("heartbeat", HEARTBEAT_S, self._heartbeat),
            ("stats", STATS_S, self._stats),
            ("report", REPORT_S, self._send_report),
        ):
            if now >= self._due[name]:
                self._due[name] = max(self._due[name] + every, now - every)
                send()

    def _heartbeat(self) -> None:
        self.send("heartbeat", {"state": self.state, "current_cpu_usage": 10.0, "current_memory_usage": 100 << 20})

    def _stats(self) -> None:
        entry = _stats_entry(300 if self.state == "running" else 0)
        users = {"user_classes_count": self._users, "user_count": sum(self._users.values())}
        self.send("stats", {"stats": [entry], "stats_total": entry, "errors": {}, **users})

    def _send_report(self) -> None:
        octets = next(self._report, None) if self._report is not None else None
        if octets is None:
            self._due["report"] = float("inf")
        else:
            self.send(REPORT, octets)

    # ------------------------------------------------------------------ what the master sends

    def handle(self, kind: str, data: Any) -> None:
        """React to a message as Locust's worker and ours do."""
        if kind == PREPARE:
            self.assignment = Assignment.decode(data)
            plan = self._plans.of(self.assignment)
            self.send(READY, ReadyMessage(run=self.assignment.run, digest=digest(plan), pid=os.getpid()).encode())
        elif kind == BEGIN:
            assert self.assignment is not None
            self.late_s = time.time() - data["start_time"]
            self._report = reports(self.assignment, self._plans.of(self.assignment), self._random)
            self._due["report"] = time.monotonic() - self.late_s + 1.0 + self._random.random() * 0.2
        elif kind == "spawn":
            self._users = data["user_classes_count"]
            self.state = "running"
            self.send("spawning", None)
            self.send("spawning_complete", {"user_classes_count": self._users, "user_count": sum(self._users.values())})
        elif kind == HALT:
            self.end()
        elif kind == "stop":
            self._users, self.state = {}, "ready"
            self.send("client_stopped", None)
            self.send("client_ready", LOCUST_VERSION)
        elif kind == "quit":
            self._stats()
            self.done = True

    def lose_report(self) -> None:
        """Leave out the next report."""
        next(self._report or iter(()), None)

    def end(self) -> None:
        """Send the rest of the reports at once, as after an order to stop."""
        for octets in self._report or ():
            self.send(REPORT, octets)
        self._report = None


def reports(assignment: Assignment, plan: array[float], chance: random.Random) -> Iterator[bytes]:
    """The reports of a worker, one for each second of the plan, then the last one."""
    shard, number = assignment.shard, 0
    cumulative = Interval(second=-1, worker=str(shard.index))
    by_second: dict[int, int] = {}
    for each in shard.request_numbers(len(plan)):
        by_second[int(plan[each])] = by_second.get(int(plan[each]), 0) + 1
    last = max(by_second, default=0)
    for second in range(last + 1):
        interval = interval_of(second, str(shard.index), by_second.get(second, 0), chance)
        cumulative.merge_counts(interval)
        ids = chance.randbytes(8 * interval.sent)
        counts = [ClauseCount(clause=clause.id, exercised=cumulative.sent, violations=0) for clause in EXERCISED]
        yield WorkerReport(
            run=assignment.run,
            number=number,
            complete_until=second + 1.0,
            accounting=accounting(cumulative).to_json(),
            intervals=[interval],
            clauses=counts,
            request_ids=ids,
        ).encode()
        number += 1
    totals = accounting(cumulative).to_json()
    end = RunEnd(ending=Ending.COMPLETED, seconds=last + 1.0, accounting=totals)
    yield WorkerReport(
        run=assignment.run, number=number, complete_until=last + 1.0, accounting=totals, end=end
    ).encode()


def interval_of(second: int, worker: str, planned: int, chance: random.Random) -> Interval:
    """One second in which every planned request was answered."""
    interval = Interval(second=second, worker=worker)
    for _ in range(planned):
        service = chance.lognormvariate(-3.0, 0.5)
        interval.count_planned()
        interval.count_all_sent([chance.random() * 1e-3])
        interval.count_outcomes(OK, [service + 1e-3], [service])
        interval.in_flight_ns += round(service * 1e9)
    health = interval.generator_health = GeneratorHealth()
    for _ in range(20):
        health.add_sample(3, chance.random() * 1e-3, 0.05)
    health.add_cpu_time(0.1, 1.0)
    return interval


def _stats_entry(count: int) -> dict[str, object]:
    """Locust's statistics of one name in three seconds."""
    now = time.time()
    return {
        "name": "/production/run_remote",
        "method": "POST",
        "last_request_timestamp": now,
        "start_time": now,
        "num_requests": count,
        "num_none_requests": 0,
        "num_failures": 0,
        "total_response_time": 50.0 * count,
        "max_response_time": 400.0,
        "min_response_time": 5.0,
        "total_content_length": 100 * count,
        "response_times": {10 * each: count // 30 for each in range(1, 31)},
        "num_reqs_per_sec": {int(now) - each: count // 3 for each in range(3)},
        "num_fail_per_sec": {},
    }


def simulate(workers: list[SimulatedWorker], until: Callable[[], bool]) -> None:
    """Let workers work until a condition holds or the master has stopped them all."""
    while not until() and not all(worker.done for worker in workers):
        start = time.monotonic()
        for worker in workers:
            worker.step(time.monotonic())
        time.sleep(max(0.0, 0.05 - (time.monotonic() - start)))  # the master runs in real time
