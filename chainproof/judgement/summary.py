"""
All that a report says, computed once: formats only write it down.

A summary is a function of one run folder, a report one of several; nothing here reads a clock, a file or an option.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chainproof.clock import PerSecond
from chainproof.contract.clauses import CLAUSE, CLAUSES, SINGLE_ANSWER, Clause, waived
from chainproof.contract.errors import Blame, blame
from chainproof.contract.levels import Contract, Level
from chainproof.judgement.accounting import Accounting, accounting
from chainproof.judgement.caveats import QUANTILES, Caveat, Evidence, caveats, too_late
from chainproof.judgement.objectives import Judged, judge
from chainproof.judgement.verdict import Verdict, gravest
from chainproof.results.exchange import Fate, Outcome, Transport
from chainproof.results.finding import Finding
from chainproof.results.folder import Run
from chainproof.results.interval import Interval, by_second, total
from chainproof.results.manifest import Ending, Kind
from chainproof.statistics.histogram import Histogram, merged
from chainproof.statistics.intervals import Estimate, quantile
from chainproof.workload.objectives import parse_objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    A distribution of times in a few numbers, in seconds.
    """

    count: int
    quantiles: dict[str, Estimate]
    """By name (`p50` … `p99.9`), each with its 95 % interval; empty when nothing was counted."""
    max: float | None
    min: float | None
    mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCount:
    """
    How often one outcome came up, and who is to act on it.
    """

    outcome: Outcome
    count: int
    blame: Blame | None
    """None for ok, and where no answer says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """
    All that is to say of one load run.
    """

    run: Run
    verdict: Verdict
    reason: str
    """The verdict in one sentence."""
    accounting: Accounting
    whole: Interval
    seconds: tuple[Interval, ...]
    """One interval a second, workers merged."""
    figures: dict[str, Figure]
    """`response_time_s`, `service_time_s` (every complete answer) and `schedule_lag_s` (every request sent)."""
    figures_by_fate: dict[str, dict[str, Figure]]
    """The first two apart for ok and failed answers."""
    throughput: PerSecond
    """Complete answers per second while requests were sent."""
    ok_per_second: PerSecond
    outcomes: tuple[OutcomeCount, ...]
    """Most frequent first."""
    objectives: tuple[Judged, ...]
    caveats: tuple[Caveat, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Departures seen under load."""
        return in_order(self.run.findings)


class ClauseState(StrEnum):
    """
    What a conformance run says of one clause.
    """

    PASSED = "passed"
    FAILED = "failed"
    NOT_EXERCISED = "not exercised"
    WAIVED = "waived"
    """The contract asked for takes it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseRow:
    """
    One clause in a conformance report.
    """

    clause: Clause
    state: ClauseState
    exercised: int
    departed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceSummary:
    """
    All that is to say of one conformance run.
    """

    run: Run
    verdict: Verdict
    reason: str
    clauses: tuple[ClauseRow, ...]
    findings: tuple[Finding, ...]
    """Gravest first."""
    caveats: tuple[Caveat, ...]


Summary = LoadSummary | ConformanceSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    One or more runs on one page.
    """

    summaries: tuple[Summary, ...]

    @property
    def verdict(self) -> Verdict:
        """The gravest of the runs' verdicts."""
        return gravest(summary.verdict for summary in self.summaries)

    @property
    def reason(self) -> str:
        """The verdict in a few words: the reasons of the runs that decide it."""
        deciding = [summary for summary in self.summaries if summary.verdict is self.verdict]
        if len(self.summaries) == 1:
            return deciding[0].reason
        reasons = (f"{summary.run.manifest.kind.value.capitalize()}: {summary.reason}" for summary in deciding)
        return " ".join(dict.fromkeys(reasons))

    @property
    def kind(self) -> str:
        """`load`, `conformance`, or `combined`."""
        found = {summary.run.manifest.kind.value for summary in self.summaries}
        return found.pop() if len(found) == 1 else "combined"

    @property
    def loads(self) -> tuple[LoadSummary, ...]:
        """The load runs."""
        return tuple(summary for summary in self.summaries if isinstance(summary, LoadSummary))

    @property
    def conformances(self) -> tuple[ConformanceSummary, ...]:
        """The conformance runs."""
        return tuple(summary for summary in self.summaries if isinstance(summary, ConformanceSummary))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every run's findings, gravest first."""
        return tuple(found for _, found in self.attributed_findings)

    @property
    def attributed_findings(self) -> tuple[tuple[Summary, Finding], ...]:
        """Every run's findings, gravest first, each behind the run it was found in."""
        pairs = [(summary, found) for summary in self.summaries for found in summary.findings]
        return tuple(sorted(pairs, key=lambda pair: gravity(pair[1])))


def report(runs: Iterable[Run]) -> Report:
    """
    What several runs amount to.
    """
    return Report(summaries=tuple(summary(run) for run in runs))


