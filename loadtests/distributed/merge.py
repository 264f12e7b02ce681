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
from chainproof.results.exchange import Fate, NotSent, Outcome, Transport
from chainproof.results.finding import ClauseCount, Finding, finding
from chainproof.results.interval import Interval, Slice
from chainproof.results.manifest import End, Ending, LostWorker
from chainproof.workload.workload import Model

from ..demand import Demand, Share
from ..engine.base_run import Course
from ..recording.recorder import Accounting, Sink
from ..recording.request_ids import REPEATED, ToldIds
from .messages import Report

SILENCE: Seconds = 5.0
"""A worker that says nothing for so long is lost: it has a report to send every second."""
_LOOK: Seconds = 0.25

_OURS = ""
"""In place of a worker's name: what only the master can see."""
_UNKNOWN = Outcome(Transport.DRAIN_ENDED, None, None, Fate.CENSORED)


@dataclass(slots=True, eq=False)
class Member:
    """
    One worker of a run, as its reports show it.
    """

    client: str
    """Its name among Locust's nodes."""
    share: Share
    process: int = 0
    reports: int = 0
    heard: Seconds = 0.0
    """When it last reported, on the monotonic clock."""
    until: Seconds = 0.0
    in_flight: int = 0
    accounting: Accounting = field(default_factory=Accounting)
    whole: Interval = field(default_factory=lambda: Interval(second=-1))
    planned: Counter[tuple[int, str | None]] = field(default_factory=Counter)
    """By second and phase, as far as it has told."""
    end: End | None = None
    lost: str = ""
    """Why nothing is known of it any more; empty as long as something is."""

    @property
    def worker(self) -> str:
        """Its name in the record."""
        return str(self.share.index)

    @property
    def settled(self) -> bool:
        """Whether nothing more is to come from it."""
        return self.end is not None or bool(self.lost)

    def hear(self, report: Report) -> None:
        """Take what it says of itself."""
        self.reports += 1
        self.heard = time.monotonic()
        self.until = report.until
        self.in_flight = report.in_flight
        self.accounting = Accounting(**report.accounting)
        self.end = report.end
        for interval in report.intervals:
            self.whole.merge_counts(interval)
            inside = {name: part.planned for name, part in interval.phases.items()}
            self.planned[interval.second, None] += interval.planned - sum(inside.values())
            for name, count in inside.items():
                self.planned[interval.second, name] += count


