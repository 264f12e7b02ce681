"""
All that a report says, computed once: formats only write it down.

A summary is a function of one run folder, a report one of several; nothing here reads a clock, a file or an option.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from math import ceil

from chainproof.clock import PerSecond, Seconds
from chainproof.contract.accepted_violations import Acceptance, is_accepted
from chainproof.contract.clauses import CLAUSES, Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import Responsible, responsible
from chainproof.contract.levels import Contract, Level
from chainproof.judgement.accounting import Accounting, accounting
from chainproof.judgement.caveats import (
    QUANTILES,
    Caveat,
    CaveatInput,
    assumed_path,
    caveats,
    expired_acceptances,
    unused_acceptances,
)
from chainproof.judgement.cold_start import ColdStart, cold_start
from chainproof.judgement.generator_health import GeneratorIssue
from chainproof.judgement.generator_health import generator_issues as generator_doubts
from chainproof.judgement.objectives import ObjectiveResult, evaluate_objective
from chainproof.judgement.verdict import Verdict, worst_verdict
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.finding import Finding
from chainproof.results.folder import Run
from chainproof.results.interval import Interval, RequestStats, by_second, merge_stats, total
from chainproof.results.manifest import Ending, Guard, Manifest, RunKind
from chainproof.results.search_record import SearchRecord
from chainproof.results.settings import PhaseSpan
from chainproof.statistics.histogram import Histogram, merge_histograms
from chainproof.statistics.intervals import Estimate, quantile
from chainproof.workload.objectives import parse_objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
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
    responsible: Responsible | None
    """None for ok, and where no answer says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSummary:
    """
    What became of the requests with one payload.
    """

    name: str
    counts: dict[Result, int]
    response_time: Timing
    """Of every complete answer."""
    response_time_by_result: dict[str, Timing]
    """Apart for ok and failed answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSummary:
    """
    What became of the requests whose intended start lies in one phase.
    """

    phase: PhaseSpan
    accounting: Accounting
    timings: dict[str, Timing]
    timings_by_result: dict[str, dict[str, Timing]]
    throughput: PerSecond
    """Complete answers per second while the phase lasted, whenever their requests had been sent."""
    ok_per_second: PerSecond


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
    judged: RequestStats
    """The requests of the judged phases, all where there are no phases: what figures and objectives come from."""
    seconds: tuple[Interval, ...]
    """One interval a second, workers merged."""
    timings: dict[str, Timing]
    """`response_time_s`, `service_time_s` (every complete answer) and `schedule_lag_s` (every request sent)."""
    timings_by_result: dict[str, dict[str, Timing]]
    """The first two apart for ok and failed answers."""
    throughput: PerSecond
    """Complete answers per second while requests were sent, in judged phases where there are phases."""
    ok_per_second: PerSecond
    cold_start: ColdStart
    phases: tuple[PhaseSummary, ...]
    """In their order; empty where the workload has none, or the record does not tell them apart."""
    payloads: tuple[PayloadSummary, ...]
    """By name, of judged phases; empty where there is only one."""
    outcomes: tuple[OutcomeCount, ...]
    """Most frequent first."""
    objectives: tuple[ObjectiveResult, ...]
    caveats: tuple[Caveat, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Violations seen under load."""
        return sort_findings(self.run.findings)


class ClauseState(StrEnum):
    """
    What a conformance run says of one clause.
    """

    PASSED = "passed"
    FAILED = "failed"
    WITH_WARNINGS = "with warnings"
    """Departed from, and advice: it fails no run unless `--fail-on` says so."""
    NOT_EXERCISED = "not exercised"
    WAIVED = "waived"
    """The contract asked for takes it back, or its violations were accepted beforehand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseRow:
    """
    One clause in a conformance report.
    """

    clause: Clause
    state: ClauseState
    exercised: int
    violations: int
    acceptance: Acceptance | None = None
    """Of a clause that was departed from, what accepts it."""
    why: str = ""
    """Of a clause that was not exercised, the reason, where there is one on record."""

    @property
    def detectable_share(self) -> float | None:
        """
        The least share of answers that, had it departed from this clause, would have been seen with 95 % probability:
        p where (1 - p)^n = 5 %, n answers being independent of each other. None where none was held against the clause.
        """
        return 1 - 0.05 ** (1 / self.exercised) if self.exercised else None


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
    searches: tuple[SearchRecord, ...] = ()
    """Those whose runs these are, or some of them."""

    @property
    def verdict(self) -> Verdict:
        """The gravest of the runs' verdicts."""
        return worst_verdict(summary.verdict for summary in self.summaries)

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
    def load_runs(self) -> tuple[LoadSummary, ...]:
        """The load runs."""
        return tuple(summary for summary in self.summaries if isinstance(summary, LoadSummary))

    @property
    def conformance_runs(self) -> tuple[ConformanceSummary, ...]:
        """The conformance runs."""
        return tuple(summary for summary in self.summaries if isinstance(summary, ConformanceSummary))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every run's findings, gravest first."""
        return tuple(found for _, found in self.findings_with_runs)

    @property
    def findings_with_runs(self) -> tuple[tuple[Summary, Finding], ...]:
        """Every run's findings, gravest first, each behind the run it was found in."""
        pairs = [(summary, found) for summary in self.summaries for found in summary.findings]
        return tuple(sorted(pairs, key=lambda pair: severity(pair[1])))


