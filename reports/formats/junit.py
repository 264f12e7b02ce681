"""
The report as JUnit XML for CI systems: one test suite per run, and one per search in place of its probes.

A conformance run has one test case per clause, a load run one per objective; both have one more for the run itself.

- `<failure>`: the target violated a clause, or missed an objective in a run that can be trusted.
- `<error>`: chainproof failed, or the measurement is invalid. It says nothing about the target and occurs only in the
  case of the run itself.
- `<skipped>`: no result, with the reason: a clause that was not exercised or is waived; too few requests; a run that ended
  early; an objective in a run that cannot be trusted. CI systems stay green, the exit code does not.

A violation below `--fail-on` (by default: of a *should* clause) is a warning: its case passes and shows it in `<system-out>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from chainproof.contract.clauses import CLAUSE_BY_ID
from chainproof.judgement.conformance_summary import ClauseRow, ClauseState, ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.severity import failing_levels
from chainproof.judgement.summary import Report, Summary, acceptance
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result
from chainproof.results.finding import Finding
from chainproof.results.search_record import SearchRecord

from ..formatting import clauses, evidence, objectives, outcomes, phases, quantities, runs, safe_text

MAX_FINDINGS = 10
"""Findings of one clause that are shown in full."""
MAX_LENGTH = 3000
"""Longest value that is repeated; a curl command is never cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test case and its result."""

    kind: str
    """The class name after `chainproof.`."""
    name: str
    ending: str | None = None
    """`failure`, `error` or `skipped`; None if it passed."""
    message: str = ""
    """The reason in one line."""
    text: str = ""
    """The evidence; for a passed case, warnings and caveats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The test cases of one run or search."""

    name: str
    cases: Sequence[Case]
    properties: Mapping[str, object]
    started: str = ""
    """As in the manifest; empty for a search."""
    seconds: float | None = None
    """How long the run took; None if that is not known."""


def render(report: Report) -> str:
    """The report as JUnit XML."""
    return _text([_suite_element(suite) for suite in suites(report)])


def render_cases(name: str, cases: Sequence[Case]) -> str:
    """One suite with some cases as XML."""
    return _text([_suite_element(Suite(name=name, cases=cases, properties={}))])


def _text(elements: Sequence[ET.Element]) -> str:
    """Suites as XML."""
    root = ET.Element("testsuites", {"name": "chainproof", **_sums(elements)})
    root.extend(elements)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def suites(report: Report) -> list[Suite]:
    """The searches and runs of a report as test suites, without the probes of the searches."""
    runs = [_suite(summary) for summary in report.summaries if not report.is_probe(summary)]
    return [*map(_search_suite, report.searches), *runs]


def _sums(elements: Sequence[ET.Element]) -> dict[str, str]:
    """The counts of several suites added up."""
    return {name: str(sum(int(each.get(name, "0")) for each in elements)) for name in _COUNTED if name != _NOT_ADDED_UP}


_NOT_ADDED_UP = "skipped"
"""The schema of Jenkins, which rejects a file with an unknown attribute, has it for single suites only."""
_COUNTED = {"tests": None, "failures": "failure", "errors": "error", "skipped": "skipped"}
"""A suite's attributes, each with the element that it counts."""


def _suite(summary: Summary) -> Suite:
    """One run."""
    manifest, end = summary.run.manifest, summary.run.end
    facts = {"target": manifest.target, "seed": manifest.seed, "contract": manifest.contract}
    facts |= {"label": manifest.label} if manifest.label else {}
    return Suite(
        name=f"{manifest.kind.value} {manifest.name}{runs.label(manifest.label)}",
        cases=list(_load(summary) if isinstance(summary, LoadSummary) else _conformance(summary)),
        properties=facts | {"run": summary.run.name, "verdict": summary.verdict.value},
        started=manifest.started,
        seconds=end.seconds if end is not None else None,
    )


