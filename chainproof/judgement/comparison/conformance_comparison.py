"""The comparison of conformance runs: new, fixed and unchanged findings, and clauses that are no longer tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chainproof.judgement.comparison.comparability import ComparisonCaveat
from chainproof.judgement.conformance_summary import ClauseState, ConformanceSummary
from chainproof.judgement.severity import failing_levels, sort_findings
from chainproof.judgement.verdict import Verdict
from chainproof.results.finding import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceComparison:
    """Conformance runs of a candidate, compared with those of a baseline."""

    new: tuple[Finding, ...]
    """Findings of the candidate alone, the most severe first."""
    failing: tuple[Finding, ...]
    """Those of them that fail the run."""
    fixed: tuple[Finding, ...]
    """Findings of the baseline alone, on clauses that the candidate's runs exercised."""
    unchanged: tuple[Finding, ...]
    """Findings of both."""
    lost_coverage: tuple[str, ...]
    """Ids of the clauses that only the baseline's runs exercised."""
    gained_coverage: tuple[str, ...]
    verdict: Verdict
    reason: str
    next_steps: tuple[str, ...]
    caveats: tuple[ComparisonCaveat, ...]


def compare_conformance(
    candidates: Sequence[ConformanceSummary], baselines: Sequence[ConformanceSummary]
) -> ConformanceComparison:
    """The comparison of runs that can be compared. Of several runs of a side, every finding counts."""
    after, before = _findings(candidates), _findings(baselines)
    covered, covered_before = _exercised(candidates), _exercised(baselines)
    new = sort_findings(found for key, found in after.items() if key not in before)
    gone = [found for key, found in before.items() if key not in after]
    lost = tuple(sorted(covered_before - covered))
    failing = tuple(found for found in new if _fails(found, candidates[-1]))
    fixed = sort_findings(found for found in gone if found.clause in covered)
    unchanged = sort_findings(found for key, found in after.items() if key in before)
    verdict, reason = _verdict(failing, lost, candidates)
    return ConformanceComparison(
        new=new,
        failing=failing,
        fixed=fixed,
        unchanged=unchanged,
        lost_coverage=lost,
        gained_coverage=tuple(sorted(covered - covered_before)),
        verdict=verdict,
        reason=f"{reason} Findings: {len(new)} new, {len(fixed)} fixed, {len(unchanged)} unchanged.",
        next_steps=tuple(_next_steps(verdict, lost)),
        caveats=tuple(_seeds(candidates, baselines, new)),
    )


def _findings(summaries: Sequence[ConformanceSummary]) -> dict[tuple[str, str, str], Finding]:
    """The findings of some runs by key."""
    return {found.key: found for summary in summaries for found in summary.findings}


def _exercised(summaries: Sequence[ConformanceSummary]) -> frozenset[str]:
    """Ids of the clauses that any of the runs exercised."""
    return frozenset(
        row.clause.id
        for summary in summaries
        for row in summary.clauses
        if row.exercised or row.state in (ClauseState.FAILED, ClauseState.WITH_WARNINGS)
    )


def _fails(found: Finding, summary: ConformanceSummary) -> bool:
    """Whether a finding fails the run: its level does, and it was not accepted."""
    manifest = summary.run.manifest
    levels = failing_levels(manifest.known_settings.fail_on)
    return found.level in levels and manifest.acceptance_of(found.clause) is None


def _verdict(
    failing: Sequence[Finding], lost: Sequence[str], candidates: Sequence[ConformanceSummary]
) -> tuple[Verdict, str]:
    """The verdict, and why."""
    if failing:
        clauses = ", ".join(dict.fromkeys(found.clause for found in failing))
        return Verdict.FAIL, f"New {'findings' if len(failing) > 1 else 'finding'}: {clauses}."
    if lost:
        return Verdict.INCONCLUSIVE, f"No new finding, but these clauses are no longer tested: {', '.join(lost)}."
    undecided = next((each for each in candidates if each.verdict is Verdict.INCONCLUSIVE), None)
    if undecided is not None:
        return Verdict.INCONCLUSIVE, f"A run of the candidate is inconclusive: {undecided.reason}"
    return Verdict.PASS, "No new finding that fails a run, and no clause is tested less."


def _next_steps(verdict: Verdict, lost: Sequence[str]) -> Iterator[str]:
    """What to do after this verdict."""
    if verdict is Verdict.FAIL:
        yield "Fix what is new; each finding has a command that reproduces it. Or accept it with --accept in the next run."
    elif lost:
        yield "See in the report on the candidate's run why these clauses were not tested, and run it again."
    elif verdict is Verdict.INCONCLUSIVE:
        yield "Let the candidate's run reach a verdict, then compare again."


def _seeds(
    candidates: Sequence[ConformanceSummary], baselines: Sequence[ConformanceSummary], new: Sequence[Finding]
) -> Iterator[ComparisonCaveat]:
    """Runs that sent different generated requests."""
    before, after = ({each.run.manifest.seed for each in side} for side in (baselines, candidates))
    if new and not after <= before:
        yield ComparisonCaveat(
            "The candidate's runs sent other generated requests than those of the baseline (another seed), so a new finding "
            "may be an old violation that was not seen before.",
            f"Run the baseline again with --seed {min(after)}.",
        )
