"""The summary of a conformance run: the state of every clause, the findings, the verdict and the caveats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from chainproof.contract.accepted_violations import Acceptance
from chainproof.contract.clauses import CLAUSES, USER_CHECK, Clause
from chainproof.contract.deviations import WAIVED_FROM, is_waived
from chainproof.contract.levels import Contract
from chainproof.judgement.caveat import Caveat, CaveatCode
from chainproof.judgement.conformance_verdict import ConformanceEvidence, conformance_verdict, is_decided
from chainproof.judgement.run_caveats import assumed_path, damaged, emulated, expired_acceptances, unused_acceptances
from chainproof.judgement.severity import failing_levels, sort_findings
from chainproof.judgement.verdict import Verdict
from chainproof.results.coverage import NOT_SELECTED
from chainproof.results.finding import Finding
from chainproof.results.folder import Run
from chainproof.results.manifest import Ending


class ClauseState(StrEnum):
    """The state of one clause after a conformance run."""

    PASSED = "passed"
    FAILED = "failed"
    WITH_WARNINGS = "with warnings"
    """Violated, but only a recommendation: it fails a run only with `--fail-on should`."""
    INCONCLUSIVE = "inconclusive"
    """Not violated, but tested by too few answers to show a violation in 1 of 10."""
    NOT_EXERCISED = "not exercised"
    WAIVED = "waived"
    """The selected contract does not demand it, or its violations were accepted with `--accept`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseRow:
    """One clause in a conformance report."""

    clause: Clause
    state: ClauseState
    exercised: int
    violations: int
    acceptance: Acceptance | None = None
    """The acceptance of a violated clause, if there is one."""
    why: str = ""
    """Why the clause was not exercised, if it was not and the reason is recorded."""

    @property
    def detectable_share(self) -> float | None:
        """
        The smallest share of violating answers that the run would have shown with 95 % probability; None without answers.

        It is p with (1 - p)^n = 5 % for n independent answers.
        """
        return 1 - 0.05 ** (1 / self.exercised) if self.exercised else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceSummary:
    """Clauses, findings, verdict and caveats of one conformance run."""

    run: Run
    verdict: Verdict
    reason: str
    """The verdict in one sentence."""
    clauses: tuple[ClauseRow, ...]
    findings: tuple[Finding, ...]
    """Most severe first."""
    caveats: tuple[Caveat, ...]


def summarise_conformance(run: Run) -> ConformanceSummary:
    """The summary of one conformance run."""
    rows = tuple(_clause_rows(run))
    verdict, reason = conformance_verdict(_evidence(run))
    return ConformanceSummary(
        run=run,
        verdict=verdict,
        reason=reason,
        clauses=rows,
        findings=sort_findings(run.findings),
        caveats=tuple(_caveats(run, rows)),
    )


def _clause_rows(run: Run) -> Iterator[ClauseRow]:
    """The row of every clause."""
    counts = {count.clause: count for count in run.clauses}
    violated = {finding.clause for finding in run.findings}
    reasons = run.coverage.not_exercised if run.coverage is not None else {}
    unknown = _ENDED_BEFORE if _is_cut(run) else _UNDECIDED
    for clause in (*CLAUSES, *((USER_CHECK,) if USER_CHECK.id in counts else ())):
        count = counts.get(clause.id)
        exercised = count.exercised if count is not None else 0
        acceptance = run.manifest.acceptance_of(clause.id) if clause.id in violated else None
        state = _clause_state(run, clause, exercised=exercised, violated=clause.id in violated, acceptance=acceptance)
        yield ClauseRow(
            clause=clause,
            state=state,
            exercised=exercised,
            violations=count.violations if count is not None else 0,
            acceptance=acceptance,
            why=(reasons.get(clause.id) or unknown) if state is ClauseState.NOT_EXERCISED else "",
        )


def _clause_state(
    run: Run, clause: Clause, *, exercised: int, violated: bool, acceptance: Acceptance | None
) -> ClauseState:
    """The state of a clause."""
    if acceptance is not None:
        return ClauseState.WAIVED
    if violated:
        fails = clause.level in failing_levels(run.manifest.known_settings.fail_on)
        return ClauseState.FAILED if fails else ClauseState.WITH_WARNINGS
    if is_waived(clause, Contract(run.manifest.contract)):
        return ClauseState.WAIVED
    if not exercised:
        return ClauseState.NOT_EXERCISED
    return ClauseState.PASSED if is_decided(clause, exercised) else ClauseState.INCONCLUSIVE


def _evidence(run: Run) -> ConformanceEvidence:
    """The evidence for the verdict, from a run folder."""
    ending = run.end.ending if run.end is not None else None
    note = run.end.note if run.end is not None else ""
    return ConformanceEvidence(
        findings=run.findings,
        exercised={count.clause: count.exercised for count in run.clauses},
        day=run.manifest.day,
        acceptances=run.manifest.acceptances,
        contract=Contract(run.manifest.contract),
        fail_on=run.manifest.known_settings.fail_on,
        ending=ending,
        damage=run.damage,
        blocked_reason=note if ending is Ending.COMPLETED else "",
        was_accepted=run.coverage is None or bool(run.coverage.statuses.get(200)),
        has_inputs=run.manifest.known_settings.has_inputs,
        cut_by=run.coverage.cut_by if run.coverage is not None else "",
        internal_error=note if ending is Ending.INTERNAL_ERROR else "",
        machine_fault=note if ending is Ending.MACHINE_FAULT else "",
        selection=run.manifest.known_settings.selection,
    )


