"""
Merge the reports of all workers into one run folder, and detect lost workers.

Reports are numbered. After a gap in the numbers, or silence, it is unknown what a worker has sent: the worker counts as
lost from its last complete second on, the others are stopped, and the run is invalid. Every request is accounted for all
the same: those that a lost worker had in flight count as censored, the rest of its plan as not sent.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from gevent.event import Event

from chainproof.clock import Seconds
from chainproof.judgement.accounting import Accounting, accounting
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.finding import ClauseCount, Finding, finding
from chainproof.results.intervals.interval import Interval
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.results.manifest import Ending, LostWorker, RunEnd
from chainproof.workload.workload import WorkloadModel

from ..demand import Demand, Shard
from ..engine.base_run import BaseRun
from ..recording.recorder import Sink
from ..recording.request_ids import REPEATED_ID, ReportedIds
from .locust_messages import Ignored
from .messages import WorkerReport

REPORT_TIMEOUT: Seconds = 5.0
"""A worker without a report for this long is lost: it sends one every second."""
_CHECK_INTERVAL: Seconds = 0.25
_MAX_STALL: Seconds = 0.5
"""A longer pause of the master itself, such as that of a virtual machine, is not counted as silence of the workers."""

_MASTER = ""
"""The key of the master's own counts, beside the ids of the workers."""
_UNKNOWN = Outcome(Transport.DRAIN_ENDED, None, None, Result.CENSORED)


@dataclass(slots=True, eq=False)
class WorkerState:
    """The state of one worker of a run, from its reports."""

    client: str
    """The id of its Locust node."""
    shard: Shard
    pid: int = 0
    """The id of its process; 0 if it runs on another machine."""
    reports: int = 0
    """How many reports have arrived."""
    last_report_at: Seconds = 0.0
    """Time of its last report on the monotonic clock."""
    complete_until: Seconds = 0.0
    """Seconds of the run up to which its reports are complete."""
    in_flight: int = 0
    accounting: Accounting = field(default_factory=Accounting)
    cumulative: Interval = field(default_factory=lambda: Interval(second=-1))
    planned: Counter[tuple[int, str | None]] = field(default_factory=Counter)
    """The planned requests that it has reported, by second and phase."""
    end: RunEnd | None = None
    lost: str = ""
    """Why the worker is lost; empty if it is not."""

    @property
    def worker(self) -> str:
        """Its name in the run folder."""
        return str(self.shard.index)

    @property
    def host(self) -> str:
        """The name of its machine, which Locust puts in front of the id of its node."""
        return self.client.rpartition("_")[0] or self.client

    @property
    def settled(self) -> bool:
        """Whether no further report is expected."""
        return self.end is not None or bool(self.lost)

    def add_report(self, report: WorkerReport) -> None:
        """Update the state with a report."""
        self.reports += 1
        self.last_report_at = time.monotonic()
        self.complete_until = report.complete_until
        self.in_flight = report.in_flight
        self.accounting = Accounting(**report.accounting)
        self.end = report.end
        for interval in report.intervals:
            self.cumulative.merge_counts(interval)
            by_phase = {name: part.planned for name, part in interval.phases.items()}
            self.planned[interval.second, None] += interval.planned - sum(by_phase.values())
            for name, count in by_phase.items():
                self.planned[interval.second, name] += count


