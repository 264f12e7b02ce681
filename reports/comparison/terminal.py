"""A comparison for a terminal: the verdict, what changed, how certain it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from chainproof.judgement.comparison.change import Change
from chainproof.judgement.comparison.comparison import Comparison
from chainproof.judgement.comparison.conformance_comparison import ConformanceComparison
from chainproof.judgement.comparison.load_comparison import LoadComparison
from chainproof.judgement.verdict import Verdict
from chainproof.results.finding import Finding

from ..formatting import quantities, safe_text
from ..formatting.terminal_text import BOLD, COLOURS, Pen, table, verdict_lines, wrapped
from . import wording

MAX_FINDINGS = 10
"""Findings of each kind that are shown."""

_RESULT_COLOURS = {
    Change.REGRESSED: COLOURS[Verdict.FAIL],
    Change.IMPROVED: COLOURS[Verdict.PASS],
    Change.UNCHANGED: COLOURS[Verdict.PASS],
    Change.INCONCLUSIVE: COLOURS[Verdict.INCONCLUSIVE],
}


def render(comparison: Comparison, *, colour: bool = False) -> str:
    """The comparison as text for a terminal."""
    pen = Pen(colour)
    blocks = [verdict_lines(comparison.verdict, comparison.reason, pen), _sides(comparison, pen)]
    if comparison.load is not None:
        blocks.append(_load(comparison.load, pen))
    if comparison.conformance is not None:
        blocks += _conformance(comparison.conformance, pen)
    blocks += [
        _listed("What to do", comparison.next_steps, pen),
        _listed("Caveats", (f"{each.text} → {each.remedy}" for each in comparison.caveats), pen),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _sides(comparison: Comparison, pen: Pen) -> list[str]:
    """Which runs are compared."""
    lines = [pen("Comparison", BOLD)]
    for name, side in (("candidate", comparison.candidates), ("baseline", comparison.baselines)):
        lines += wrapped(f"{name:<11}{wording.side(side)}", "  ", " " * 13)
    return lines


def _load(part: LoadComparison, pen: Pen) -> list[str]:
    """The table of metrics, and a sentence about each that is not unchanged."""
    title = f"Load: {wording.design(part)}; {wording.tolerance_text(part.tolerance)}"
    lines = [pen(line, BOLD) for line in wrapped(title, "  ")]
    rows = [wording.COLUMNS, *(wording.row(change, part.tolerance) for change in part.changes)]
    head, *body = table(rows, left=(0, 1))
    lines.append(head)
    for change, line in zip(part.changes, body, strict=True):
        result = wording.result(change)
        lines.append(line.replace(result, pen(result, _RESULT_COLOURS[change.change]), 1))
    if not all(change.decides for change in part.changes):
        lines.append("    † does not count for the verdict (--metric)")
    sentences = wording.sentences(part)
    lines += ["", *(line for text in sentences for line in wrapped(text, "    ", "      "))] if sentences else []
    return [*lines, "", *wrapped(wording.LEGEND, "    ")]


def _conformance(part: ConformanceComparison, pen: Pen) -> Iterator[list[str]]:
    """New findings in full, fixed and unchanged ones by clause, and lost coverage."""
    counts = f"{len(part.new)} new, {len(part.fixed)} fixed, {len(part.unchanged)} unchanged findings"
    yield [pen(f"  Conformance: {counts}", BOLD)]
    yield _findings("New", part.new, pen, is_full=True)
    yield _findings("Fixed", part.fixed, pen)
    yield _findings("Unchanged", part.unchanged, pen)
    yield _listed("No longer tested", part.lost_coverage, pen)
    yield _listed("Tested for the first time", part.gained_coverage, pen)


def _findings(title: str, findings: Sequence[Finding], pen: Pen, *, is_full: bool = False) -> list[str]:
    """Some findings."""
    if not findings:
        return []
    lines = [pen(f"  {title}", BOLD)]
    for found in findings[:MAX_FINDINGS]:
        evidence = f"expected {found.expected}, found {found.actual}"
        head = f"{found.level}  {found.clause}: {safe_text.shorten(evidence, 300)}"
        lines += wrapped(safe_text.escape_unprintable(head), "    ", "      ")
        if is_full and found.reproduce:
            lines.append(f"      {safe_text.escape_unprintable(found.reproduce)}")
    left = len(findings) - MAX_FINDINGS
    return [*lines, f"    … and {quantities.count(left)} more"] if left > 0 else lines


def _listed(title: str, texts: Iterable[str], pen: Pen) -> list[str]:
    """A title with one paragraph for each text; nothing without texts."""
    lines = [line for text in texts for line in wrapped(safe_text.escape_unprintable(text), "    ", "      ")]
    return [pen(f"  {title}", BOLD), *lines] if lines else []
