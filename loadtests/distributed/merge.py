"""
A run whose requests workers send: their reports become one run folder, and whoever falls silent is missed.

Every report is numbered. A gap in the numbers, or silence, means that a worker's requests are not known any more: the
worker counts as lost from its last whole second on, the others are stopped, and the run is invalid, since a part of its
demand may have been made or not. The accounts are closed all the same: what a lost worker had in flight is censored,
the rest of its plan not sent.
"""

from __future__ import annotations

import time
import traceback
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from gevent.event import Event

from chainproof.clock import Seconds
from chainproof.judgement.accounting import Accounting, accounting
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.finding import ClauseCount, Finding, finding
from chainproof.results.interval import Interval, RequestStats
from chainproof.results.manifest import Ending, LostWorker, RunEnd
from chainproof.workload.workload import WorkloadModel

from ..demand import Demand, Shard
from ..engine.base_run import BaseRun
from ..recording.recorder import Sink
from ..recording.request_ids import REPEATED_ID, ReportedIds
from .messages import WorkerReport

REPORT_TIMEOUT: Seconds = 5.0
"""A worker that says nothing for so long is lost: it has a report to send every second."""
_LOOK: Seconds = 0.25

_OURS = ""
"""In place of a worker's name: what only the master can see."""
_UNKNOWN = Outcome(Transport.DRAIN_ENDED, None, None, Result.CENSORED)


@dataclass(slots=True, eq=False)
class WorkerState:
    """
    One worker of a run, as its reports show it.
    """

    client: str
    """Its name among Locust's nodes."""
    shard: Shard
    pid: int = 0
    reports: int = 0
    last_report_at: Seconds = 0.0
    """When it last reported, on the monotonic clock."""
    complete_until: Seconds = 0.0
    in_flight: int = 0
    accounting: Accounting = field(default_factory=Accounting)
    cumulative: Interval = field(default_factory=lambda: Interval(second=-1))
    planned: Counter[tuple[int, str | None]] = field(default_factory=Counter)
    """By second and phase, as far as it has told."""
    end: RunEnd | None = None
    lost: str = ""
    """Why nothing is known of it any more; empty as long as something is."""

    @property
    def worker(self) -> str:
        """Its name in the record."""
        return str(self.shard.index)

    @property
    def settled(self) -> bool:
        """Whether nothing more is to come from it."""
        return self.end is not None or bool(self.lost)

    def add_report(self, report: WorkerReport) -> None:
        """Take what it says of itself."""
        self.reports += 1
        self.last_report_at = time.monotonic()
        self.complete_until = report.complete_until
        self.in_flight = report.in_flight
        self.accounting = Accounting(**report.accounting)
        self.end = report.end
        for interval in report.intervals:
            self.cumulative.merge_counts(interval)
            inside = {name: part.planned for name, part in interval.phases.items()}
            self.planned[interval.second, None] += interval.planned - sum(inside.values())
            for name, count in inside.items():
                self.planned[interval.second, name] += count


