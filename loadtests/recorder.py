"""
From what happens to what is written: one interval a second, evidence as it comes, and the end.

Every event is counted in the second in which it happens (a planned or unsent request in that of its intended start). A
second is written once it is over; whatever must be counted in it later is appended as a second line for the same
second, so that every sum over the file is exact. The run's own totals are counted apart from the intervals, to be held
against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.contract.departures import Departure
from chainproof.contract.levels import Contract
from chainproof.results.exchange import Exchange, Fate, NotSent
from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.interval import Interval
from chainproof.results.manifest import End, Ending

from .evidence import Clauses, Codes, Exemplars, Findings

SLOWEST_EVERY = 10
"""Seconds between two writings of the slowest exemplars: a slowly rising latency makes every answer the slowest yet."""


@dataclass(slots=True, kw_only=True)
class Accounting:
    """
    What became of the plan: planned = sent + not_sent, sent = ok + failed + timed_out + censored.
    """

    planned: int = 0
    not_sent: int = 0
    sent: int = 0
    ok: int = 0
    failed: int = 0
    timed_out: int = 0
    censored: int = 0

    def settle(self, fate: Fate) -> None:
        """Count what became of a sent request."""
        name = fate.value
        setattr(self, name, getattr(self, name) + 1)

    def add(self, other: Mapping[str, int]) -> None:
        """Add other totals, by name."""
        for name, value in other.items():
            setattr(self, name, getattr(self, name) + value)

    def to_json(self) -> dict[str, int]:
        """The totals by name."""
        return asdict(self)

    def contradiction(self) -> str:
        """What does not add up, in words; empty when everything does."""
        settled = self.ok + self.failed + self.timed_out + self.censored
        if self.planned != self.sent + self.not_sent:
            return f"planned {self.planned} ≠ sent {self.sent} + not sent {self.not_sent}"
        if self.sent != settled:
            return f"sent {self.sent} ≠ ok, failed, timed out and censored together {settled}"
        return ""


class Sink(Protocol):
    """
    Where a record goes: a run folder, or whoever writes one from several records.
    """

    def interval(self, interval: Interval, /) -> None:
        """Take one second, or a part of it."""
        ...

    def exemplar(self, exemplar: Exemplar, /) -> None:
        """Take one exchange worth keeping."""
        ...

    def finding(self, finding: Finding, /) -> None:
        """Take a finding, or its newer count."""
        ...

    def clause(self, count: ClauseCount, /) -> None:
        """Take how often a clause was put to the test, or its newer count."""
        ...

    def finish(self, end: End, /) -> None:
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
        phase_of: Callable[[Seconds], str | None] = lambda _: None,
        shaped: bool = False,
        flushed: Callable[[Recorder], None] | None = None,
    ) -> None:
        """
        *phase_of* names the phase of an intended start, if it is in one; *shaped* where outputs are held against the
        chain's own schema; *flushed* is told when a second's lines are complete.
        """
        self._phase_of = phase_of
        self._sink = sink
        self._flushed = flushed
        self._worker = worker
        self._planned: dict[int, Counter[str | None]] = {}
        self._current = Interval(second=0, worker=worker)
        self._over: list[Interval] = []
        self._late: dict[int, Interval] = {}
        self._ahead: dict[int, Interval] = {}
        self._slowest_due = SLOWEST_EVERY
        self._exemplars = Exemplars()
        self._findings = Findings(seed)
        self._clauses = Clauses(contract, shaped=shaped)
        self._codes = Codes()
        self.counted_code: Callable[[str | None], str | None] = self._codes.counted
        self.accounting = Accounting()
        self.in_flight = 0

    # ------------------------------------------------------------------ what happens

    def plan(self, starts: Iterable[Seconds]) -> None:
        """Take note of a whole plan before the run begins."""
        for start in starts:
            self._planned.setdefault(int(start), Counter())[self._phase_of(start)] += 1
        self.accounting.planned += sum(counts.total() for counts in self._planned.values())
        self._take_plan(self._current)

    def plan_one(self, intended: Seconds) -> None:
        """Count a request that is planned as it is sent: the closed model's."""
        self.accounting.planned += 1
        self._at(intended).plan(phase=self._phase_of(intended))

    def leave_out(self, intended: Seconds, why: NotSent) -> None:
        """Count a planned request that is not sent."""
        self.accounting.not_sent += 1
        self._at(intended).leave_out(why, phase=self._phase_of(intended))

    def send(self, start: Seconds, intended: Seconds) -> None:
        """Count a request as it is sent."""
        self.accounting.sent += 1
        current = self._now(start)
        self.in_flight += 1
        current.send(start - intended, phase=self._phase_of(intended))
        current.in_flight_max = max(current.in_flight_max, self.in_flight)

    def settle(self, exchange: Exchange, now: Seconds, reason: str, payload: str | None = None) -> None:
        """Count what became of a request, at the instant it was decided; of its kind of *payload* apart, if it has one."""
        self.accounting.settle(exchange.outcome.fate)
        current = self._now(now)
        self.in_flight -= 1
        current.settle(
            exchange.outcome,
            exchange.response_time,
            exchange.service_time,
            payload=payload,
            phase=self._phase_of(exchange.intended_start),
        )
        self._exemplars.consider(exchange, reason)

    def judge(self, answer: Answer, departed: tuple[Departure, ...], reproduce: Callable[[], str]) -> None:
        """Count what an answer says of the contract."""
        self._clauses.add(answer, departed)
        request_id = answer.request_id
        repeated = self._clauses.repeated(request_id)
        for departure in (*departed, repeated) if repeated is not None else departed:
            self._findings.add(departure, request_id, reproduce)

    # ------------------------------------------------------------------ what is written

    def flush(self, now: Seconds) -> None:
        """Write every second that is over, and what is new of the evidence."""
        self._now(now)
        self._write_intervals()
        for exemplar in self._exemplars.fresh():
            self._sink.exemplar(exemplar)
        if now >= self._slowest_due:
            self._slowest_due = int(now) + SLOWEST_EVERY
            self._write_slowest()
        for found in self._findings.changed():
            self._sink.finding(found)
        if self._flushed is not None:
            self._flushed(self)

    def finish(self, now: Seconds, ending: Ending, note: str) -> None:
        """Write everything that is left, and the end."""
        self._now(now).in_flight = self.in_flight
        self._over.append(self._current)
        self.flush(now)
        self._write_slowest()
        for second in list(self._planned):
            self._take_plan(self._ahead.setdefault(second, self._empty(second)))
        for interval in self._ahead.values():
            self._sink.interval(interval)
        for count in self._clauses.counts():
            self._sink.clause(count)
        if self._clauses.ids_full:
            note = (
                f"{note}; " * bool(note) + "more request ids came than are remembered: the later ones were not compared"
            )
        self._sink.finish(End(ending=ending, seconds=now, accounting=self.accounting.to_json(), note=note))

    def _write_intervals(self) -> None:
        over, self._over = self._over, []
        late, self._late = self._late, {}
        for interval in (*over, *late.values()):
            self._sink.interval(interval)

    def _write_slowest(self) -> None:
        for exemplar in self._exemplars.slowest():
            self._sink.exemplar(exemplar)

    # ------------------------------------------------------------------ which second

    def _now(self, now: Seconds) -> Interval:
        """
        The interval of the present second; those before it are over.
        """
        while self._current.second + 1 <= now:
            self._current.in_flight = self.in_flight
            self._over.append(self._current)
            second = self._current.second + 1
            self._current = self._ahead.pop(second, self._empty(second))
            self._take_plan(self._current)
            self._current.in_flight_max = self.in_flight
        return self._current

    def _take_plan(self, interval: Interval) -> None:
        """
        Count what the plan has for a second.
        """
        for phase, count in self._planned.pop(interval.second, Counter[str | None]()).items():
            interval.plan(phase=phase, times=count)

    def _at(self, intended: Seconds) -> Interval:
        """
        Where a request with this intended start is counted.
        """
        second = int(intended)
        if second == self._current.second:
            return self._current
        side = self._late if second < self._current.second else self._ahead
        return side.setdefault(second, self._empty(second))

    def _empty(self, second: int) -> Interval:
        return Interval(second=second, worker=self._worker)