def summary(run: Run) -> Summary:
    """
    What one run amounts to.
    """
    return summarise_load(run) if run.manifest.kind is Kind.LOAD else summarise_conformance(run)


def summarise_load(run: Run) -> LoadSummary:
    """
    What one load run amounts to.
    """
    seconds = tuple(by_second(run.intervals))
    whole = total(run.intervals)
    counted = accounting(whole)
    throughput, ok_per_second = _rates(run, seconds)
    judged = tuple(judge(parse_objective(text), whole, ok_per_second) for text in run.manifest.objectives)
    doubts = caveats(Evidence(run=run, whole=whole, accounting=counted))
    verdict, reason = _load_verdict(run, whole, counted, judged, doubts)
    return LoadSummary(
        run=run,
        verdict=verdict,
        reason=reason,
        accounting=counted,
        whole=whole,
        seconds=seconds,
        figures={
            "response_time_s": figure(merged(whole.response_time.values())),
            "service_time_s": figure(merged(whole.service_time.values())),
            "schedule_lag_s": figure(whole.schedule_lag),
        },
        figures_by_fate={
            fate.value: {
                "response_time_s": figure(whole.response_time[fate]),
                "service_time_s": figure(whole.service_time[fate]),
            }
            for fate in whole.response_time
        },
        throughput=throughput,
        ok_per_second=ok_per_second,
        outcomes=tuple(_outcome_count(outcome, count) for outcome, count in whole.outcomes.most_common()),
        objectives=judged,
        caveats=doubts,
    )


def summarise_conformance(run: Run) -> ConformanceSummary:
    """
    What one conformance run amounts to.
    """
    rows = tuple(_clause_rows(run))
    verdict, reason = _conformance_verdict(run, rows)
    return ConformanceSummary(
        run=run,
        verdict=verdict,
        reason=reason,
        clauses=rows,
        findings=in_order(run.findings),
        caveats=tuple(_conformance_caveats(run, rows)),
    )


def figure(histogram: Histogram) -> Figure:
    """
    A distribution in a few numbers.
    """
    estimates = {name: quantile(histogram, fraction) for name, fraction in QUANTILES}
    return Figure(
        count=histogram.count,
        quantiles={name: estimate for name, estimate in estimates.items() if estimate is not None},
        max=histogram.max,
        min=histogram.min,
        mean=histogram.mean,
    )


_LEVEL_ORDER = {level.value: place for place, level in enumerate((Level.MUST, Level.ASSUMED, Level.SHOULD))}
_CLAUSE_ORDER = {clause.id: place for place, clause in enumerate(CLAUSES)}


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """
    Findings by level, then in the contract's order, then the most frequent first.
    """
    return tuple(sorted(findings, key=gravity))


def gravity(found: Finding) -> tuple[int, int, int, tuple[str, str, str]]:
    """
    What findings are sorted by, the gravest first.
    """
    return (
        _LEVEL_ORDER.get(found.level, len(_LEVEL_ORDER)),
        _CLAUSE_ORDER.get(found.clause, len(_CLAUSE_ORDER)),
        -found.count,
        found.key,
    )


# ------------------------------------------------------------------ load


def _rates(run: Run, seconds: tuple[Interval, ...]) -> tuple[PerSecond, PerSecond]:
    """
    Complete answers and ok ones per second, over the whole seconds in which requests were sent.

    The drain is left out: it has answers but no requests, and would dilute the rate by the slowest straggler.
    """
    asked = run.manifest.settings.get("duration_s")
    planned = float(asked) if isinstance(asked, int | float) else float(len(seconds))
    sending = min(planned, run.end.seconds) if run.end is not None else min(planned, float(len(seconds)))
    window = max(int(sending), 1)
    inside = total(second for second in seconds if second.second < window)
    answered = sum(count for outcome, count in inside.outcomes.items() if outcome.transport is Transport.ANSWERED)
    return answered / window, inside.count(Fate.OK) / window


def _outcome_count(outcome: Outcome, count: int) -> OutcomeCount:
    """
    An outcome with whoever is to act on it.
    """
    blamed = None
    if outcome.transport is Transport.ANSWERED and outcome.status != 200:
        blamed = blame(outcome.error_code, outcome.status)
    elif outcome.fate is Fate.FAILED and outcome.transport is Transport.ANSWERED:
        blamed = Blame.CHAIN
    return OutcomeCount(outcome=outcome, count=count, blame=blamed)