def report(runs: Iterable[Run], searches: Iterable[SearchRecord] = ()) -> Report:
    """
    What several runs amount to, some of which may have been made by *searches*.
    """
    return Report(summaries=tuple(summary(run) for run in runs), searches=tuple(searches))


def summary(run: Run) -> Summary:
    """
    What one run amounts to.
    """
    return summarise_load(run) if run.manifest.kind is RunKind.LOAD else summarise_conformance(run)


def summarise_load(run: Run) -> LoadSummary:
    """
    What one load run amounts to.
    """
    seconds = tuple(by_second(run.intervals))
    whole = total(run.intervals)
    counted = accounting(whole)
    throughput, ok_per_second = _rates(run, seconds)
    part = _judged_part(run.manifest, whole)
    start = cold_start(run, seconds)
    judged = tuple(
        evaluate_objective(parse_objective(text), part, ok_per_second, start) for text in run.manifest.objectives
    )
    unfit = tuple(generator_doubts(run.manifest, whole, part, seconds))
    doubts = caveats(
        CaveatInput(run=run, whole=whole, judged=part, accounting=counted, start=start, generator_issues=unfit)
    )
    verdict, reason = _load_verdict(run, unfit, counted, judged, doubts)
    return LoadSummary(
        run=run,
        verdict=verdict,
        reason=reason,
        accounting=counted,
        whole=whole,
        judged=part,
        seconds=seconds,
        timings=timings(part),
        timings_by_result=timings_by_result(part),
        throughput=throughput,
        ok_per_second=ok_per_second,
        cold_start=start,
        phases=tuple(_phases(run, whole, seconds)),
        payloads=tuple(_payloads(part)),
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
        findings=sort_findings(run.findings),
        caveats=tuple(_conformance_caveats(run, rows)),
    )


def acceptance(summary: Summary, found: Finding) -> Acceptance | None:
    """
    What accepts a finding, or None: the one that lasts longest.
    """
    return _acceptance(summary.run.manifest, found.clause)


def _acceptance(manifest: Manifest, clause_id: str) -> Acceptance | None:
    """
    What accepts violations from a clause on the day the run began.
    """
    holding = [each for each in manifest.acceptances if is_accepted(clause_id, [each], manifest.day)]
    return max(holding, key=lambda each: each.until or date.max, default=None)


def timings(part: RequestStats) -> dict[str, Timing]:
    """
    The three times of some requests.
    """
    return {
        "response_time_s": timing(merge_histograms(part.response_time.values())),
        "service_time_s": timing(merge_histograms(part.service_time.values())),
        "schedule_lag_s": timing(part.schedule_lag),
    }


def timings_by_result(part: RequestStats) -> dict[str, dict[str, Timing]]:
    """
    The times of complete answers, apart for ok and failed ones.
    """
    return {
        result.value: {
            "response_time_s": timing(part.response_time[result]),
            "service_time_s": timing(part.service_time[result]),
        }
        for result in part.response_time
    }


def timing(histogram: Histogram) -> Timing:
    """
    A distribution in a few numbers.
    """
    estimates = {name: quantile(histogram, fraction) for name, fraction in QUANTILES}
    return Timing(
        count=histogram.count,
        quantiles={name: estimate for name, estimate in estimates.items() if estimate is not None},
        max=histogram.max,
        min=histogram.min,
        mean=histogram.mean,
    )


_LEVEL_ORDER = {level.value: place for place, level in enumerate((Level.MUST, Level.ASSUMED, Level.SHOULD))}
_CLAUSE_ORDER = {clause.id: place for place, clause in enumerate(CLAUSES)}


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """
    Findings by level, then in the contract's order, then the most frequent first.
    """
    return tuple(sorted(findings, key=severity))


def severity(found: Finding) -> tuple[int, int, int, tuple[str, str, str]]:
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


def _judged_part(manifest: Manifest, whole: Interval) -> RequestStats:
    """
    The requests of the judged phases; all of them where no phase is judged, or none is on record.
    """
    judged = dict.fromkeys(phase.name for phase in manifest.phases if phase.judged)
    if judged and whole.phases:
        return merge_stats(whole.phases[name] for name in judged if name in whole.phases)
    everything = merge_stats([whole])
    for part in whole.phases.values():
        everything.add(RequestStats(payloads=part.payloads))
    return everything