def _search_suite(search: SearchRecord) -> Suite:
    """A search: one case, which fails if the objectives are missed at every rate. Its probes are no cases."""
    ending = _SEARCH_ENDINGS[Verdict(search.verdict)]
    message = search.summary if ending is not None else ""
    text = safe_text.shorten(safe_text.escape_unprintable(search.summary), MAX_LENGTH)
    return Suite(
        name=f"search {search.workload}",
        cases=[Case(kind="search", name="saturation rate", ending=ending, message=message, text=text)],
        properties={"target": search.target, "run": search.path.name, "verdict": search.verdict},
    )


_SEARCH_ENDINGS = {
    Verdict.PASS: None,
    Verdict.FAIL: "failure",
    Verdict.INCONCLUSIVE: "skipped",
    Verdict.INVALID: "error",
    Verdict.ERROR: "error",
}


def _suite_element(suite: Suite) -> ET.Element:
    """A suite as XML."""
    counts = {
        counted: str(sum(ending is None or case.ending == ending for case in suite.cases))
        for counted, ending in _COUNTED.items()
    }
    element = ET.Element("testsuite", {"name": one_line(suite.name), **counts})
    if suite.started:
        element.set("timestamp", one_line(suite.started.partition(".")[0].removesuffix("Z")))
    if suite.seconds is not None:
        element.set("time", f"{suite.seconds:.3f}")
    properties = ET.SubElement(element, "properties") if suite.properties else element
    for name, value in suite.properties.items():
        ET.SubElement(properties, "property", {"name": name, "value": one_line(str(value))})
    element.extend(_element(case) for case in suite.cases)
    return element


def _element(case: Case) -> ET.Element:
    """A test case as XML."""
    element = ET.Element("testcase", {"name": one_line(case.name), "classname": f"chainproof.{one_line(case.kind)}"})
    if case.ending is not None:
        ending = ET.SubElement(element, case.ending, {"message": one_line(case.message)})
        ending.text = case.text or None
    elif case.text:
        ET.SubElement(element, "system-out").text = case.text
    return element


def one_line(text: str) -> str:
    """The text in one line. XML 1.0 cannot contain most control characters, so they are escaped."""
    return safe_text.shorten(safe_text.escape_unprintable(text), MAX_LENGTH)


def _run_case(summary: Summary, *, text: str = "", explained: bool = False) -> Case:
    """The case of the run itself. *explained*: another case already says why the run is inconclusive."""
    endings = {Verdict.ERROR: "error", Verdict.INVALID: "error"}
    if not explained:
        endings[Verdict.INCONCLUSIVE] = "skipped"
    caveats = [f"{each.code}: {one_line(f'{each.text} {each.remedy}'.rstrip())}" for each in summary.caveats]
    return Case(
        kind=f"{summary.run.manifest.kind.value}.run",
        name="the run can be trusted",
        ending=endings.get(summary.verdict),
        message=summary.reason if summary.verdict in endings else "",
        text="\n\n".join(filter(None, [text, "\n".join(caveats)])),
    )


# ------------------------------------------------------------------ load


def _load(summary: LoadSummary) -> Iterator[Case]:
    """The objectives, then the run itself."""
    for result in summary.objectives:
        yield _objective(result, summary)
    violations = [_finding(finding) for finding in summary.findings[:MAX_FINDINGS]]
    yield _run_case(
        summary,
        text="\n\n".join([summary.accounting.sentence, *_errors(summary), *violations]),
        explained=any(result.verdict is Verdict.INCONCLUSIVE for result in summary.objectives),
    )


def _errors(summary: LoadSummary) -> Iterator[str]:
    """The most frequent errors with who is responsible, one per line; nothing if there are none."""
    errors = [row for row in summary.outcomes if row.outcome.result is not Result.OK]
    if errors:
        yield "\n".join(
            f"{quantities.count(row.count)} × {one_line(outcomes.outcome_text(row.outcome))}"
            + (f" (responsible: {row.responsible})" if row.responsible is not None else "")
            for row in errors[:MAX_FINDINGS]
        )


