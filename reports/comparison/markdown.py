"""A comparison as GitHub-flavoured Markdown, for the summary of a CI job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from chainproof.judgement.comparison.change import Change
from chainproof.judgement.comparison.comparison import Comparison
from chainproof.judgement.comparison.conformance_comparison import ConformanceComparison
from chainproof.judgement.comparison.load_comparison import LoadComparison
from chainproof.results.finding import Finding

from ..formats.markdown import code, plain, prose, sign, table
from ..formatting import quantities
from . import wording

MAX_FINDINGS = 10
"""Findings of each kind that are shown."""


def render(comparison: Comparison) -> str:
    """The comparison as Markdown."""
    blocks = [f"# {sign(comparison.verdict)} Comparison", plain(comparison.reason)]
    blocks.append(_list(f"**Next:** {prose(step)}" for step in comparison.next_steps))
    if comparison.load is not None:
        blocks += _load(comparison.load)
    if comparison.conformance is not None:
        blocks += _conformance(comparison.conformance)
    sides = (("candidate", comparison.candidates), ("baseline", comparison.baselines))
    blocks += ["## Runs", _list(f"{name}: {plain(wording.side(side))}" for name, side in sides)]
    if comparison.caveats:
        blocks += ["## Caveats", _list(f"{prose(each.text)} {prose(each.remedy)}" for each in comparison.caveats)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _load(part: LoadComparison) -> Iterator[str]:
    """The table of metrics."""
    yield f"## Load: {wording.design(part)}; {wording.tolerance_text(part.tolerance)}"
    rows = [list(wording.row(change, part.tolerance)) for change in part.changes]
    for row, change in zip(rows, part.changes, strict=True):
        row[1] = f"**{row[1]}**" if change.change is Change.REGRESSED else row[1]
    yield table(wording.COLUMNS, rows, right=tuple(range(2, 8)))
    yield _list(map(plain, wording.sentences(part)))
    yield wording.LEGEND


def _conformance(part: ConformanceComparison) -> Iterator[str]:
    """Findings by what became of them, and lost coverage."""
    yield (f"## Conformance: {len(part.new)} new, {len(part.fixed)} fixed, {len(part.unchanged)} unchanged findings")
    yield from _findings("New", part.new)
    yield from _findings("Fixed", part.fixed)
    yield from _findings("Unchanged", part.unchanged)
    if part.lost_coverage:
        yield f"No longer tested: {', '.join(map(code, part.lost_coverage))}."


def _findings(title: str, findings: Sequence[Finding]) -> Iterator[str]:
    """Some findings."""
    if not findings:
        return
    yield f"**{title}**"
    lines = [
        f"{plain(found.level)} {code(found.clause)}: expected {plain(found.expected)}, found {plain(found.actual)}"
        for found in findings[:MAX_FINDINGS]
    ]
    left = len(findings) - MAX_FINDINGS
    yield _list([*lines, f"… and {quantities.count(left)} more"] if left > 0 else lines)


def _list(lines: Iterable[str]) -> str:
    """A list; empty without lines."""
    return "\n".join(f"- {line}" for line in lines)