def _phases(run: Run, whole: Interval, seconds: tuple[Interval, ...]) -> Iterable[PhaseSummary]:
    """
    Every phase with what became of its requests.
    """
    for phase in run.manifest.phases if whole.phases else ():
        part = whole.phases.get(phase.name, RequestStats())
        throughput, ok_per_second = _rates_within([(phase.start, min(phase.end, _sending(run, seconds)))], seconds)
        yield PhaseSummary(
            phase=phase,
            accounting=accounting(part),
            timings=timings(part),
            timings_by_result=timings_by_result(part),
            throughput=throughput,
            ok_per_second=ok_per_second,
        )


def _payloads(part: RequestStats) -> Iterable[PayloadSummary]:
    """
    Every payload with what became of its requests, where there are several.
    """
    for name, each in sorted(part.payloads.items()) if len(part.payloads) > 1 else ():
        yield PayloadSummary(
            name=name,
            counts={result: each.count(result) for result in Result},
            response_time=timing(merge_histograms(each.response_time.values())),
            response_time_by_result={result.value: timing(times) for result, times in each.response_time.items()},
        )


def _sending(run: Run, seconds: tuple[Interval, ...]) -> Seconds:
    """
    How long requests were sent.
    """
    asked = run.manifest.settings.get("duration_s")
    planned = float(asked) if isinstance(asked, int | float) else float(len(seconds))
    return min(planned, run.end.seconds if run.end is not None else float(len(seconds)))


def _rates(run: Run, seconds: tuple[Interval, ...]) -> tuple[PerSecond, PerSecond]:
    """
    Complete answers and ok ones per second, over the whole seconds in which requests were sent.

    The drain is left out: it has answers but no requests, and would dilute the rate by the slowest straggler. Where
    phases are judged, so are their seconds alone.
    """
    sending = _sending(run, seconds)
    judged = [(phase.start, min(phase.end, sending)) for phase in run.manifest.phases if phase.judged]
    recorded = any(second.phases for second in seconds)
    return _rates_within(judged if judged and recorded else [(0.0, max(sending, 1.0))], seconds)


def _rates_within(
    stretches: list[tuple[Seconds, Seconds]], seconds: tuple[Interval, ...]
) -> tuple[PerSecond, PerSecond]:
    """
    Complete answers and ok ones per second, over the whole seconds within some stretches of a run; 0 where there is none.
    """
    whole_seconds = [(ceil(start), int(end)) for start, end in stretches if ceil(start) < int(end)]
    window = sum(end - start for start, end in whole_seconds)
    inside = [each for each in seconds if any(start <= each.second < end for start, end in whole_seconds)]
    answered, ok = sum(each.answered for each in inside), sum(each.count(Result.OK) for each in inside)
    return (answered / window, ok / window) if window else (0.0, 0.0)


def _outcome_count(outcome: Outcome, count: int) -> OutcomeCount:
    """
    An outcome with whoever is to act on it.
    """
    blamed = None
    if outcome.transport is Transport.ANSWERED and outcome.status != 200:
        blamed = responsible(outcome.error_code, outcome.status)
    elif outcome.result is Result.FAILED and outcome.transport is Transport.ANSWERED:
        blamed = Responsible.CHAIN
    return OutcomeCount(outcome=outcome, count=count, responsible=blamed)


def _load_verdict(
    run: Run,
    unfit: tuple[GeneratorIssue, ...],
    counted: Accounting,
    judged: tuple[ObjectiveResult, ...],
    doubts: tuple[Caveat, ...],
) -> tuple[Verdict, str]:
    """
    The verdict, and why.
    """
    if run.end is not None and run.end.ending is Ending.INTERNAL_ERROR:
        return Verdict.ERROR, f"The run broke, through no fault of the target: {run.end.note or 'no reason recorded'}."
    spoiled = [caveat.code for caveat in doubts if caveat.invalidates]
    if spoiled:
        return Verdict.INVALID, f"The measurement cannot be trusted: {', '.join(spoiled)}."
    if any(caveat.code == "KEY_REJECTED" for caveat in doubts):
        return Verdict.INCONCLUSIVE, "The target refuses the API key: KEY_REJECTED."
    verdict, reason = _objectives_verdict(judged)
    guard = run.end.guard if run.end is not None else None
    if guard in (Guard.TARGET_UNREACHABLE, Guard.ERROR_BUDGET) and run.end is not None:
        return Verdict.FAIL, f"Ended early by a guard: {run.end.note}."
    ours = [doubt.code for doubt in unfit if doubt.invalidates_failures]
    if ours and (verdict is not Verdict.PASS or not judged):
        return Verdict.INVALID, f"What was seen may be the generator's own doing: {', '.join(ours)}."
    if verdict is Verdict.PASS and run.end is not None and run.end.ending is Ending.INTERRUPTED:
        return Verdict.INCONCLUSIVE, "The run was interrupted: what it saw is fine, and not all that was asked."
    if verdict is Verdict.PASS and guard is not None and run.end is not None:
        return Verdict.INCONCLUSIVE, f"Ended early by a guard: {run.end.note}."
    if verdict is Verdict.PASS and counted.sent == 0:
        return Verdict.INCONCLUSIVE, "Nothing was sent."
    return verdict, reason