def _objective(result: ObjectiveResult, summary: LoadSummary) -> Case:
    """One objective."""
    detail = [
        objectives.good_share(result),
        objectives.share_bounds(result),
        objectives.dependence(result),
        objectives.more_requests_needed(result),
    ]
    text = "\n".join(
        [
            f"expected: {result.objective.text}",
            f"actual: {objectives.observed(result)}{phases.judged_phases_note(summary)}",
            *filter(None, detail),
        ]
    )
    ending, message = None, ""
    if summary.verdict in (Verdict.ERROR, Verdict.INVALID):
        ending, message = "skipped", f"not judged: {summary.reason}"
    elif result.verdict is Verdict.INVALID:
        ending, message = "skipped", "not judged: missed only because of the load generator's own lag"
    elif result.verdict is Verdict.FAIL:
        ending, message = "failure", f"objective missed: observed {objectives.observed(result)}"
    elif result.verdict is Verdict.INCONCLUSIVE:
        why = "requests in flight at the end" if result.is_undecided_by_censoring else "too little was seen"
        why = "not measured" if result.nothing_ok else why
        ending, message = (
            "skipped",
            "; ".join(filter(None, [f"inconclusive: {why}", objectives.more_requests_needed(result)])),
        )
    return Case(kind="load.objective", name=result.objective.text, ending=ending, message=message, text=text)


# ------------------------------------------------------------------ conformance


def _conformance(summary: ConformanceSummary) -> Iterator[Case]:
    """Every clause, then clauses that only the run folder knows, then the run itself."""
    for row in summary.clauses:
        yield _clause(row, summary)
    for clause in dict.fromkeys(finding.clause for finding in summary.findings):
        if clause not in CLAUSE_BY_ID:
            findings = [finding for finding in summary.findings if finding.clause == clause]
            yield _violated(findings[0].level, clause, findings, summary)
    yield _run_case(summary)


_SKIPPED = {
    ClauseState.INCONCLUSIVE: "inconclusive: no violation, in too few answers to show one in 1 of 10",
    ClauseState.NOT_EXERCISED: "not exercised",
    ClauseState.WAIVED: "waived by the contract",
}


def _clause(row: ClauseRow, summary: ConformanceSummary) -> Case:
    """One clause."""
    findings = [finding for finding in summary.findings if finding.clause == row.clause.id]
    level = row.clause.level.value
    if findings:
        return _violated(level, row.clause.id, findings, summary)
    reason = _SKIPPED.get(row.state)
    return Case(
        kind=f"conformance.{level}",
        name=row.clause.id,
        ending="skipped" if reason is not None else None,
        message=reason or "",
    )


def _violated(level: str, clause: str, findings: Sequence[Finding], summary: ConformanceSummary) -> Case:
    """A violated clause."""
    shown = "\n\n".join(_finding(finding) for finding in findings[:MAX_FINDINGS])
    left = len(findings) - MAX_FINDINGS
    accepting = acceptance(summary, findings[0])
    first = f"expected {findings[0].expected}, found {findings[0].actual}"
    ending, message = None, ""
    if accepting is not None:
        ending, message = "skipped", f"{clauses.waived(accepting)}: {first}"
    elif any(finding.level in failing_levels(summary.run.manifest.known_settings.fail_on) for finding in findings):
        ending, message = "failure", first
    return Case(
        kind=f"conformance.{level}",
        name=clause,
        ending=ending,
        message=message,
        text=f"{shown}\n\n… and {quantities.count(left)} more findings" if left > 0 else shown,
    )


def _finding(finding: Finding) -> str:
    """A finding in lines: expected, actual, source, and a command to reproduce it."""
    lines = [
        f"{one_line(finding.level)} {one_line(finding.clause)} × {quantities.count(finding.count)}",
        f"expected: {one_line(finding.expected)}",
        f"actual: {one_line(finding.actual)}",
        f"source: “{one_line(finding.quotation)}” ({one_line(finding.source)})",
    ]
    if finding.cases:
        lines.append(f"requests: {one_line(evidence.cases(finding))}")
    if finding.request_id is not None:
        lines.append(f"request id: {one_line(finding.request_id)}")
    if finding.reproduce:
        lines.append(safe_text.escape_unprintable(finding.reproduce))
    return "\n".join(lines)