class DistributedRun(BaseRun):
    """A run whose requests are sent by workers."""

    def __init__(
        self,
        demand: Demand,
        plan: array[float],
        worker_states: Iterable[WorkerState],
        sink: Sink,
        *,
        halt: Callable[[str], None],
        terminate_worker: Callable[[WorkerState], str],
        phase_of: Callable[[Seconds], str | None] | None = None,
        ignored: Counter[str] | None = None,
    ) -> None:
        """
        *halt* orders every worker to `stop`, `interrupt` or `censor`. *terminate_worker* ends a lost worker if it can, and
        returns why its process ended, if that is known.
        *phase_of* names the phase of an intended start; by default the demand's. *ignored* counts the messages that
        are ignored; it is reset when the run ends.
        """
        super().__init__()
        self.demand = demand
        self.worker_states = {state.client: state for state in worker_states}
        self._plan = plan
        self._sink = sink
        self._halt = halt
        self._terminate_worker = terminate_worker
        self._phase_of = phase_of or demand.workload.phase_at
        self._zero: Seconds = 0.0
        self._findings: dict[tuple[str, str, str], dict[str, Finding]] = {}
        self._clauses: dict[str, dict[str, ClauseCount]] = {}
        self._request_ids = ReportedIds()
        self._repeated = 0
        self._ignored: Counter[str] = Counter() if ignored is None else ignored
        self._changed = Event()

    # ------------------------------------------------------------------ from beginning to end

    def begin(self, zero: Seconds) -> None:
        """Set second 0 of the run, on the monotonic clock."""
        self._zero = zero
        for state in self.worker_states.values():
            state.last_report_at = zero

    def now(self) -> Seconds:
        """Seconds since the run began; negative before."""
        return time.monotonic() - self._zero

    def stop(self) -> None:
        """Start no further requests."""
        self._halt("stop")

    def change_plan(self, demand: Demand, plan: array[float]) -> None:
        """Set the new plan, after the workers got it."""
        self.demand, self._plan = demand, plan

    def interrupt(self) -> None:
        """Stop because of a signal, on every worker."""
        self._mark_interrupted()
        self._halt("interrupt")

    def censor(self) -> None:
        """Stop waiting for answers."""
        self._halt("censor")

    @property
    def in_flight(self) -> int:
        """Requests in flight, by the last reports."""
        return sum(state.in_flight for state in self.worker_states.values())

    @property
    def accounting(self) -> Accounting:
        """Totals of the requests so far, by the last reports."""
        cumulative = Accounting()
        for state in self.worker_states.values():
            cumulative.add(state.accounting.to_json())
        return cumulative

    @property
    def ignored(self) -> int:
        """How many messages and connections were ignored so far."""
        return self._ignored.total()

    @property
    def lost(self) -> list[WorkerState]:
        """The lost workers."""
        return [state for state in self.worker_states.values() if state.lost]

    def supervise(self) -> None:
        """Wait until every worker has sent its last report or is lost, then finish the run folder."""
        try:
            while not all(state.settled for state in self.worker_states.values()):
                before = time.monotonic()
                self._changed.wait(_CHECK_INTERVAL)
                self._changed.clear()
                self._find_silent_workers(time.monotonic() - before - _CHECK_INTERVAL)
            self._finish()
        except Exception:  # noqa: BLE001  # the exit code shows it, even if the folder cannot be written
            self.abort_on_exception()
        finally:
            self._finished.set()

    # ------------------------------------------------------------------ reports

    def add_report(self, client: str, report: WorkerReport) -> None:
        """Write the content of a report to the run folder."""
        state = self.worker_states.get(client)
        if state is None:
            self._ignored[Ignored.FOREIGN] += 1
            return
        if report.number < state.reports:
            self._ignored[Ignored.DUPLICATE] += 1
            return
        if state.settled:
            return  # the requests of a lost worker are already accounted for
        if report.number > state.reports:
            self._lose(state, f"{report.number - state.reports} of its reports did not arrive")
            return
        state.add_report(report)
        for interval in report.intervals:
            self._sink.write_interval(interval)
        for exemplar in report.exemplars:
            self._sink.write_exemplar(exemplar)
        for reported in report.findings:
            self._sink.write_finding(self._with_total_count(client, reported))
        for count in report.clauses:
            self._clauses.setdefault(count.clause, {})[client] = count
        self._sink.write_requests(report.requests)
        self._count_repeated_ids(report.request_ids)
        if report.end is not None:
            self._apply_end(state, report.end)
        self._changed.set()

    def _count_repeated_ids(self, request_ids: bytes) -> None:
        """Count the ids that are new to one worker and that another has seen before."""
        repeated = self._request_ids.repeated_among(request_ids)
        if not repeated:
            return
        self._repeated += repeated
        # Only digests are reported, so the finding has the evidence of a worker, or none.
        reported = finding(REPEATED_ID, seed=self.demand.seed, check="loadtests")
        self._sink.write_finding(self._with_total_count(_MASTER, replace(reported, count=self._repeated)))
        count = ClauseCount(clause=reported.clause, exercised=0, violations=self._repeated)
        self._clauses.setdefault(reported.clause, {})[_MASTER] = count

    def _with_total_count(self, client: str, reported: Finding) -> Finding:
        """A finding with its count over all workers and the master."""
        counted = self._findings.setdefault(reported.key, {})
        counted[client] = reported
        first = next((each for each in counted.values() if each.reproduce), reported)
        return replace(first, count=sum(each.count for each in counted.values()))

    def _apply_end(self, state: WorkerState, end: RunEnd) -> None:
        """Apply the end of one worker to the run."""
        if end.ending is Ending.INTERNAL_ERROR:
            self.abort(f"worker {state.worker}: {end.note}")
            return
        if end.ending is Ending.MACHINE_FAULT:
            self.end_by_machine(f"worker {state.worker} on {state.host}: {end.note}")
            return
        if end.note and end.note not in self.note:
            self.note += f"; {end.note}" if self.note else end.note
        if end.ending is Ending.INTERRUPTED and self.ending is Ending.COMPLETED:
            self.note = f"worker {state.worker} on {state.host} got a signal and left"
            self.interrupt()

    def _find_silent_workers(self, stalled: Seconds = 0.0) -> None:
        """Mark workers as lost that have been silent for too long. While this process *stalled*, it could not hear them."""
        silent = time.monotonic() - REPORT_TIMEOUT
        for state in self.worker_states.values():
            if stalled > _MAX_STALL:
                state.last_report_at += stalled
            if not state.settled and state.last_report_at < silent:
                self._lose(state, f"no report for {REPORT_TIMEOUT:.0f} s")

    def _lose(self, state: WorkerState, why: str) -> None:
        """Mark a worker as lost, and stop the run."""
        state.lost = why
        self.interrupt()
        state.lost = self._terminate_worker(state) or why
        self._changed.set()

    # ------------------------------------------------------------------ the end

    def _finish(self) -> None:
        """Account for the requests of lost workers, compare the counts with the plan, and write the end."""
        ends = [state.end.seconds for state in self.worker_states.values() if state.end is not None]
        seconds = self.now() if self.lost else max(ends, default=0.0)
        try:
            self._write_rest()
        except Exception:  # noqa: BLE001  # a full disk, for example: the report is on what was written before
            self.abort_on_exception()
        contradiction = self._contradiction()
        if contradiction:
            self.end_by_machine(contradiction)
        self._write_end(seconds)
        self._ignored.clear()

    def _write_rest(self) -> None:
        """Write the requests of lost workers, and the counts of clauses."""
        for state in self.lost:
            self._account_for_lost(state)
        for counts in self._clauses.values():
            self._sink.write_clause(_sum_counts(counts.values()))

    def _write_end(self, seconds: Seconds) -> None:
        """Write how the run ended."""
        lost = tuple(
            LostWorker(
                worker=state.worker,
                start=float(int(state.complete_until)),
                end=seconds,
                why=f"{state.lost}; it ran on {state.host}",
            )
            for state in self.lost
        )
        network = Counter[str]()
        for state in self.worker_states.values():
            network.update(state.cumulative.network.counts())
        self._sink.finish(
            RunEnd(
                ending=self.ending,
                seconds=seconds,
                accounting=self.accounting.to_json(),
                note=self.note,
                lost_workers=lost,
                network=dict(network),
                guard=self._guard,
                ignored={str(why): count for why, count in self._ignored.items()},
            )
        )

    def _contradiction(self) -> str:
        """
        A message if the totals that a worker reported do not add up; else empty.

        Every worker checks its own totals before it reports them, so the message is not the worker's, or was changed on its way.
        """
        for state in self.worker_states.values():
            why = state.accounting.contradiction() or self._plan_mismatch(state)
            if why:
                return (
                    f"worker {state.worker} on {state.host} reported totals that contradict each other ({why}): "
                    "find out which program sends these reports"
                )
        return ""

    def _plan_mismatch(self, state: WorkerState) -> str:
        """A message if a worker planned a different number of requests than its share of the plan has; else empty."""
        planned, share = state.accounting.planned, len(state.shard.request_numbers(len(self._plan)))
        retried = self.demand.retry is not None and planned > share
        if self.demand.workload.model is WorkloadModel.CLOSED or planned == share or retried:
            return ""
        return f"expected {share} planned requests, found {planned}"

    def _account_for_lost(self, state: WorkerState) -> None:
        """Account for all requests of a lost worker."""
        starts = (self._plan[number] for number in state.shard.request_numbers(len(self._plan)))
        planned = Counter((int(start), self._phase_of(start)) for start in starts)
        for interval in closing_intervals(state, planned - state.planned):
            self._sink.write_interval(interval)
            state.cumulative.merge_counts(interval)
        state.accounting = accounting(state.cumulative)
        state.in_flight = 0


