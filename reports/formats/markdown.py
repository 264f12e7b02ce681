"""The report as GitHub-flavoured Markdown, for the summary of a CI job. Text from the target never becomes markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from chainproof.contract.remedies import remedies_for
from chainproof.judgement.conformance_summary import ConformanceSummary
from chainproof.judgement.latency import (
    QUANTILES,
    Timing,
    columns,
    interval_notes,
    text_with_interval,
    too_few,
)
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.summary import Report, Summary, acceptance
from chainproof.judgement.timing_names import RESPONSE_TIME, TIMING_NAMES
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result
from chainproof.results.finding import Finding
from chainproof.results.search_record import SearchRecord
from chainproof.stored_text import shortened

from ..charts.spark_lines import spark_lines
from ..formatting import (
    clauses,
    evidence,
    load_details,
    objectives,
    outcomes,
    phases,
    quantities,
    runs,
    safe_text,
    searches,
)
from ..formatting.next_steps import next_step

MAX_FINDINGS = 10
MAX_OUTCOMES = 15
MAX_NAME_LENGTH = 40
"""Longest name of a phase or payload."""
MAX_LENGTH = 400
"""Longest value that is repeated; a curl command is never cut."""

_SIGNS: dict[Verdict, str] = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.INVALID: "⚠️",
    Verdict.ERROR: "⚠️",
}


def render(report: Report) -> str:
    """The report as Markdown."""
    step = next_step(report)
    blocks = [f"# {sign(report.verdict)}", plain(report.reason), f"**Next:** {prose(step)}" if step else ""]
    for search in report.searches:
        blocks += _search(search)
    for summary in report.summaries:
        blocks += _run(summary, is_only=len(report.summaries) == 1)
    blocks += _findings(report) + _caveats(report)
    return "\n\n".join(block for block in blocks if block) + "\n"


_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~&@$])")
_END = r"\S*[^\s.,;:!?'\")\]]"
_LINKED = re.compile(
    rf"((?:https?|ftp)://{_END}|(?:mailto|xmpp):{_END}|(?<![a-z0-9])www\.{_END}|[^\s@]+@[^\s@]+\.{_END})", re.IGNORECASE
)
"""Text that GitHub turns into a link by itself: URLs, names that start with www, and e-mail addresses."""


def plain(text: str) -> str:
    r"""
    The text with everything escaped that Markdown or GitHub would interpret; links become code.

    >>> plain("a|b <i> @you")
    'a\\|b \\<i\\> \\@you'
    >>> plain("see https://a.example/x_y, please")
    'see `https://a.example/x_y`, please'
    """
    pieces = _LINKED.split(safe_text.shorten(safe_text.escape_unprintable(text), MAX_LENGTH))
    # The pattern has one group, so every second piece is a match.
    return "".join(code(piece) if place % 2 else _SPECIAL.sub(r"\\\1", piece) for place, piece in enumerate(pieces))


def code(text: str) -> str:
    r"""
    The text as code in a table cell, between more backticks than it contains in a row.

    >>> code("a`b|c")
    '`` a`b\\|c ``'
    """
    shown = safe_text.shorten(safe_text.escape_unprintable(text), MAX_LENGTH).replace("|", "\\|")
    fence = "`" * (_longest_run(shown) + 1)
    return f"{fence}{shown}{fence}" if fence == "`" and shown.strip() == shown else f"{fence} {shown} {fence}"


def _longest_run(text: str) -> int:
    """The largest number of backticks in a row."""
    return max(map(len, re.findall("`+", text)), default=0)


def prose(text: str) -> str:
    """Our own sentence, with text between backticks as code; it may quote other text, which is escaped."""
    pieces = text.split("`")
    return "".join(code(piece) if place % 2 else plain(piece) for place, piece in enumerate(pieces))


def sign(verdict: Verdict) -> str:
    """A verdict with its sign."""
    return f"{_SIGNS[verdict]} {verdict.value}"


def _search(search: SearchRecord) -> Iterator[str]:
    """The result of a search and its probes."""
    yield f"## {plain(searches.search_title(search))}"
    yield plain(search.summary)
    rows = [[plain(cell) for cell in row] for row in searches.probes(search)]
    yield table(searches.PROBE_COLUMNS, rows, right=(0, *range(3, 10))) if rows else ""
    yield "\n".join(f"- {plain(line)}" for line in searches.capacity_lines(search))
    yield plain(searches.missing_line(search))


def _run(summary: Summary, *, is_only: bool) -> Iterator[str]:
    """The blocks of one run."""
    run = summary.run
    yield f"## {plain(runs.title(summary))}" + ("" if is_only else f": {sign(summary.verdict)}")
    yield "" if is_only else plain(summary.reason)
    emulated = " (chainproof's own emulator)" if run.manifest.emulated else ""
    facts = f"{runs.started(run)}; {runs.ending_and_duration(run)}; contract {run.manifest.contract}; seed {run.manifest.seed}"
    yield f"{code(run.manifest.target)}{emulated}  \n{plain(facts)}"
    yield from _load(summary) if isinstance(summary, LoadSummary) else _conformance(summary)


def _load(summary: LoadSummary) -> Iterator[str]:
    """The results of a load run."""
    yield _objectives(summary)
    yield plain(summary.accounting.sentence)
    yield f"Latency{phases.judged_phases_note(summary)}, with 95 % intervals:"
    yield _latency(summary)
    yield _over_time(summary)
    yield f"Throughput: {quantities.rate(summary.ok_per_second)} ok, {quantities.rate(summary.throughput)} complete answers."
    for title, sentence in load_details.details(summary):
        yield f"{title}: {sentence}."
    yield _phases(summary)
    yield _payloads(summary)
    yield _outcomes(summary)


def _objectives(summary: LoadSummary) -> str:
    """One row per objective."""
    rows = [
        [
            sign(result.verdict),
            code(result.objective.text),
            objectives.observed(result),
            objectives.good_share(result) or quantities.NOTHING,
            objectives.share_bounds(result) or quantities.NOTHING,
            objectives.dependence(result) or quantities.NOTHING,
        ]
        for result in summary.objectives
    ]
    return table(["", "objective", "observed", "good", "bounds", "dependence"], rows) if rows else ""


def _latency(summary: LoadSummary) -> str:
    """One row per percentile, one column per kind of time."""
    kinds = summary.timings.values()
    rows = [["count", *(quantities.count(each.count) for each in kinds)]]
    rows += [
        [name, *(text_with_interval(each, name) for each in kinds)]
        for name in (*(name for name, _ in QUANTILES), "max")
    ]
    notes = "".join(f"\n\n{note}" for note in interval_notes(summary.timings))
    header = ["", *(f"{TIMING_NAMES[key].title}, {TIMING_NAMES[key].of}" for key in summary.timings)]
    return table(header, rows, right=tuple(range(1, len(header)))) + notes


def _over_time(summary: LoadSummary) -> str:
    """The run over time in block characters: GitHub and GitLab remove drawings from Markdown."""
    lines = spark_lines(summary)
    header = ["from start to end", "from zero to the highest", "lowest", "highest"]
    return table(header, [[each.title, code(each.line), each.lowest, each.highest] for each in lines]) if lines else ""


_TIMES = ("p50", "p95", "p99", "max")


def _phases(summary: LoadSummary) -> str:
    """One row per phase."""
    rows = []
    for part in summary.phases[:MAX_OUTCOMES]:
        counts = part.accounting.to_json()
        numbers = [quantities.count(counts[key]) for key in ("planned", *(result.value for result in Result))]
        times = _times(part.timings[RESPONSE_TIME])
        about = [
            code(shortened(part.phase.name, MAX_NAME_LENGTH)),
            phases.phase_range(part.phase),
            phases.judged_note(part.phase),
        ]
        rows.append([*about, phases.planned_rate(part), *numbers, *times])
    header = ["phase", "time", "", "planned/s", "planned", *(outcomes.RESULTS[result] for result in Result)]
    left = len(summary.phases) - MAX_OUTCOMES
    more = f"\n\n… and {quantities.count(left)} more phases" if left > 0 else ""
    more += _legend(part.timings[RESPONSE_TIME] for part in summary.phases[:MAX_OUTCOMES])
    return table([*header, *(f"ok {name}" for name in _TIMES)], rows, right=tuple(range(3, 13))) + more if rows else ""


def _payloads(summary: LoadSummary) -> str:
    """One row per payload."""
    rows = [
        [
            code(shortened(payload.name, MAX_NAME_LENGTH)),
            *(quantities.count(payload.counts[result]) for result in Result),
            *_times(payload.response_time),
        ]
        for payload in summary.payloads[:MAX_OUTCOMES]
    ]
    left = len(summary.payloads) - MAX_OUTCOMES
    more = f"\n\n… and {quantities.count(left)} more payloads" if left > 0 else ""
    header = ["payload", *(outcomes.RESULTS[result] for result in Result), *(f"ok {name}" for name in _TIMES)]
    more += _legend(payload.response_time for payload in summary.payloads[:MAX_OUTCOMES])
    return table(header, rows, right=tuple(range(1, 9))) + more if rows else ""


def _legend(timings: Iterable[Timing]) -> str:
    """What the mark on a percentile means, if one has it."""
    return f"\n\n\\{phases.FEW_TIMES}" if phases.has_few_times(timings, _TIMES) else ""


def _times(timing: Timing) -> list[str]:
    """Some percentiles of one kind of time."""
    values = columns(timing)
    return [quantities.time(values.get(name)) + "\\*" * too_few(timing, name) for name in _TIMES]


def _outcomes(summary: LoadSummary) -> str:
    """One row per outcome."""
    total = sum(row.count for row in summary.outcomes)
    rows = [
        [
            code(safe_text.shorten(outcomes.outcome_text(row.outcome), 80)),
            outcomes.code_kind(row.outcome) or quantities.NOTHING,
            outcomes.RESULTS[row.outcome.result],
            outcomes.responsible(row) or quantities.NOTHING,
            quantities.count(row.count),
            quantities.percent(row.count / total),
        ]
        for row in summary.outcomes[:MAX_OUTCOMES]
    ]
    left = len(summary.outcomes) - MAX_OUTCOMES
    more = f"\n\n… and {quantities.count(left)} more outcomes" if left > 0 else ""
    header = ["outcome", "error code", "result", "responsible", "requests", "share"]
    return table(header, rows, right=(4, 5)) + more if rows else ""


def _conformance(summary: ConformanceSummary) -> Iterator[str]:
    """The results of a conformance run."""
    yield f"Clauses: {clauses.counts(summary.clauses)}."
    coverage = summary.run.coverage
    if coverage is not None:
        yield (
            f"Answers: {plain(quantities.counts(coverage.statuses))}. Error codes: {plain(quantities.counts(coverage.codes))}. "
            f"Requests: {runs.coverage_requests(coverage)}."
        )
    waived = [f"- {code(row.clause.id)}: {clauses.state(row)}" for row in summary.clauses if row.acceptance is not None]
    yield "\n".join(waived)


def _findings(report: Report) -> list[str]:
    """The most severe findings, and the number of the others."""
    findings = report.findings_with_runs
    if not findings:
        return []
    several = len(report.summaries) > 1
    shown = [_finding(finding, summary, several=several) for summary, finding in findings[:MAX_FINDINGS]]
    left = len(findings) - MAX_FINDINGS
    return [
        f"## Findings ({quantities.count(len(findings))})",
        *shown,
        f"… and {quantities.count(left)} more findings" if left > 0 else "",
    ]


def _finding(finding: Finding, summary: Summary, *, several: bool) -> str:
    """One finding, with its curl command in a code block."""
    where = f", {plain(runs.title(summary))}" if several else ""
    accepting = acceptance(summary, finding)
    known = f", **{clauses.waived(accepting)}**" if accepting is not None else ""
    lines = [
        f"- **{plain(finding.level)}** {code(finding.clause)} × {quantities.count(finding.count)}{where}{known}",
        f"  - expected: {prose(finding.expected)}",
        f"  - actual: {prose(finding.actual)}",
        f"  - source: “{plain(finding.quotation)}” ({plain(finding.source)})",
    ]
    if statement := evidence.statement(finding):
        lines.insert(1, f"  - clause: {prose(statement)}")
    if finding.cases:
        lines.append(f"  - requests: {prose(safe_text.shorten(evidence.cases(finding), 400))}")
    if finding.request_id is not None:
        lines.append(f"  - request id: {code(finding.request_id)}")
    if finding.reproduce:
        fence = "`" * max(3, _longest_run(finding.reproduce) + 1)
        lines += ["", f"  {fence}sh", f"  {safe_text.escape_unprintable(finding.reproduce)}", f"  {fence}"]
    for remedy in remedies_for(finding.clause, finding.actual, finding.server):
        lines += ["", f"  - remedy, {remedy.framework}: {remedy.text}"]
        if remedy.code:
            lines += ["", "    ```", *(f"    {line}".rstrip() for line in remedy.code.splitlines()), "    ```"]
    return "\n".join(lines)


def _caveats(report: Report) -> list[str]:
    """Every caveat, once."""
    lines = [
        f"- **{caveat.code}** {prose(caveat.text)} {prose(caveat.remedy)}".rstrip()
        for summary in report.summaries
        for caveat in summary.caveats
    ]
    return ["## Caveats", "\n".join(dict.fromkeys(lines))] if lines else []


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: tuple[int, ...] = ()) -> str:
    """A table; columns in *right* are aligned to the right. Cells must be escaped already."""
    rule = ["---:" if place in right else "---" for place in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))