def _load_verdict(
    run: Run, whole: Interval, counted: Accounting, judged: tuple[Judged, ...], doubts: tuple[Caveat, ...]
) -> tuple[Verdict, str]:
    """
    The verdict, and why.
    """
    if run.end is not None and run.end.ending is Ending.BROKEN:
        return Verdict.ERROR, f"The run broke, through no fault of the target: {run.end.note or 'no reason recorded'}."
    spoiled = [caveat.code for caveat in doubts if caveat.invalidates]
    if spoiled:
        return Verdict.INVALID, f"The measurement cannot be trusted: {', '.join(spoiled)}."
    verdict, reason = _objectives_verdict(judged)
    if verdict is not Verdict.PASS and too_late(whole.schedule_lag.quantile(0.99), run.manifest.objectives):
        return Verdict.INVALID, "The generator was too late to hold what it saw against the target: GENERATOR_LATE."
    if verdict is Verdict.PASS and run.end is not None and run.end.ending is Ending.INTERRUPTED:
        return Verdict.INCONCLUSIVE, "The run was interrupted: what it saw is fine, and not all that was asked."
    if verdict is Verdict.PASS and counted.sent == 0:
        return Verdict.INCONCLUSIVE, "Nothing was sent."
    return verdict, reason


def _objectives_verdict(judged: tuple[Judged, ...]) -> tuple[Verdict, str]:
    """
    What the objectives say, by themselves.
    """
    if not judged:
        return Verdict.PASS, "No objective was set: nothing was asked."
    verdict = gravest(each.verdict for each in judged)
    decisive = ", ".join(each.objective.text for each in judged if each.verdict is verdict)
    reasons = {
        Verdict.PASS: f"Every objective is met: {decisive}.",
        Verdict.FAIL: f"Missed: {decisive}.",
        Verdict.INCONCLUSIVE: f"Too few requests to say: {decisive}.",
    }
    return verdict, reasons[verdict]


# ------------------------------------------------------------------ conformance


def failing_levels(run: Run) -> frozenset[str]:
    """
    The levels whose departures fail this run: must and assumed, unless `--fail-on` said otherwise.
    """
    asked = run.manifest.settings.get("fail_on", Level.ASSUMED.value)
    lowest = _LEVEL_ORDER.get(str(asked), _LEVEL_ORDER[Level.ASSUMED.value])
    return frozenset(level for level, place in _LEVEL_ORDER.items() if place <= lowest)


def _clause_rows(run: Run) -> Iterable[ClauseRow]:
    """
    Every clause with what the run says of it.
    """
    contract = Contract(run.manifest.contract)
    counts = {count.clause: count for count in run.clauses}
    departed = {finding.clause for finding in run.findings}
    for clause in CLAUSES:
        count = counts.get(clause.id)
        exercised = count.exercised if count is not None else 0
        if clause.id in departed:
            state = ClauseState.FAILED
        elif waived(clause, contract):
            state = ClauseState.WAIVED
        else:
            state = ClauseState.PASSED if exercised else ClauseState.NOT_EXERCISED
        yield ClauseRow(
            clause=clause, state=state, exercised=exercised, departed=count.departed if count is not None else 0
        )


def _conformance_verdict(run: Run, rows: tuple[ClauseRow, ...]) -> tuple[Verdict, str]:
    """
    The verdict, and why.
    """
    if run.end is not None and run.end.ending is Ending.BROKEN:
        return Verdict.ERROR, f"The run broke, through no fault of the target: {run.end.note or 'no reason recorded'}."
    binding = failing_levels(run)
    broken = list(dict.fromkeys(finding.clause for finding in in_order(run.findings) if finding.level in binding))
    if broken:
        return Verdict.FAIL, f"{len(broken)} clause{'s' * (len(broken) != 1)} broken: {', '.join(broken)}."
    if run.end is None or run.end.ending is Ending.INTERRUPTED:
        return Verdict.INCONCLUSIVE, "The run did not come to its end; nothing is broken as far as it went."
    if run.end.note:
        return Verdict.INCONCLUSIVE, f"{run.end.note.rstrip('.')}."
    held = sum(row.state is ClauseState.PASSED for row in rows)
    if not held:
        return Verdict.INCONCLUSIVE, "No clause was put to the test."
    return Verdict.PASS, f"{held} clauses were put to the test and hold."


def _conformance_caveats(run: Run, rows: tuple[ClauseRow, ...]) -> Iterable[Caveat]:
    """
    How far a conformance run reaches.
    """
    if run.end is None or run.end.ending is Ending.INTERRUPTED:
        yield Caveat(
            code="UNFINISHED", text="The run ended early: later checks were not made.", remedy="Run it to its end."
        )
    idle = [row.clause.id for row in rows if row.state is ClauseState.NOT_EXERCISED]
    if idle:
        yield Caveat(
            code="NOT_EXERCISED",
            text=f"Not put to the test: {', '.join(idle)}.",
            remedy="--echo tells that the chain returns its input, --steerable that it honours X-Emulate; both hold for "
            "the emulator.",
        )
    if run.manifest.emulated:
        yield Caveat(
            code="EMULATED",
            text="The target was chainproof's own emulator.",
            remedy="Name your chain with --target.",
        )


def clause_of(finding: Finding) -> Clause | None:
    """
    The clause that a finding names, or None for one that this version does not know.
    """
    return CLAUSE.get(finding.clause)


UNDER_LOAD: frozenset[str] = frozenset(clause.id for clause in SINGLE_ANSWER)
"""The clauses that a load run holds every answer against."""