class DistributedRun(BaseRun):
    """
    Several workers' records becoming one.
    """

    def __init__(
        self,
        demand: Demand,
        plan: array[float],
        worker_states: Iterable[WorkerState],
        sink: Sink,
        *,
        halt: Callable[[str], None],
        terminate_worker: Callable[[WorkerState], None],
        phase_of: Callable[[Seconds], str | None] | None = None,
    ) -> None:
        """
        *phase_of* names the phase of an intended start, the demand's unless given; *halt* tells every worker to `stop`, `interrupt` or `censor`; *terminate_worker* ends a lost one where that can be done.
        """
        super().__init__()
        self.demand = demand
        self.worker_states = {worker_state.client: worker_state for worker_state in worker_states}
        self._plan = plan
        self._sink = sink
        self._halt = halt
        self._let_go = terminate_worker
        self._phase_of = phase_of or demand.workload.phase_at
        self._zero: Seconds = 0.0
        self._findings: dict[tuple[str, str, str], dict[str, Finding]] = {}
        self._clauses: dict[str, dict[str, ClauseCount]] = {}
        self._request_ids = ReportedIds()
        self._repeated = 0
        self._news = Event()

    # ------------------------------------------------------------------ from beginning to end

    def begin(self, zero: Seconds) -> None:
        """Let second 0 be an instant of the monotonic clock."""
        self._zero = zero
        for worker_state in self.worker_states.values():
            worker_state.last_report_at = zero

    def now(self) -> Seconds:
        """Seconds since the run began; negative before."""
        return time.monotonic() - self._zero

    def stop(self) -> None:
        """Have nothing more started."""
        self._halt("stop")

    def replan(self, demand: Demand, plan: array[float]) -> None:
        """Take note of another plan, which the workers have been told of."""
        self.demand, self._plan = demand, plan

    def interrupt(self) -> None:
        """Stop as a person asks for it, each worker too."""
        self._mark_interrupted()
        self._halt("interrupt")

    def censor(self) -> None:
        """Wait for no answer any more."""
        self._halt("censor")

    @property
    def in_flight(self) -> int:
        """Requests started and not settled, as last told."""
        return sum(worker_state.in_flight for worker_state in self.worker_states.values())

    @property
    def accounting(self) -> Accounting:
        """What became of the requests so far, as last told."""
        cumulative = Accounting()
        for worker_state in self.worker_states.values():
            cumulative.add(worker_state.accounting.to_json())
        return cumulative

    @property
    def lost(self) -> list[WorkerState]:
        """The workers of whom nothing is known any more."""
        return [worker_state for worker_state in self.worker_states.values() if worker_state.lost]

    def supervise(self) -> None:
        """Wait until every worker has told everything or is lost, and close the run folder."""
        try:
            while not all(worker_state.settled for worker_state in self.worker_states.values()):
                self._news.wait(_LOOK)
                self._news.clear()
                self._miss()
            self._finish()
        except Exception as wrong:  # noqa: BLE001  # our own error: the exit code tells, the folder may not be able to
            traceback.print_exc()
            self.abort(f"{type(wrong).__name__}: {wrong}")
        finally:
            self._finished.set()

    # ------------------------------------------------------------------ what the workers tell

    def add_report(self, client: str, report: WorkerReport) -> None:
        """Enter a report."""
        worker_state = self.worker_states.get(client)
        if worker_state is None or worker_state.settled or report.number < worker_state.reports:
            return  # of another run, or given up: its accounts are closed
        if report.number > worker_state.reports:
            self._lose(worker_state, f"{report.number - worker_state.reports} of its reports did not arrive")
            return
        worker_state.add_report(report)
        for interval in report.intervals:
            self._sink.write_interval(interval)
        for exemplar in report.exemplars:
            self._sink.write_exemplar(exemplar)
        for found in report.findings:
            self._sink.write_finding(self._known(client, found))
        for count in report.clauses:
            self._clauses.setdefault(count.clause, {})[client] = count
        self._compare(report.request_ids)
        if report.end is not None:
            self._take_end(worker_state, report.end)
        self._news.set()

    def _compare(self, request_ids: bytes) -> None:
        """
        Count which ids that are new to one worker were seen by another before.
        """
        repeated = self._request_ids.repeated_among(request_ids)
        if not repeated:
            return
        self._repeated += repeated
        # Nobody knows any more which requests they were: the finding has a worker's evidence, or none.
        found = finding(REPEATED_ID, seed=self.demand.seed, check="loadtests")
        self._sink.write_finding(self._known(_OURS, replace(found, count=self._repeated)))
        count = ClauseCount(clause=found.clause, exercised=0, violations=self._repeated)
        self._clauses.setdefault(found.clause, {})[_OURS] = count

    def _known(self, client: str, found: Finding) -> Finding:
        """
        A finding as counted by all workers together, and by ourselves.
        """
        counted = self._findings.setdefault(found.key, {})
        counted[client] = found
        first = next((each for each in counted.values() if each.reproduce), found)
        return replace(first, count=sum(each.count for each in counted.values()))

    def _take_end(self, worker_state: WorkerState, end: RunEnd) -> None:
        """
        Draw from how one worker ended what becomes of the others.
        """
        if end.ending is Ending.INTERNAL_ERROR:
            self.abort(f"worker {worker_state.worker}: {end.note}")
            return
        if end.note and end.note not in self.note:
            self.note += f"; {end.note}" if self.note else end.note
        if end.ending is Ending.INTERRUPTED and self.ending is Ending.COMPLETED:
            self.interrupt()

    def _miss(self) -> None:
        """
        Give up whoever has been silent for too long.
        """
        silent = time.monotonic() - REPORT_TIMEOUT
        for worker_state in self.worker_states.values():
            if not worker_state.settled and worker_state.last_report_at < silent:
                self._lose(worker_state, f"no report for {REPORT_TIMEOUT:.0f} s")

    def _lose(self, worker_state: WorkerState, why: str) -> None:
        """
        Go on without a worker, which is to say: not at all.
        """
        worker_state.lost = why
        self.interrupt()
        self._let_go(worker_state)
        self._news.set()

    # ------------------------------------------------------------------ the end

    def _finish(self) -> None:
        ends = [
            worker_state.end.seconds for worker_state in self.worker_states.values() if worker_state.end is not None
        ]
        seconds = self.now() if self.lost else max(ends, default=0.0)
        for worker_state in self.lost:
            self._close(worker_state)
        for counts in self._clauses.values():
            self._sink.write_clause(_together(counts.values()))
        cumulative = self.accounting
        wrong = cumulative.contradiction() or self._unplanned(cumulative)
        if wrong and self.ending is not Ending.INTERNAL_ERROR:
            self.ending, self.note = Ending.INTERNAL_ERROR, wrong
        lost = tuple(
            LostWorker(
                worker=worker_state.worker,
                start=float(int(worker_state.complete_until)),
                end=seconds,
                why=worker_state.lost,
            )
            for worker_state in self.lost
        )
        travelled = Counter[str]()
        for worker_state in self.worker_states.values():
            travelled.update(worker_state.cumulative.network.counts())
        self._sink.finish(
            RunEnd(
                ending=self.ending,
                seconds=seconds,
                accounting=cumulative.to_json(),
                note=self.note,
                lost_workers=lost,
                network=dict(travelled),
                guard=self._guard,
            )
        )

    def _unplanned(self, cumulative: Accounting) -> str:
        """
        How the workers' plans differ from ours, in words; empty when they do not.
        """
        retried = self.demand.retry is not None and cumulative.planned > len(self._plan)
        if self.demand.workload.model is WorkloadModel.CLOSED or cumulative.planned == len(self._plan) or retried:
            return ""
        return f"the workers planned {cumulative.planned} requests ≠ {len(self._plan)} of the plan"

    def _close(self, worker_state: WorkerState) -> None:
        """
        Close the accounts of a lost worker.
        """
        starts = (self._plan[number] for number in worker_state.shard.request_numbers(len(self._plan)))
        promised = Counter((int(start), self._phase_of(start)) for start in starts)
        for interval in closing_intervals(worker_state, promised - worker_state.planned):
            self._sink.write_interval(interval)
            worker_state.cumulative.merge_counts(interval)
        worker_state.accounting = accounting(worker_state.cumulative)
        worker_state.in_flight = 0