def _caveats(run: Run, rows: tuple[ClauseRow, ...]) -> Iterator[Caveat]:
    """Every caveat of a conformance run."""
    yield from damaged(run)
    yield from _unfinished(run)
    yield from _selected(run)
    yield from _not_exercised(run, rows)
    yield from _known_deviations(rows)
    yield from expired_acceptances(run)
    yield from unused_acceptances(run)
    yield from assumed_path(run)
    yield from emulated(run)


def _unfinished(run: Run) -> Iterator[Caveat]:
    """A run that ended early says nothing about the checks that it did not run."""
    if run.end is None:
        yield Caveat(
            code=CaveatCode.UNFINISHED,
            text="The run did not end: later checks were not run, and some findings may be missing.",
            remedy="If it still goes on, report on it after its end; else run it again.",
            invalidates=True,
        )
    elif run.end.ending in (Ending.INTERRUPTED, Ending.MACHINE_FAULT):
        yield Caveat(
            code=CaveatCode.UNFINISHED,
            text="The run ended early: later checks were not run.",
            remedy="Let it run to its end.",
        )
    elif run.coverage is not None and run.coverage.cut_by:
        yield Caveat(
            code=CaveatCode.UNFINISHED,
            text=f"The run is incomplete: {run.coverage.cut_by}. {run.coverage.requests:,} requests were sent.",
            remedy="If the target stopped, see its log. If a limit of the run was reached, raise it (--time-budget, --max-requests). Then run it again.",
        )


def _selected(run: Run) -> Iterator[Caveat]:
    """A run of selected checks says nothing about the others."""
    selection = run.manifest.known_settings.selection
    if selection:
        yield Caveat(
            code=CaveatCode.SELECTED_CHECKS,
            text=f"Only the checks that -k {selection!r} selects were run, and the verdict covers only these.",
            remedy="Run without -k for a verdict on the whole contract.",
        )


def _known_deviations(rows: tuple[ClauseRow, ...]) -> Iterator[Caveat]:
    """The owner of a chain cannot mend what the service in front of it does."""
    violated = [row.clause for row in rows if row.state is ClauseState.FAILED and row.clause in WAIVED_FROM]
    if violated:
        wider = max((WAIVED_FROM[clause] for clause in violated), key=list(Contract).index)
        yield Caveat(
            code=CaveatCode.KNOWN_DEVIATIONS,
            text=f"Baseten's own service is known to violate {', '.join(clause.id for clause in violated)}. The owner of a chain cannot "
            "mend this.",
            remedy=f"If the target is a chain on Baseten, use --contract {wider}, which waives what the service is known to do. If it is "
            "your own gateway, mend it.",
        )


_OPTIONS = {
    "echo": "--echo says that the chain accepts any object and returns it",
    "steerable": "--steerable says that the target honours X-Emulate",
}
"""Options that tell a run what it cannot find out about the target."""
_SCHEMAS = "--input-schema and --output-schema say what the chain accepts and returns"


_ENDED_BEFORE = "the run ended before"
_UNDECIDED = "no answer decided it"
"""Why clauses were not exercised for which a run has no reason."""


_MAX_NAMES = 10
"""How many clauses a caveat names. The HTML report lists every clause with its state."""


def _idle_clauses(why: str, ids: list[str]) -> str:
    """The clauses that were not exercised for a reason; only their number if they are many, or if the user did not select them."""
    if why == NOT_SELECTED:
        return f"{len(ids)} {'clause' if len(ids) == 1 else 'clauses'} whose checks were not selected"
    names = ", ".join(ids) if len(ids) <= _MAX_NAMES else f"{len(ids)} clauses"
    return f"{names}{f' ({why})' if why else ''}"


def _remedy_for_idle_clauses(run: Run) -> str:
    """What would test more clauses; empty if no option would."""
    settings = run.manifest.known_settings
    if _is_cut(run):
        return ""
    if run.coverage is not None and not run.coverage.statuses.get(200):
        if settings.has_inputs:
            return "Give inputs that the chain accepts: `chainproof call` shows how it answers one."
        return (
            "Say what the chain accepts: --input-schema or --payloads. Without an input, most clauses cannot be tested."
        )
    if settings.has_inputs and not run.manifest.emulated:
        return ""
    unset = [words for name, words in _OPTIONS.items() if not getattr(settings, name)]
    unset = unset if run.manifest.emulated else [_SCHEMAS, *unset]
    return f"If it applies: {'; '.join(unset)}." if unset else ""


def _is_cut(run: Run) -> bool:
    """Whether a run could not send what it had planned: its clauses lack requests, not options."""
    return bool((run.end and run.end.note) or (run.coverage and run.coverage.cut_by))


def _not_exercised(run: Run, rows: tuple[ClauseRow, ...]) -> Iterator[Caveat]:
    """A clause that was not exercised may be violated."""
    idle: dict[str, list[str]] = {}
    for row in rows:
        if row.state is ClauseState.NOT_EXERCISED:
            idle.setdefault(row.why, []).append(row.clause.id)
    if idle:
        yield Caveat(
            code=CaveatCode.NOT_EXERCISED,
            text=f"Not tested: {'; '.join(_idle_clauses(why, ids) for why, ids in idle.items())}.",
            remedy=_remedy_for_idle_clauses(run) if set(idle) - {NOT_SELECTED} else "",
        )
