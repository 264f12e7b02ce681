"""
Turn the events of a run into intervals of one second, findings, exemplars and the totals.

Every event is counted in the second in which it happens; planned and not sent requests in the second of their intended
start. A second is written when it is over. Events of a second already written go into one more interval of that second,
so that every sum over the file is exact. The totals are counted independently of the intervals, so that they can be
compared.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from chainproof.clock import Seconds
from chainproof.contract.levels import Contract
from chainproof.contract.violations import Violation
from chainproof.judgement.accounting import Accounting
from chainproof.results.exchange import Exchange, NotSent, Outcome, Result
from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.intervals.generator_health import GeneratorHealth
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, Guard, RunEnd
from chainproof.stored_text import MAX_ID_LENGTH, shortened

from ..client.request import EncodedRequest
from .assessment import Assessment
from .exemplars import ClauseCounter, ErrorCodeLabels, Exemplars, FindingCounter, KeptBodies, no_bodies
from .in_flight_request import InFlightRequest
from .request_ids import REPEATED_ID
from .request_rows import request_row, unsent_row
from .settled_requests import BulkListener, SettledRequests
from .stall_detection import EXCUSING_OVERLAP, MIN_STALL, StallDetector

BATCH_SIZE = 500
"""Events that are buffered before they are counted: few enough that counting them delays no request."""
SLOWEST_INTERVAL = 10
"""Seconds between writing the slowest exemplars. With rising response times each answer is the slowest so far."""


_BILLION = 1_000_000_000


class Sink(Protocol):
    """Where the record goes: a run folder, or a report to the master."""

    def write_interval(self, interval: Interval, /) -> None:
        """Write one interval."""
        ...

    def write_exemplar(self, exemplar: Exemplar, /) -> None:
        """Write one exemplar."""
        ...

    def write_finding(self, finding: Finding, /) -> None:
        """Write a finding, or its updated count."""
        ...

    def write_clause(self, count: ClauseCount, /) -> None:
        """Write the counts of a clause, or their update."""
        ...

    def write_requests(self, rows: Sequence[str], /) -> None:
        """Write rows of recorded requests."""
        ...

    def finish(self, end: RunEnd, /) -> None:
        """Write the end of the run."""
        ...


class Recorder:
    """Records the events of one process."""

    listener: BulkListener | None = None
    """Called for the settled requests of each outcome, when they are counted."""
    in_flight = 0
    _in_flight_before = 0
    """Requests in flight at the start of the present second."""
    _instants: Seconds = 0.0
    """The sum of the instants at which requests ended in the present second, less those at which they started."""
    _slow_threshold: Seconds = 0.0
    """Response time above which an answer is one of the slowest."""

    def __init__(
        self,
        sink: Sink,
        *,
        contract: Contract,
        seed: int,
        worker: str = "0",
        phase_of: Callable[[Seconds], str | None] | None = None,
        has_output_schema: bool = False,
        has_user_check: bool = False,
        record_requests: int = 0,
        on_flush: Callable[[Recorder], None] | None = None,
    ) -> None:
        """
        *phase_of* returns the phase of an intended start. *has_output_schema* and *has_user_check* say which checks
        answers go through. The first *record_requests* are recorded one by one. *on_flush* is called after each flush.
        """
        self._phased = phase_of is not None
        self._phase_of: Callable[[Seconds], str | None] = phase_of if phase_of is not None else lambda _: None
        self._sink = sink
        self._on_flush = on_flush
        self._worker = worker
        self._planned: dict[int, Counter[str | None]] = {}
        self._current = Interval(second=0, worker=worker)
        self._current_end: Seconds = 1.0
        self._network_totals: Counter[str] = Counter()
        self._usual_outcome: Outcome | None = None
        """The ok outcome, by identity, once it has all exemplars but the slowest."""
        self._lags: list[Seconds] = []
        self._sent_phases: list[str | None] = []
        """By request sent, if there are phases."""
        self._settled = SettledRequests()
        self._finished: list[Interval] = []
        self._late, self._ahead = dict[int, Interval](), dict[int, Interval]()
        self._slowest_due = SLOWEST_INTERVAL
        self._exemplars = Exemplars()
        self._findings = FindingCounter(seed)
        self._clauses = ClauseCounter(
            contract, has_output_schema=has_output_schema, has_user_check=has_user_check, track_new=on_flush is not None
        )
        self._rows, self._rows_left = list[str](), record_requests
        self.code_label: Callable[[str | None, int], str | None] = ErrorCodeLabels().label
        self.accounting = Accounting()
        self.stalls = StallDetector()
        self.reproduce: Callable[[EncodedRequest | None], str] = lambda _: ""
        """Returns a curl line for a request."""
        self.redact: Callable[[str], str] = str
        """Removes secrets from a text of the target."""
        self.leak_in_ids: Callable[[Sequence[bytes]], tuple[int, Violation] | None] = lambda _: None
        """Returns the index of a request id that repeats the API key, and the violation."""

    # ------------------------------------------------------------------ events

    def plan(self, starts: Iterable[Seconds]) -> None:
        """Count the planned requests before the run starts."""
        for start in starts:
            self._planned.setdefault(int(start), Counter())[self._phase_of(start)] += 1
        self.accounting.planned += sum(counts.total() for counts in self._planned.values())
        self._count_plan(self._current)

    def change_plan(self, start: Seconds, starts: Iterable[Seconds]) -> None:
        """Replace the planned requests from the second *start* on, which is in the future."""
        replaced = [self._planned.pop(second) for second in list(self._planned) if second >= start]
        self.accounting.planned -= sum(counts.total() for counts in replaced)
        for intended_start in starts:
            self._planned.setdefault(int(intended_start), Counter())[self._phase_of(intended_start)] += 1
            self.accounting.planned += 1

    def plan_request(self, intended_start: Seconds) -> None:
        """Count a request that is planned when it is sent, as in the closed model or for a retry."""
        self.accounting.planned += 1
        if not self._phased and self._current.second <= intended_start < self._current_end:
            self._current.planned += 1
        else:
            self._interval_of(intended_start).count_planned(phase=self._phase_of(intended_start))

    def count_not_sent(self, intended_start: Seconds, why: NotSent) -> None:
        """Count a planned request that is not sent."""
        self.accounting.not_sent += 1
        interval, phase = self._interval_of(intended_start), self._phase_of(intended_start)
        interval.count_not_sent(why, phase=phase)
        if self._rows_left > 0:
            self._record(unsent_row(intended_start, why, phase=phase, worker=self._worker))
        if why is NotSent.MAX_IN_FLIGHT and self.stalls.overlap(intended_start, math.inf) > EXCUSING_OVERLAP:
            for stalled in interval.stalled_parts(phase):
                stalled.excused += 1

    def count_sent(self, request: InFlightRequest) -> None:
        """Count a request as it is sent. Its wait for a slot is not part of the schedule lag."""
        assert request.start is not None
        self.accounting.sent += 1
        current = self._current if request.start < self._current_end else self._advance_to(request.start)
        self.in_flight += 1
        if self.in_flight > current.in_flight_max:  # noqa: PLR1730  # twice as fast as max()
            current.in_flight_max = self.in_flight
        intended_start, slot_wait = request.intended_start, request.slot_wait
        if slot_wait:
            current.network.slot_wait.record(slot_wait)
        lag = request.start - intended_start - slot_wait
        self._lags.append(lag)
        self._instants -= request.start
        if lag > MIN_STALL:
            self.stalls.sent_late(request.start)
        if self._phased:
            self._sent_phases.append(self._phase_of(intended_start))
        if len(self._lags) >= BATCH_SIZE:
            self.count_buffered()

    def count_settled(self, request: InFlightRequest, assessment: Assessment, now: Seconds) -> bool:
        """Count a settled request at the present instant. True if it may be an exemplar: call `keep_exemplar` then."""
        reply, outcome = request.reply, assessment.outcome
        assert reply is not None
        if outcome.result is Result.OK:
            self.accounting.ok += 1
        else:
            self.accounting.settle(outcome.result)
        if now >= self._current_end:
            self._advance_to(now)
        self.in_flight -= 1
        self._instants += now
        for violation in assessment.violations:
            if self._findings.is_new(violation):
                self._count_ids()  # repeated ids of earlier answers are earlier findings
            self._findings.add(
                violation, self._request_id(reply.request_id), lambda: self.reproduce(request.encoded_request)
            )
        settled = self._settled
        settled.add(request, assessment)
        if self._phased:
            settled.phases.append(self._phase_of(request.intended_start))
        if self._rows_left > 0:
            phase, request_id = self._phase_of(request.intended_start), self._request_id(reply.request_id)
            self._record(request_row(request, outcome, phase=phase, request_id=request_id, worker=self._worker))
        if reply.connect_time is not None or reply.replaced:
            self._current.network.record_connection(reply.connect_time, reply.tls_time, reply.replaced)
        if len(settled.assessments) >= BATCH_SIZE:
            self.count_buffered()
        return outcome is not self._usual_outcome or request.end - request.intended_start > self._slow_threshold

    def _record(self, row: str) -> None:
        """Keep the row of a request until it is written."""
        self._rows.append(row)
        self._rows_left -= 1

    def count_call(self, attempts: int, result: Result, total_time: Seconds, now: Seconds) -> None:
        """Count the final result of a request with retries."""
        self._advance_to(now).calls.end(attempts, result, total_time)

    def keep_exemplar(self, exchange: Exchange, reason: str, bodies: Callable[[], KeptBodies] = no_bodies) -> None:
        """Keep an exchange if it is an exemplar. *bodies* is called only then."""
        self._exemplars.consider(exchange, reason, bodies)
        slowest_threshold = self._exemplars.slowest_threshold(exchange.outcome)
        if slowest_threshold is not None and exchange.outcome.result is Result.OK:
            self._usual_outcome, self._slow_threshold = exchange.outcome, slowest_threshold

    def generator_health(self, now: Seconds) -> GeneratorHealth:
        """The generator's own health in the present second, to be updated."""
        current = self._advance_to(now)
        if current.generator_health is None:
            current.generator_health = GeneratorHealth()
        self._add_stalls(current, now)
        return current.generator_health

    def _add_stalls(self, current: Interval, now: Seconds, *, at_end: bool = False) -> None:
        """Add the stalls that are over to the present second."""
        if current.generator_health is not None:
            current.generator_health.stalls += self.stalls.take(now, at_end=at_end)

    def sample_outputs(self, outputs_checked: Callable[[], int]) -> None:
        """Set the function that returns how many outputs were checked against their schema."""
        self._clauses.outputs_checked = outputs_checked

    @property
    def clauses(self) -> tuple[ClauseCount, ...]:
        """The counts of each clause so far."""
        return tuple(self._clauses.counts())

    def _request_id(self, request_id: bytes) -> str:
        """A request id as it is stored."""
        return shortened(self.redact(request_id.decode("utf-8", "surrogatepass")), MAX_ID_LENGTH)

    def new_request_ids(self) -> bytes:
        """Digests of the request ids that are new since the last call. Only recorded with *on_flush*."""
        return self._clauses.ids.take_new()

    # ------------------------------------------------------------------ writing

    def flush(self, now: Seconds) -> None:
        """Write the seconds that are over, and new exemplars and findings."""
        self._advance_to(now)
        self.count_buffered()
        self._write_intervals()
        if self._rows:
            rows, self._rows = self._rows, []
            self._sink.write_requests(rows)
        for exemplar in self._exemplars.new_exemplars():
            self._sink.write_exemplar(exemplar)
        if now >= self._slowest_due:
            self._slowest_due = int(now) + SLOWEST_INTERVAL
            self._write_slowest()
        for finding in self._findings.changed_findings():
            self._sink.write_finding(finding)
        if self._on_flush is not None:
            self._on_flush(self)

    def finish(self, now: Seconds, ending: Ending, note: str, guard: Guard | None = None) -> None:
        """Write everything that is left, and the end of the run."""
        self._add_stalls(self._advance_to(now), now, at_end=True)
        self._end_in_flight(max(now, 0.0))
        self.count_buffered()  # before the present second is written
        self._finished.append(self._current)
        self.flush(now)
        self._write_slowest()
        for second in list(self._planned):
            self._count_plan(self._ahead.setdefault(second, self._empty(second)))
        for interval in self._ahead.values():
            self._sink.write_interval(interval)
        for count in self._clauses.counts():
            self._sink.write_clause(count)
        self.write_end(now, ending, note, guard)

    def write_end(self, now: Seconds, ending: Ending, note: str, guard: Guard | None = None) -> None:
        """Write the end of the run alone, if `finish` could not write what was left."""
        end = RunEnd(
            ending=ending,
            seconds=now,
            accounting=self.accounting.to_json(),
            note=note,
            network=dict(self._network_totals),
            guard=guard,
        )
        self._sink.finish(end)

    def _write_intervals(self) -> None:
        finished, self._finished = self._finished, []
        late, self._late = self._late, {}
        for interval in (*finished, *late.values()):
            self._network_totals.update(interval.network.counts())
            self._sink.write_interval(interval)

    def _write_slowest(self) -> None:
        for exemplar in self._exemplars.slowest():
            self._sink.write_exemplar(exemplar)

    # ------------------------------------------------------------------ seconds

    def _advance_to(self, now: Seconds) -> Interval:
        """The interval of the present second. Earlier ones are finished."""
        if self._current.second + 1 <= now:
            self.count_buffered()
        while self._current.second + 1 <= now:
            self._end_in_flight(self._current.second + 1.0)
            self._finished.append(self._current)
            second = self._current.second + 1
            self._current = self._ahead.pop(second, self._empty(second))
            self._count_plan(self._current)
            self._current.in_flight_max = self.in_flight
        self._current_end = self._current.second + 1.0
        return self._current

    def _end_in_flight(self, end: Seconds) -> None:
        """Set what the present second says of requests in flight, up to *end*."""
        current, before = self._current, self._in_flight_before
        area = before * (end - current.second) + (self.in_flight - before) * end + self._instants
        current.in_flight, current.in_flight_ns = self.in_flight, max(round(area * _BILLION), 0)
        self._in_flight_before, self._instants = self.in_flight, 0.0

    def count_buffered(self) -> None:
        """Count the buffered events in the present second. In batches this takes a fraction of the time."""
        lags, self._lags = self._lags, []
        phases, self._sent_phases = self._sent_phases, []
        for phase in dict.fromkeys(phases or (None,)):
            of_phase = [lag for lag, each in zip(lags, phases, strict=True) if each == phase] if phases else lags
            self._current.count_all_sent(of_phase, phase=phase)
        self._count_ids()
        settled, self._settled = self._settled, SettledRequests()
        settled.count_in(self._current, self.listener)
        settled.count_stalled_in(self._current, self.stalls)
        for assessment, times in Counter(settled.assessments).items():
            self._clauses.add(assessment, times)

    def _count_ids(self) -> None:
        """Count the buffered request ids, and find those that are repeated."""
        answers = self._settled.take_ids()
        request_ids = [request_id for request_id, _ in answers]
        found = [(index, REPEATED_ID) for index in self._clauses.repeated(request_ids)]
        if request_ids and (leak := self.leak_in_ids(request_ids)) is not None:
            found.append(leak)
        for index, violation in found:
            request_id, request = answers[index]
            self._findings.add(violation, self._request_id(request_id), partial(self.reproduce, request))

    def _count_plan(self, interval: Interval) -> None:
        """Count the planned requests of a second."""
        for phase, count in self._planned.pop(interval.second, Counter[str | None]()).items():
            interval.count_planned(phase=phase, times=count)

    def _interval_of(self, intended_start: Seconds) -> Interval:
        """The interval in which a request with this intended start is counted."""
        second = int(intended_start)
        if second == self._current.second:
            return self._current
        intervals = self._late if second < self._current.second else self._ahead
        return intervals.setdefault(second, self._empty(second))

    def _empty(self, second: int) -> Interval:
        return Interval(second=second, worker=self._worker)
