"""
The report for CI systems that read JUnit XML: one test suite a run.

A conformance run has one test case for every clause, a load run one for every objective; both have one more for the run
itself. What the elements mean is what CI systems make of them, and is never mixed up:

- `<failure>`: the target departed from a clause, or missed an objective in a run that can be trusted.
- `<error>`: we broke, or the measurement is invalid. It says nothing about the target, and stands at the run alone.
- `<skipped>`: nothing is said, and why: a clause that was not exercised, is waived or accepted; too few requests; a run
  that ended early, or an objective in a run that cannot be trusted. CI systems stay green on it, the exit code does not.

A violation below `--fail-on` (from advice, as a rule) fails nothing: it is told in the case's `<system-out>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from chainproof.contract.clauses import CLAUSE_BY_ID
from chainproof.judgement.conformance_summary import ClauseRow, ClauseState, ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.severity import failing_levels
from chainproof.judgement.summary import Report, Summary, acceptance
from chainproof.judgement.verdict import Verdict
from chainproof.results.finding import Finding

from . import formatting

MAX_FINDINGS = 10
"""Findings of one clause that its test case shows in full."""
MAX_LENGTH = 3000
"""Characters of a value that is repeated; a curl line is never cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One test case and what is said of it.
    """

    kind: str
    """What follows `chainproof.` in the class name."""
    name: str
    ending: str | None = None
    """`failure`, `error` or `skipped`; None where it passed."""
    message: str = ""
    """The ending in one line."""
    text: str = ""
    """The evidence, in lines; of a passed case, what is worth knowing all the same."""


def render(report: Report) -> str:
    """
    The report as JUnit XML.
    """
    suites = [_suite(summary) for summary in report.summaries]
    root = ET.Element("testsuites", {"name": "chainproof", **_sums(suites)})
    root.extend(suites)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _sums(suites: Sequence[ET.Element]) -> dict[str, str]:
    """
    The counts of several suites together.
    """
    return {name: str(sum(int(suite.get(name, "0")) for suite in suites)) for name in _COUNTED}


_COUNTED = {"tests": None, "failures": "failure", "errors": "error", "skipped": "skipped"}
"""A suite's counts, each with the ending that it counts."""


def _suite(summary: Summary) -> ET.Element:
    """
    One run.
    """
    cases = list(_load(summary) if isinstance(summary, LoadSummary) else _conformance(summary))
    manifest, end = summary.run.manifest, summary.run.end
    counts = {
        name: str(sum(ending is None or case.ending == ending for case in cases)) for name, ending in _COUNTED.items()
    }
    suite = ET.Element("testsuite", {"name": _line(f"{manifest.kind.value} {manifest.name}"), **counts})
    suite.set("timestamp", _line(manifest.started.partition(".")[0].removesuffix("Z")))
    if end is not None:
        suite.set("time", f"{end.seconds:.3f}")
    properties = ET.SubElement(suite, "properties")
    told = {"target": manifest.target, "seed": manifest.seed, "contract": manifest.contract}
    for name, value in (told | {"run": summary.run.path.name, "verdict": summary.verdict.value}).items():
        ET.SubElement(properties, "property", {"name": name, "value": _line(str(value))})
    suite.extend(_element(case) for case in cases)
    return suite


def _element(case: Case) -> ET.Element:
    """
    A test case as XML.
    """
    element = ET.Element("testcase", {"name": _line(case.name), "classname": f"chainproof.{_line(case.kind)}"})
    if case.ending is not None:
        ending = ET.SubElement(element, case.ending, {"message": _line(case.message)})
        ending.text = case.text or None
    elif case.text:
        ET.SubElement(element, "system-out").text = case.text
    return element


def _line(text: str) -> str:
    """
    A text in one line that XML 1.0 can hold: it has no way to write most control characters, escaped or not.
    """
    return formatting.shortened(formatting.escape_unprintable(text), MAX_LENGTH)


def _run_case(summary: Summary, *, text: str = "", explained: bool = False) -> Case:
    """
    The run itself: whether it can be trusted, and came to an end that says something; *explained* when another case
    says already why it is inconclusive.
    """
    endings = {Verdict.ERROR: "error", Verdict.INVALID: "error"}
    if not explained:
        endings[Verdict.INCONCLUSIVE] = "skipped"
    caveats = [f"{each.code}: {_line(each.text)}" for each in summary.caveats]
    return Case(
        kind=f"{summary.run.manifest.kind.value}.run",
        name="the run can be trusted",
        ending=endings.get(summary.verdict),
        message=summary.reason if summary.verdict in endings else "",
        text="\n\n".join(filter(None, [text, "\n".join(caveats)])),
    )


