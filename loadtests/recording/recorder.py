"""
From what happens to what is written: one interval a second, evidence as it comes, and the end.

Every event is counted in the second in which it happens (a planned or unsent request in that of its intended start). A
second is written once it is over; whatever must be counted in it later is appended as a second line for the same
second, so that every sum over the file is exact. The run's own totals are counted apart from the intervals, to be held
against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.contract.levels import Contract
from chainproof.contract.violations import Violation
from chainproof.judgement.accounting import Accounting
from chainproof.results.exchange import Exchange, NotSent, Outcome, Result
from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.generator_health import GeneratorHealth
from chainproof.results.interval import Interval
from chainproof.results.manifest import Ending, Guard, RunEnd

from ..client.reply import Reply
from .exemplars import ClauseCounter, ErrorCodeLabels, Exemplars, FindingCounter, KeptBodies, no_bodies
from .in_flight_request import InFlightRequest

BATCH_SIZE = 200
"""Requests that are noted before they are entered: few enough that entering them keeps nothing waiting."""
SLOWEST_INTERVAL = 10
"""Seconds between two writings of the slowest exemplars: a slowly rising latency makes every answer the slowest yet."""


class Sink(Protocol):
    """
    Where a record goes: a run folder, or whoever writes one from several records.
    """

    def write_interval(self, interval: Interval, /) -> None:
        """Take one second, or a part of it."""
        ...

    def write_exemplar(self, exemplar: Exemplar, /) -> None:
        """Take one exchange worth keeping."""
        ...

    def write_finding(self, finding: Finding, /) -> None:
        """Take a finding, or its newer count."""
        ...

    def write_clause(self, count: ClauseCount, /) -> None:
        """Take how often a clause was put to the test, or its newer count."""
        ...

    def finish(self, end: RunEnd, /) -> None:
        """Take it that nothing follows."""
        ...


class Recorder:
    """
    From events to lines, one worker's view.
    """

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
        on_flush: Callable[[Recorder], None] | None = None,
    ) -> None:
        """
        *phase_of* names the phase of an intended start, if it is in one, where there are any; *shaped* where outputs are
        held against the chain's own schema, *checked* by a check of the user's own; *flushed* is told when a second's lines are complete.
        """
        self._phased = phase_of is not None
        self._phase_of: Callable[[Seconds], str | None] = phase_of if phase_of is not None else lambda _: None
        self._sink = sink
        self._flushed = on_flush
        self._worker = worker
        self._planned: dict[int, Counter[str | None]] = {}
        self._current = Interval(second=0, worker=worker)
        self._over_at: Seconds = 1.0
        self._read: list[tuple[Seconds, Seconds]] = []
        self._sent_bytes = self._received_bytes = 0
        self._travelled: Counter[str] = Counter()
        self._usual: Outcome | None = None
        """An outcome whose exemplars are all there but for the slowest; by its identity."""
        self._slow: Seconds = 0.0
        """What an answer must have taken to be one of the slowest."""
        self._sent: list[tuple[Seconds, str | None]] = []
        self._settled: list[tuple[Outcome, Seconds, Seconds, str | None, str | None]] = []
        self._over: list[Interval] = []
        self._late: dict[int, Interval] = {}
        self._ahead: dict[int, Interval] = {}
        self._slowest_due = SLOWEST_INTERVAL
        self._exemplars = Exemplars()
        self._findings = FindingCounter(seed)
        self._clauses = ClauseCounter(
            contract, has_output_schema=has_output_schema, has_user_check=has_user_check, track_new=on_flush is not None
        )
        self._codes = ErrorCodeLabels()
        self.code_label: Callable[[str | None], str | None] = self._codes.counted
        self.accounting = Accounting()
        self.in_flight = 0

    # ------------------------------------------------------------------ what happens

    def plan(self, starts: Iterable[Seconds]) -> None:
        """Take note of a whole plan before the run begins."""
        for start in starts:
            self._planned.setdefault(int(start), Counter())[self._phase_of(start)] += 1
        self.accounting.planned += sum(counts.total() for counts in self._planned.values())
        self._take_plan(self._current)

    def replan(self, start: Seconds, starts: Iterable[Seconds]) -> None:
        """Take note of another plan in place of what was planned from the second *start* on, which has not begun."""
        replaced = [self._planned.pop(second) for second in list(self._planned) if second >= start]
        self.accounting.planned -= sum(counts.total() for counts in replaced)
        for intended_start in starts:
            self._planned.setdefault(int(intended_start), Counter())[self._phase_of(intended_start)] += 1
            self.accounting.planned += 1

    def plan_request(self, intended_start: Seconds) -> None:
        """Count a request that is planned as it is sent: the closed model's."""
        self.accounting.planned += 1
        if not self._phased and self._current.second <= intended_start < self._over_at:
            self._current.planned += 1
        else:
            self._at(intended_start).count_planned(phase=self._phase_of(intended_start))

    def count_not_sent(self, intended_start: Seconds, why: NotSent) -> None:
        """Count a planned request that is not sent."""
        self.accounting.not_sent += 1
        self._at(intended_start).count_not_sent(why, phase=self._phase_of(intended_start))

    def count_sent(self, request: InFlightRequest) -> None:
        """Count a request as it is sent. Its wait for a slot is not part of the schedule lag."""
        assert request.start is not None
        self.accounting.sent += 1
        current = self._current if request.start < self._over_at else self._now(request.start)
        self.in_flight += 1
        current.in_flight_max = max(current.in_flight_max, self.in_flight)
        intended_start, slot_wait = request.intended_start, request.slot_wait
        if slot_wait:
            current.network.slot_wait.record(slot_wait)
        phase = self._phase_of(intended_start) if self._phased else None
        self._sent.append((request.start - intended_start - slot_wait, phase))
        if len(self._sent) >= BATCH_SIZE:
            self._enter()

    def count_settled(self, request: InFlightRequest, outcome: Outcome, now: Seconds) -> bool:
        """Count a settled request at the present instant. True if it may be an exemplar: call `keep_exemplar` then."""
        assert request.start is not None
        self.accounting.settle(outcome.result)
        if now >= self._over_at:
            self._now(now)
        self.in_flight -= 1
        intended_start, end = request.intended_start, request.end
        response_time = end - intended_start
        payload = request.encoded_request.payload_name if request.encoded_request is not None else None
        phase = self._phase_of(intended_start) if self._phased else None
        self._settled.append((outcome, response_time, end - request.start, payload, phase))
        if len(self._settled) >= BATCH_SIZE:
            self._enter()
        return outcome is not self._usual or response_time > self._slow

    def record_timing(self, reply: Reply, start: Seconds) -> None:
        """Count how an answer travelled whose request started at that instant of its clock."""
        if reply.first_byte is not None and reply.answer is not None:
            self._read.append((reply.first_byte - start, reply.read_at - reply.end))
        self._sent_bytes += reply.sent
        self._received_bytes += reply.received
        if reply.connect_time is not None or reply.replaced:
            self._current.network.record_connection(reply.connect_time, reply.tls_time, reply.replaced)

    def count_call(self, attempts: int, result: Result, total_time: Seconds, now: Seconds) -> None:
        """Count what a caller who tries again met in the end."""
        self._now(now).calls.end(attempts, result, total_time)

    def keep_exemplar(self, exchange: Exchange, reason: str, bodies: Callable[[], KeptBodies] = no_bodies) -> None:
        """Keep an exchange if it is an exemplar, with its *bodies*."""
        self._exemplars.consider(exchange, reason, bodies)
        slowest_threshold = self._exemplars.slowest_threshold(exchange.outcome)
        if slowest_threshold is not None and exchange.outcome.result is Result.OK:
            self._usual, self._slow = exchange.outcome, slowest_threshold

    def record_answer(self, answer: Answer, violations: tuple[Violation, ...], reproduce: Callable[[], str]) -> None:
        """Count what an answer says of the contract."""
        self._clauses.add(answer, violations)
        request_id = answer.request_id
        repeated = self._clauses.repeated(request_id)
        if violations or repeated is not None:
            for violation in (*violations, repeated) if repeated is not None else violations:
                self._findings.add(violation, request_id, reproduce)

    def generator_health(self, now: Seconds) -> GeneratorHealth:
        """What the present second says of the generator itself."""
        current = self._now(now)
        if current.generator_health is None:
            current.generator_health = GeneratorHealth()
        return current.generator_health

    def sample_outputs(self, outputs_checked: Callable[[], int]) -> None:
        """Let whoever holds outputs against their schema say how many he did."""
        self._clauses.outputs_checked = outputs_checked

    @property
    def clauses(self) -> tuple[ClauseCount, ...]:
        """How often each clause has been put to the test so far."""
        return tuple(self._clauses.counts())

    def new_request_ids(self) -> bytes:
        """Digests of the request ids that came first since this was last asked, where somebody else is told."""
        return self._clauses.ids.take_new()

    # ------------------------------------------------------------------ what is written

    def flush(self, now: Seconds) -> None:
        """Write every second that is over, and what is new of the evidence."""
        self._now(now)
        self._write_intervals()
        for exemplar in self._exemplars.new_exemplars():
            self._sink.write_exemplar(exemplar)
        if now >= self._slowest_due:
            self._slowest_due = int(now) + SLOWEST_INTERVAL
            self._write_slowest()
        for found in self._findings.changed_findings():
            self._sink.write_finding(found)
        if self._flushed is not None:
            self._flushed(self)

    def finish(self, now: Seconds, ending: Ending, note: str, guard: Guard | None = None) -> None:
        """Write everything that is left, and the end."""
        self._now(now).in_flight = self.in_flight
        self._over.append(self._current)
        self.flush(now)
        self._write_slowest()
        for second in list(self._planned):
            self._take_plan(self._ahead.setdefault(second, self._empty(second)))
        for interval in self._ahead.values():
            self._sink.write_interval(interval)
        for count in self._clauses.counts():
            self._sink.write_clause(count)
        end = RunEnd(
            ending=ending,
            seconds=now,
            accounting=self.accounting.to_json(),
            note=note,
            network=dict(self._travelled),
            guard=guard,
        )
        self._sink.finish(end)

    def _write_intervals(self) -> None:
        over, self._over = self._over, []
        late, self._late = self._late, {}
        for interval in (*over, *late.values()):
            self._travelled.update(interval.network.counts())
            self._sink.write_interval(interval)

    def _write_slowest(self) -> None:
        for exemplar in self._exemplars.slowest():
            self._sink.write_exemplar(exemplar)

    # ------------------------------------------------------------------ which second

    def _now(self, now: Seconds) -> Interval:
        """
        The interval of the present second; those before it are over.
        """
        self._enter()
        while self._current.second + 1 <= now:
            self._current.in_flight = self.in_flight
            self._over.append(self._current)
            second = self._current.second + 1
            self._current = self._ahead.pop(second, self._empty(second))
            self._take_plan(self._current)
            self._current.in_flight_max = self.in_flight
        self._over_at = self._current.second + 1.0
        return self._current

    def _enter(self) -> None:
        """
        Enter in the present second what was noted in it. Many at once cost a third of what they cost one by one.
        """
        sent, self._sent = self._sent, []
        lags: dict[str | None, list[Seconds]] = {}
        for lag, phase in sent:
            lags.setdefault(phase, []).append(lag)
        for phase, values in lags.items():
            self._current.count_all_sent(values, phase=phase)
        read, self._read = self._read, []
        wire = self._current.network
        wire.record_answers([first for first, _ in read], [lag for _, lag in read])
        wire.sent_bytes += self._sent_bytes
        wire.received_bytes += self._received_bytes
        self._sent_bytes = self._received_bytes = 0
        settled, self._settled = self._settled, []
        times: dict[tuple[int, str | None, str | None], tuple[Outcome, list[Seconds], list[Seconds]]] = {}
        for outcome, response_time, service_time, payload, phase in settled:
            # By identity: equal outcomes that are two objects are two groups, which add up all the same.
            group = times.setdefault((id(outcome), payload, phase), (outcome, [], []))
            group[1].append(response_time)
            group[2].append(service_time)
        for (_, payload, phase), (outcome, response_times, service_times) in times.items():
            self._current.count_outcomes(outcome, response_times, service_times, payload=payload, phase=phase)

    def _take_plan(self, interval: Interval) -> None:
        """
        Count what the plan has for a second.
        """
        for phase, count in self._planned.pop(interval.second, Counter[str | None]()).items():
            interval.count_planned(phase=phase, times=count)

    def _at(self, intended_start: Seconds) -> Interval:
        """
        Where a request with this intended start is counted.
        """
        second = int(intended_start)
        if second == self._current.second:
            return self._current
        side = self._late if second < self._current.second else self._ahead
        return side.setdefault(second, self._empty(second))

    def _empty(self, second: int) -> Interval:
        return Interval(second=second, worker=self._worker)