def closing_intervals(state: WorkerState, unreported: Counter[tuple[int, str | None]]) -> Iterator[Interval]:
    """
    Intervals that account for the remaining requests of a lost worker.

    *unreported* requests of its plan, by second and phase, count as not sent, as do those that it reported as planned
    and not as sent. Those that it reported as sent and not as answered count as censored.
    """
    cumulative = state.cumulative
    for (second, phase), count in sorted(unreported.items(), key=lambda each: each[0][0]):
        interval = Interval(second=second, worker=state.worker)
        interval.count_planned(phase=phase, times=count)
        for _ in range(count):
            interval.count_not_sent(NotSent.STOPPED, phase=phase)
        yield interval
    last = Interval(second=max(int(state.complete_until), 0), worker=state.worker)
    _settle_rest(last, cumulative)
    for name, part in cumulative.phases.items():
        _settle_rest(last.phases.setdefault(name, RequestStats()), part)
    yield last


def _settle_rest(last: RequestStats, reported: RequestStats) -> None:
    """Count as not sent what was planned and not sent, and as censored what was sent and has no outcome."""
    unsent = reported.planned - reported.sent - reported.not_sent.total()
    unsettled = reported.sent - reported.outcomes.total()
    if unsent > 0:
        last.not_sent[NotSent.STOPPED] += unsent
    if unsettled > 0:
        last.outcomes[_UNKNOWN] += unsettled


def _sum_counts(counts: Iterable[ClauseCount]) -> ClauseCount:
    """The counts of one clause, summed over workers."""
    each = list(counts)
    return ClauseCount(
        clause=each[0].clause,
        exercised=sum(count.exercised for count in each),
        violations=sum(count.violations for count in each),
    )