# ------------------------------------------------------------------ load


def _load(summary: LoadSummary) -> Iterator[Case]:
    """
    The objectives, then the run.
    """
    for judged in summary.objectives:
        yield _objective(judged, summary)
    violations = [_finding(found) for found in summary.findings[:MAX_FINDINGS]]
    yield _run_case(
        summary,
        text="\n\n".join([summary.accounting.sentence, *violations]),
        explained=any(judged.verdict is Verdict.INCONCLUSIVE for judged in summary.objectives),
    )


def _objective(judged: ObjectiveResult, summary: LoadSummary) -> Case:
    """
    One objective.
    """
    detail = [formatting.good_share(judged), formatting.share_bounds(judged), formatting.more_requests_needed(judged)]
    text = "\n".join(
        [
            f"expected: {judged.objective.text}",
            f"actual: {formatting.observed(judged)}{formatting.judged_phases_note(summary)}",
            *filter(None, detail),
        ]
    )
    ending, message = None, ""
    if summary.verdict in (Verdict.ERROR, Verdict.INVALID):
        ending, message = "skipped", f"not judged: {summary.reason}"
    elif judged.verdict is Verdict.FAIL:
        ending, message = "failure", f"missed: observed {formatting.observed(judged)}"
    elif judged.verdict is Verdict.INCONCLUSIVE:
        ending, message = (
            "skipped",
            "; ".join(["inconclusive", *filter(None, [formatting.more_requests_needed(judged)])]),
        )
    return Case(kind="load.objective", name=judged.objective.text, ending=ending, message=message, text=text)


# ------------------------------------------------------------------ conformance


def _conformance(summary: ConformanceSummary) -> Iterator[Case]:
    """
    Every clause, those that only the run folder knows behind the others, then the run.
    """
    for row in summary.clauses:
        yield _clause(row, summary)
    for clause in dict.fromkeys(found.clause for found in summary.findings):
        if clause not in CLAUSE_BY_ID:
            found = [each for each in summary.findings if each.clause == clause]
            yield _departed(found[0].level, clause, found, summary)
    yield _run_case(summary)


_UNSAID = {
    ClauseState.NOT_EXERCISED: "not exercised",
    ClauseState.WAIVED: "waived: the contract takes it back",
}


def _clause(row: ClauseRow, summary: ConformanceSummary) -> Case:
    """
    One clause.
    """
    found = [each for each in summary.findings if each.clause == row.clause.id]
    level = row.clause.level.value
    if found:
        return _departed(level, row.clause.id, found, summary)
    unsaid = _UNSAID.get(row.state)
    return Case(
        kind=f"conformance.{level}",
        name=row.clause.id,
        ending="skipped" if unsaid is not None else None,
        message=unsaid or "",
    )


def _departed(level: str, clause: str, found: Sequence[Finding], summary: ConformanceSummary) -> Case:
    """
    A clause that was departed from.
    """
    shown = "\n\n".join(_finding(each) for each in found[:MAX_FINDINGS])
    left = len(found) - MAX_FINDINGS
    accepting = acceptance(summary, found[0])
    first = f"expected {found[0].expected}, found {found[0].actual}"
    ending, message = None, ""
    if accepting is not None:
        ending, message = "skipped", f"{formatting.waived(accepting)}: {first}"
    elif any(each.level in failing_levels(summary.run.manifest.known_settings.fail_on) for each in found):
        ending, message = "failure", first
    return Case(
        kind=f"conformance.{level}",
        name=clause,
        ending=ending,
        message=message,
        text=f"{shown}\n\n… and {formatting.count(left)} more" if left > 0 else shown,
    )


def _finding(found: Finding) -> str:
    """
    A finding in lines: what was expected, what came, who says so, how to see it again.
    """
    lines = [
        f"{_line(found.level)} {_line(found.clause)} × {formatting.count(found.count)}",
        f"expected: {_line(found.expected)}",
        f"actual: {_line(found.actual)}",
        f"says: “{_line(found.quotation)}” ({_line(found.source)})",
    ]
    if found.cases:
        lines.append(f"seen with: {_line(formatting.cases(found))}")
    if found.request_id is not None:
        lines.append(f"request id: {_line(found.request_id)}")
    if found.reproduce:
        lines.append(formatting.escape_unprintable(found.reproduce))
    return "\n".join(lines)
