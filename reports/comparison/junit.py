"""
A comparison as JUnit XML: one test case for each metric and each new, fixed or unchanged finding.

`<failure>`: worse than the baseline. `<skipped>`: inconclusive. `<error>`: runs that cannot be trusted, so nothing was compared.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainproof.judgement.comparison.change import Change, MetricChange, Tolerance
from chainproof.judgement.comparison.comparison import Comparison
from chainproof.judgement.comparison.conformance_comparison import ConformanceComparison
from chainproof.judgement.verdict import Verdict
from chainproof.results.finding import Finding

from ..formats.junit import MAX_LENGTH, Case, render_cases
from ..formatting import safe_text
from . import wording

UNKNOWN = "one run on each side does not show how much of the change is chance"

_ENDINGS = {Change.REGRESSED: "failure", Change.INCONCLUSIVE: "skipped"}


def render(comparison: Comparison) -> str:
    """The comparison as XML."""
    return render_cases("comparison", list(_cases(comparison)))


def _cases(comparison: Comparison) -> Iterator[Case]:
    """Every case; the last one is the comparison itself."""
    if comparison.load is not None:
        for change in comparison.load.changes:
            yield _metric(change, comparison.load.tolerance)
    if comparison.conformance is not None:
        yield from _conformance(comparison.conformance)
    ending = {Verdict.INVALID: "error", Verdict.INCONCLUSIVE: "skipped"}.get(comparison.verdict)
    steps = "\n".join((*comparison.next_steps, *(f"{each.text} {each.remedy}" for each in comparison.caveats)))
    message = comparison.reason if ending is not None else ""
    yield Case(kind="comparison", name="the comparison is conclusive", ending=ending, message=message, text=steps)


def _metric(change: MetricChange, tolerance: Tolerance) -> Case:
    """One metric. One that does not decide never fails."""
    ending = _ENDINGS.get(change.change)
    if ending == "failure" and not change.decides:
        ending = "skipped"
    if change.change is Change.INCONCLUSIVE and change.excludes_regression:
        ending = None
    sentence = wording.sentence(change, tolerance)
    cells = zip(wording.COLUMNS, wording.row(change, tolerance), strict=True)
    text = "\n".join(f"{name}: {cell}" for name, cell in cells)
    message = (sentence or UNKNOWN) if ending is not None else ""
    return Case(kind="comparison.load", name=change.metric.value, ending=ending, message=message, text=text)


def _conformance(part: ConformanceComparison) -> Iterator[Case]:
    """Findings and lost coverage."""
    for found in part.new:
        yield _finding("new", found, "failure" if found in part.failing else None)
    for found in part.fixed:
        yield _finding("fixed", found, None)
    for found in part.unchanged:
        yield _finding("unchanged", found, None)
    for clause in part.lost_coverage:
        message = "the candidate's runs did not test it"
        yield Case(kind="comparison.conformance.lost_coverage", name=clause, ending="skipped", message=message)


def _finding(what: str, found: Finding, ending: str | None) -> Case:
    """One finding."""
    evidence = f"expected {found.expected}, found {found.actual}"
    text = safe_text.shorten(safe_text.escape_unprintable(evidence), MAX_LENGTH)
    name = f"{found.clause}: {found.actual}"
    message = f"{what} finding: {text}" if ending is not None else ""
    return Case(kind=f"comparison.conformance.{what}", name=name, ending=ending, message=message, text=text)