class Gathering(Course):
    """
    Several workers' records becoming one.
    """

    def __init__(
        self,
        demand: Demand,
        plan: array[float],
        members: Iterable[Member],
        sink: Sink,
        *,
        halt: Callable[[str], None],
        let_go: Callable[[Member], None],
        phase_of: Callable[[Seconds], str | None] | None = None,
    ) -> None:
        """
        *phase_of* names the phase of an intended start, the demand's unless given; *halt* tells every worker to `stop`, `interrupt` or `censor`; *let_go* ends a lost one where that can be done.
        """
        super().__init__()
        self.demand = demand
        self.members = {member.client: member for member in members}
        self._plan = plan
        self._sink = sink
        self._halt = halt
        self._let_go = let_go
        self._phase_of = phase_of or demand.workload.phase_at
        self._zero: Seconds = 0.0
        self._findings: dict[tuple[str, str, str], dict[str, Finding]] = {}
        self._clauses: dict[str, dict[str, ClauseCount]] = {}
        self._request_ids = ToldIds()
        self._repeated = 0
        self._news = Event()

    # ------------------------------------------------------------------ from beginning to end

    def begin(self, zero: Seconds) -> None:
        """Let second 0 be an instant of the monotonic clock."""
        self._zero = zero
        for member in self.members.values():
            member.heard = zero

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
        self._interrupted()
        self._halt("interrupt")

    def censor(self) -> None:
        """Wait for no answer any more."""
        self._halt("censor")

    @property
    def in_flight(self) -> int:
        """Requests started and not settled, as last told."""
        return sum(member.in_flight for member in self.members.values())

    @property
    def accounting(self) -> Accounting:
        """What became of the requests so far, as last told."""
        whole = Accounting()
        for member in self.members.values():
            whole.add(member.accounting.to_json())
        return whole

    @property
    def lost(self) -> list[Member]:
        """The workers of whom nothing is known any more."""
        return [member for member in self.members.values() if member.lost]

    def supervise(self) -> None:
        """Wait until every worker has told everything or is lost, and close the run folder."""
        try:
            while not all(member.settled for member in self.members.values()):
                self._news.wait(_LOOK)
                self._news.clear()
                self._miss()
            self._finish()
        except Exception as wrong:  # noqa: BLE001  # our own error: the exit code tells, the folder may not be able to
            traceback.print_exc()
            self.break_off(f"{type(wrong).__name__}: {wrong}")
        finally:
            self._finished.set()

    # ------------------------------------------------------------------ what the workers tell

    def hear(self, client: str, report: Report) -> None:
        """Enter a report."""
        member = self.members.get(client)
        if member is None or member.settled or report.number < member.reports:
            return  # of another run, or given up: its accounts are closed
        if report.number > member.reports:
            self._lose(member, f"{report.number - member.reports} of its reports did not arrive")
            return
        member.hear(report)
        for interval in report.intervals:
            self._sink.interval(interval)
        for exemplar in report.exemplars:
            self._sink.exemplar(exemplar)
        for found in report.findings:
            self._sink.finding(self._known(client, found))
        for count in report.clauses:
            self._clauses.setdefault(count.clause, {})[client] = count
        self._compare(report.request_ids)
        if report.end is not None:
            self._take_end(member, report.end)
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
        found = finding(REPEATED, seed=self.demand.seed, check="loadtests")
        self._sink.finding(self._known(_OURS, replace(found, count=self._repeated)))
        count = ClauseCount(clause=found.clause, exercised=0, departed=self._repeated)
        self._clauses.setdefault(found.clause, {})[_OURS] = count

    def _known(self, client: str, found: Finding) -> Finding:
        """
        A finding as counted by all workers together, and by ourselves.
        """
        counted = self._findings.setdefault(found.key, {})
        counted[client] = found
        first = next((each for each in counted.values() if each.reproduce), found)
        return replace(first, count=sum(each.count for each in counted.values()))

    def _take_end(self, member: Member, end: End) -> None:
        """
        Draw from how one worker ended what becomes of the others.
        """
        if end.ending is Ending.BROKEN:
            self.break_off(f"worker {member.worker}: {end.note}")
            return
        if end.note and end.note not in self.note:
            self.note += f"; {end.note}" if self.note else end.note
        if end.ending is Ending.INTERRUPTED and self.ending is Ending.COMPLETED:
            self.interrupt()

    def _miss(self) -> None:
        """
        Give up whoever has been silent for too long.
        """
        silent = time.monotonic() - SILENCE
        for member in self.members.values():
            if not member.settled and member.heard < silent:
                self._lose(member, f"no report for {SILENCE:.0f} s")

    def _lose(self, member: Member, why: str) -> None:
        """
        Go on without a worker, which is to say: not at all.
        """
        member.lost = why
        self.interrupt()
        self._let_go(member)
        self._news.set()

    # ------------------------------------------------------------------ the end

    def _finish(self) -> None:
        ends = [member.end.seconds for member in self.members.values() if member.end is not None]
        seconds = self.now() if self.lost else max(ends, default=0.0)
        for member in self.lost:
            self._close(member)
        for counts in self._clauses.values():
            self._sink.clause(_together(counts.values()))
        whole = self.accounting
        wrong = whole.contradiction() or self._unplanned(whole)
        if wrong and self.ending is not Ending.BROKEN:
            self.ending, self.note = Ending.BROKEN, wrong
        lost = tuple(
            LostWorker(worker=member.worker, start=float(int(member.until)), end=seconds, why=member.lost)
            for member in self.lost
        )
        travelled = Counter[str]()
        for member in self.members.values():
            travelled.update(member.whole.wire.counts())
        self._sink.finish(
            End(
                ending=self.ending,
                seconds=seconds,
                accounting=whole.to_json(),
                note=self.note,
                lost=lost,
                wire=dict(travelled),
                guard=self._guard,
            )
        )

    def _unplanned(self, whole: Accounting) -> str:
        """
        How the workers' plans differ from ours, in words; empty when they do not.
        """
        retried = self.demand.retry is not None and whole.planned > len(self._plan)
        if self.demand.workload.model is Model.CLOSED or whole.planned == len(self._plan) or retried:
            return ""
        return f"the workers planned {whole.planned} requests ≠ {len(self._plan)} of the plan"

    def _close(self, member: Member) -> None:
        """
        Close the accounts of a lost worker.
        """
        starts = (self._plan[number] for number in member.share.numbers(len(self._plan)))
        promised = Counter((int(start), self._phase_of(start)) for start in starts)
        for interval in closing(member, promised - member.planned):
            self._sink.interval(interval)
            member.whole.merge_counts(interval)
        member.accounting = _summed(member.whole)
        member.in_flight = 0


def closing(member: Member, untold: Counter[tuple[int, str | None]]) -> Iterator[Interval]:
    """
    The intervals that close the accounts of a lost worker: *untold* requests of its plan by second and phase, unsent for
    all that is known; those it had told of and not sent; and those in flight.
    """
    whole = member.whole
    for (second, phase), count in sorted(untold.items(), key=lambda each: each[0][0]):
        interval = Interval(second=second, worker=member.worker)
        interval.plan(phase=phase, times=count)
        for _ in range(count):
            interval.leave_out(NotSent.STOPPED, phase=phase)
        yield interval
    last = Interval(second=max(int(member.until), 0), worker=member.worker)
    _settle_rest(last, whole)
    for name, part in whole.phases.items():
        _settle_rest(last.phases.setdefault(name, Slice()), part)
    yield last


def _settle_rest(last: Slice, told: Slice) -> None:
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
        departed=sum(count.departed for count in each),
    )


def _summed(whole: Slice) -> Accounting:
    """
    The totals that intervals amount to.
    """
    fates = {fate.value: whole.count(fate) for fate in Fate}
    return Accounting(planned=whole.planned, not_sent=whole.not_sent.total(), sent=whole.sent, **fates)