def _objectives_verdict(judged: tuple[ObjectiveResult, ...]) -> tuple[Verdict, str]:
    """
    What the objectives say, by themselves.
    """
    if not judged:
        return Verdict.PASS, "No objective was set: nothing was asked."
    verdict = worst_verdict(each.verdict for each in judged)
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
    The levels whose violations fail this run: must and assumed, unless `--fail-on` said otherwise.
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
    violations, binding = {finding.clause for finding in run.findings}, failing_levels(run)
    why = run.coverage.not_exercised if run.coverage is not None else {}
    for clause in CLAUSES:
        count = counts.get(clause.id)
        exercised = count.exercised if count is not None else 0
        accepting = _acceptance(run.manifest, clause.id) if clause.id in violations else None
        if clause.id in violations:
            state = ClauseState.FAILED if clause.level.value in binding else ClauseState.WITH_WARNINGS
            state = state if accepting is None else ClauseState.WAIVED
        elif is_waived(clause, contract):
            state = ClauseState.WAIVED
        else:
            state = ClauseState.PASSED if exercised else ClauseState.NOT_EXERCISED
        yield ClauseRow(
            clause=clause,
            state=state,
            exercised=exercised,
            violations=count.violations if count is not None else 0,
            acceptance=accepting,
            why=why.get(clause.id, "") if state is ClauseState.NOT_EXERCISED else "",
        )


def _conformance_verdict(run: Run, rows: tuple[ClauseRow, ...]) -> tuple[Verdict, str]:
    """
    The verdict, and why.
    """
    if run.end is not None and run.end.ending is Ending.INTERNAL_ERROR:
        return Verdict.ERROR, f"The run broke, through no fault of the target: {run.end.note or 'no reason recorded'}."
    binding = failing_levels(run)
    violations = list(
        dict.fromkeys(finding.clause for finding in sort_findings(run.findings) if finding.level in binding)
    )
    broken = [clause for clause in violations if _acceptance(run.manifest, clause) is None]
    known = [clause for clause in violations if clause not in broken]
    also = f" Departed from, and accepted: {', '.join(known)}." if known else ""
    if broken:
        return Verdict.FAIL, f"{len(broken)} clause{'s' * (len(broken) != 1)} broken: {', '.join(broken)}.{also}"
    if run.end is None or run.end.ending is Ending.INTERRUPTED:
        return Verdict.INCONCLUSIVE, f"The run did not come to its end; nothing is broken as far as it went.{also}"
    if run.end.note:
        return Verdict.INCONCLUSIVE, f"{run.end.note.rstrip('.')}."
    held = sum(row.state is ClauseState.PASSED for row in rows)
    if not held and not known:
        return Verdict.INCONCLUSIVE, "No clause was put to the test."
    return Verdict.PASS, f"{held} clauses were put to the test and hold.{also}"


_TOLD = {
    "echo": "--echo says that the chain takes any object and returns it",
    "steerable": "--steerable says that the target honours X-Emulate",
}
"""What a user may know of a target and we cannot find out, by the setting that says it."""


def _conformance_caveats(run: Run, rows: tuple[ClauseRow, ...]) -> Iterable[Caveat]:
    """
    How far a conformance run reaches.
    """
    if run.end is None or run.end.ending is Ending.INTERRUPTED:
        yield Caveat(
            code="UNFINISHED", text="The run ended early: later checks were not made.", remedy="Run it to its end."
        )
    idle = [
        f"{row.clause.id} ({row.why})" if row.why else row.clause.id
        for row in rows
        if row.state is ClauseState.NOT_EXERCISED
    ]
    if idle:
        settings = run.manifest.settings
        untold = [words for name, words in _TOLD.items() if not settings.get(name)]
        yield Caveat(
            code="NOT_EXERCISED",
            text=f"Not put to the test: {'; '.join(idle)}.",
            remedy=f"Where it is so: {'; '.join(untold)}." if untold and not (run.end and run.end.note) else "",
        )
    yield from expired_acceptances(run)
    yield from unused_acceptances(run)
    yield from assumed_path(run)
    if run.manifest.emulated:
        yield Caveat(
            code="EMULATED",
            text="The target was chainproof's own emulator.",
            remedy="Name your chain with --target.",
        )