def closing_intervals(worker_state: WorkerState, untold: Counter[tuple[int, str | None]]) -> Iterator[Interval]:
    """
    The intervals that close the accounts of a lost worker: *untold* requests of its plan by second and phase, unsent for
    all that is known; those it had told of and not sent; and those in flight.
    """
    cumulative = worker_state.cumulative
    for (second, phase), count in sorted(untold.items(), key=lambda each: each[0][0]):
        interval = Interval(second=second, worker=worker_state.worker)
        interval.count_planned(phase=phase, times=count)
        for _ in range(count):
            interval.count_not_sent(NotSent.STOPPED, phase=phase)
        yield interval
    last = Interval(second=max(int(worker_state.complete_until), 0), worker=worker_state.worker)
    _settle_rest(last, cumulative)
    for name, part in cumulative.phases.items():
        _settle_rest(last.phases.setdefault(name, RequestStats()), part)
    yield last


def _settle_rest(last: RequestStats, told: RequestStats) -> None:
    """
    Account for what was told of as planned and not as sent, and as sent and not as settled.
    """
    unsent = told.planned - told.sent - told.not_sent.total()
    unsettled = told.sent - told.outcomes.total()
    if unsent > 0:
        last.not_sent[NotSent.STOPPED] += unsent
    if unsettled > 0:
        last.outcomes[_UNKNOWN] += unsettled


def _together(counts: Iterable[ClauseCount]) -> ClauseCount:
    """
    One clause's counts of several workers as one.
    """
    each = list(counts)
    return ClauseCount(
        clause=each[0].clause,
        exercised=sum(count.exercised for count in each),
        violations=sum(count.violations for count in each),
    )
