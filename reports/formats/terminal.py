"""The report for a terminal: verdict first, at most 100 columns wide, coloured only on request."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from chainproof.contract.remedies import fits_server, remedies_for
from chainproof.judgement.caveat import Caveat
from chainproof.judgement.conformance_summary import ClauseState, ConformanceSummary
from chainproof.judgement.latency import (
    QUANTILES,
    Timing,
    columns,
    interval_notes,
    interval_text,
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
from ..formatting.terminal_text import BOLD, COLOURS, DIM, WIDTH, Pen, table, verdict_lines, wrapped

MAX_FINDINGS = 10
"""Findings shown in full; the rest are counted."""
MAX_OUTCOMES = 15
MAX_NAME_LENGTH = 16
"""Longest name of a phase or payload."""


def render(report: Report, *, colour: bool = False) -> str:
    """The report as text for a terminal."""
    pen = Pen(colour)
    parts = [
        verdict_lines(report.verdict, report.reason, pen),
        *(_search(search, report, pen) for search in report.searches),
    ]
    parts += [_run(summary, pen, is_only=len(report.summaries) == 1) for summary in report.summaries]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _search(search: SearchRecord, report: Report, pen: Pen) -> list[str]:
    """The result of a search and its probes."""
    title = [pen(line, BOLD) for line in wrapped(searches.search_title(search), "")]
    is_reason = search.summary in report.reason  # stands above
    summary = [] if is_reason else [*wrapped(safe_text.escape_unprintable(search.summary), "  "), ""]
    rows = ((*row[:3], *row[4:]) for row in (searches.PROBE_COLUMNS, *searches.probes(search)))
    shown = table(list(rows), left=(1, 2))  # without the length of each probe, which would make it too wide
    implied = [
        line
        for text in (*searches.capacity_lines(search), searches.missing_line(search))
        if text
        for line in wrapped(text, "  ")
    ]
    return [*title, *summary, *shown, "", *implied]


def _run(summary: Summary, pen: Pen, *, is_only: bool) -> list[str]:
    """One run with all its sections."""
    lines = [pen(line, BOLD) for line in wrapped(runs.title(summary), "")] + _header(summary)
    if not is_only:
        lines += ["", *(f"  {line}" for line in verdict_lines(summary.verdict, summary.reason, pen))]
    sections = _load(summary, pen) if isinstance(summary, LoadSummary) else _conformance(summary, pen)
    for title, body in sections:
        if body:
            lines += ["", pen(f"  {title}", BOLD), *body]
    return lines


def _header(summary: Summary) -> list[str]:
    """Target, time, duration, contract and seed."""
    manifest = summary.run.manifest
    emulated = " (chainproof's emulator)" if manifest.emulated else ""
    facts = f"{runs.started(summary.run)}; {runs.ending_and_duration(summary.run)}; contract {safe_text.escape_unprintable(manifest.contract)}; seed {manifest.seed}"
    return wrapped(f"{safe_text.escape_unprintable(manifest.target)}{emulated}", "  ") + wrapped(facts, "  ")


Section = tuple[str, list[str]]


def _load(summary: LoadSummary, pen: Pen) -> Iterator[Section]:
    """The sections of a load run."""
    yield "Objectives", _objectives(summary, pen)
    yield "Accounting", _accounting(summary)
    yield f"Latency{phases.judged_phases_note(summary)}, with 95 % intervals", _latency(summary)
    ok, complete = quantities.rate(summary.ok_per_second), quantities.rate(summary.throughput)
    yield "Throughput", [f"    {ok} ok, {complete} complete answers"]
    for title, sentence in load_details.details(summary):
        yield title, wrapped(sentence, "    ")
    yield "Phases, by intended start; times of ok answers", _phases(summary)
    yield f"Payloads{phases.judged_phases_note(summary)}; times of ok answers", _payloads(summary)
    yield "Outcomes", _outcomes(summary)
    yield "Findings", _findings(summary, pen)
    yield "Caveats", _caveats(summary.caveats)


def _conformance(summary: ConformanceSummary, pen: Pen) -> Iterator[Section]:
    """The sections of a conformance run."""
    yield "Clauses", _clauses(summary)
    yield "Coverage", _coverage(summary)
    yield "Findings", _findings(summary, pen)
    yield "Caveats", _caveats(summary.caveats)


def _objectives(summary: LoadSummary, pen: Pen) -> list[str]:
    """One row per objective, with the share of good requests below."""
    lines = []
    for result in summary.objectives:
        verdict = result.verdict.value
        text = f"{verdict:<12}  {result.objective.text}   observed: {objectives.observed(result)}"
        head, *rest = wrapped(text, "    ", "                  ")
        lines += [head.replace(verdict, pen.verdict(result.verdict, verdict), 1), *rest]
        bounds = objectives.share_bounds(result)
        detail = [
            objectives.good_share(result),
            f"bounds {bounds}" if bounds else "",
            objectives.dependence(result),
            objectives.more_requests_needed(result),
        ]
        if any(detail):
            lines += wrapped("; ".join(filter(None, detail)), "                  ")
    return lines


def _accounting(summary: LoadSummary) -> list[str]:
    """The two sums, and why requests were not sent."""
    reasons = outcomes.not_sent_reasons(summary)
    lines = [line for part in summary.accounting.equations for line in wrapped(part, "    ")]
    return lines + (wrapped(f"not sent: {reasons}", "    ") if reasons else [])


def _latency(summary: LoadSummary) -> list[str]:
    """One column per kind of time: the count, then every percentile with its interval below it."""
    each = summary.timings.items()
    rows = [["", *(TIMING_NAMES[key].title for key, _ in each)], ["", *(TIMING_NAMES[key].of for key, _ in each)]]
    rows.append(["count", *(quantities.count(timing.count) for _, timing in each)])
    for name in (*(name for name, _ in QUANTILES), "max"):
        rows.append([name, *(quantities.time(columns(timing).get(name)) for _, timing in each)])
        rows.append(["", *(interval_text(timing, name).replace(" – ", "–") for _, timing in each)])
    notes = [line for note in interval_notes(summary.timings) for line in wrapped(note, "    ")]
    return table([row for row in rows if any(row)]) + notes


def _phases(summary: LoadSummary) -> list[str]:
    """One row per phase."""
    rows = [["", "", "planned", "ok", "failed", *_TIMES]]
    for part in summary.phases[:MAX_OUTCOMES]:
        name = shortened(safe_text.escape_unprintable(part.phase.name), MAX_NAME_LENGTH) + (
            "" if part.phase.judged else " †"
        )
        counts = (part.accounting.planned, part.accounting.ok, part.accounting.failed)
        times = _times(part.timings[RESPONSE_TIME])
        rows.append([name, phases.phase_range(part.phase), *map(quantities.count, counts), *times])
    left = len(summary.phases) - MAX_OUTCOMES
    more = [f"    … and {quantities.count(left)} more phases"] if left > 0 else []
    unjudged = ["    † not judged"] if any(not part.phase.judged for part in summary.phases) else []
    legend = _legend(part.timings[RESPONSE_TIME] for part in summary.phases[:MAX_OUTCOMES])
    return table(rows, left=(0, 1)) + more + unjudged + legend if summary.phases else []


def _payloads(summary: LoadSummary) -> list[str]:
    """One row per payload."""
    rows = [["", *(outcomes.RESULTS[result] for result in Result), *_TIMES]]
    for payload in summary.payloads[:MAX_OUTCOMES]:
        name = shortened(safe_text.escape_unprintable(payload.name), MAX_NAME_LENGTH)
        numbers = [quantities.count(payload.counts[result]) for result in Result]
        rows.append([name, *numbers, *_times(payload.response_time)])
    left = len(summary.payloads) - MAX_OUTCOMES
    more = [f"    … and {quantities.count(left)} more payloads"] if left > 0 else []
    legend = _legend(payload.response_time for payload in summary.payloads[:MAX_OUTCOMES])
    return table(rows) + more + legend if summary.payloads else []


_TIMES = ("p50", "p95", "p99")
"""A terminal has no room for more columns."""


def _legend(timings: Iterable[Timing]) -> list[str]:
    """What the mark on a percentile means, if one has it."""
    return [f"    {phases.FEW_TIMES}"] if phases.has_few_times(timings, _TIMES) else []


def _times(timing: Timing) -> list[str]:
    """Some percentiles of one kind of time."""
    values = columns(timing)
    return [quantities.time(values.get(name)) + ("*" if too_few(timing, name) else " ") for name in _TIMES]


def _outcomes(summary: LoadSummary) -> list[str]:
    """One row per outcome, with who is responsible."""
    total = sum(row.count for row in summary.outcomes)
    rows = [["count", "share", "result", "outcome", "error code", "responsible"]] if total else []
    for row in summary.outcomes[:MAX_OUTCOMES]:
        result, name = outcomes.RESULTS[row.outcome.result], safe_text.shorten(outcomes.outcome_text(row.outcome), 40)
        cells = [quantities.count(row.count), quantities.percent(row.count / total), result, name]
        rows.append([*cells, outcomes.code_kind(row.outcome), outcomes.responsible(row)])
    rest = summary.outcomes[MAX_OUTCOMES:]
    more = [
        f"    … and {quantities.count(len(rest))} more outcomes, {quantities.count(sum(r.count for r in rest))} requests"
    ]
    return table(rows, left=(2, 3, 4, 5)) + (more if rest else [])


def _clauses(summary: ConformanceSummary) -> list[str]:
    """Clauses by state, and those that failed or have warnings."""
    lines = wrapped(clauses.counts(summary.clauses), "    ")
    shown = (ClauseState.FAILED, ClauseState.WITH_WARNINGS)
    names = [clauses.ACCEPTED if row.acceptance else row.state.value for row in summary.clauses]
    width = max((len(name) for name in names if name == clauses.ACCEPTED or name in shown), default=0)
    for row in sorted(summary.clauses, key=lambda each: each.state is not ClauseState.FAILED):
        if row.state in shown:
            lines.append(f"    {row.state.value:<{width}}  {row.clause.level.value:<8}  {row.clause.id}")
        elif row.acceptance is not None:
            lines.append(
                f"    {clauses.ACCEPTED:<{width}}  {row.clause.level.value:<8}  {row.clause.id}  violated, {clauses.waived(row.acceptance)}"
            )
    return lines


def _coverage(summary: ConformanceSummary) -> list[str]:
    """Requests, answers, and the smallest share of violations that the run would have shown."""
    coverage = summary.run.coverage
    if coverage is None:
        return []
    lines = _labelled("answers", quantities.counts(coverage.statuses)) + _labelled(
        "error codes", quantities.counts(coverage.codes)
    )
    lines += _labelled("requests", runs.coverage_requests(coverage))
    status = next((row for row in summary.clauses if row.clause.id == "status"), None)
    if status is not None and status.exercised:
        lines += _labelled(
            "detectable",
            f"a wrong status in {clauses.detectable(status)} answers or more, with a probability of 95 %",
        )
    for note in coverage.notes:
        lines += _labelled("note", safe_text.escape_unprintable(note))
    return lines


def _findings(summary: Summary, pen: Pen) -> list[str]:
    """The most severe findings in full, and the number of the others."""
    lines: list[str] = []
    for number, finding in enumerate(summary.findings[:MAX_FINDINGS]):
        lines += ([""] if number else []) + _finding(finding, summary, pen)
    left = len(summary.findings) - MAX_FINDINGS
    return (
        [*lines, "", *wrapped(f"… and {quantities.count(left)} more: see {_page(summary)}", "    ")]
        if left > 0
        else lines
    )


def _page(summary: Summary) -> str:
    """The command that writes the page of a run, which shows everything."""
    path, here = summary.run.path, Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) and path != here else path
    return f"`chainproof reports {shlex.quote(safe_text.escape_unprintable(str(shown)))} --html FILE`"


def _finding(finding: Finding, summary: Summary, pen: Pen) -> list[str]:
    """One finding: clause, evidence, and a command to reproduce it."""
    head = f"{safe_text.escape_unprintable(finding.level)}  {safe_text.escape_unprintable(finding.clause)}  × {quantities.count(finding.count)}"
    head += f" in {finding.checks} checks" * (finding.checks > 1)
    accepting = acceptance(summary, finding)
    if accepting is not None:
        head += f"  {clauses.waived(accepting)}"
    lines = [pen(line, COLOURS[Verdict.FAIL] if accepting is None else DIM) for line in wrapped(head, "    ")]
    lines += wrapped(evidence.statement(finding), "      ")
    source = f"“{finding.quotation}” ({finding.source})"
    for name, value in (("expected", finding.expected), ("actual", finding.actual), ("source", source)):
        lines += _labelled(name, safe_text.shorten(safe_text.escape_unprintable(value), 600))
    if finding.cases:
        lines += _labelled("requests", safe_text.shorten(evidence.cases(finding), 400))
    if finding.request_id:
        lines += _labelled("request id", safe_text.shorten(safe_text.escape_unprintable(finding.request_id), 200))
    lines += _remedies(finding, _page(summary))
    return lines + _shell_line(safe_text.escape_unprintable(finding.reproduce))


def _remedies(finding: Finding, page: str) -> list[str]:
    """The remedies of a finding: those for the server that the answer names, if there are any, and the names of the others."""
    remedies = remedies_for(finding.clause, finding.actual, finding.server)
    fitting = [remedy for remedy in remedies if fits_server(remedy, finding.server)] or remedies
    others = [remedy.framework for remedy in remedies if remedy not in fitting]
    lines: list[str] = []
    for remedy in fitting:
        lines += _labelled("remedy", f"{remedy.framework}: {remedy.text}")
    if others:
        lines += _labelled("otherwise", f"{', '.join(dict.fromkeys(others))}: see {page}")
    elif any(remedy.code for remedy in remedies):
        lines += _labelled("code", f"{page} shows the code of each remedy")
    return lines


def _labelled(name: str, value: str) -> list[str]:
    """A name and its value; further lines of the value are indented to its first."""
    return wrapped(value, f"      {name:<12}", " " * 18)


_COMMENT = re.compile(r"  # ([^'\"]+)$")
"""The comment at the end of a command."""


def _shell_line(line: str) -> list[str]:
    """
    A command broken between its words, so that it can be copied; a word longer than a line is not broken. Its comment is a
    line of its own: a backslash does not continue a comment.
    """
    comment = _COMMENT.search(line)
    if comment is not None:
        return [f"      # {comment[1]}", *_shell_line(line[: comment.start()])]
    lines: list[str] = []
    for word in evidence.shell_words(line):
        if lines and len(lines[-1]) + len(word) + 3 <= WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"      {word}" if not lines else f"        {word}")
    return [f"{each} \\" for each in lines[:-1]] + lines[-1:]


def _caveats(caveats: Iterable[Caveat]) -> list[str]:
    """Every caveat with its remedy."""
    lines: list[str] = []
    for caveat in caveats:
        lines += wrapped(f"{caveat.code}  {safe_text.escape_unprintable(caveat.text)}", "    ", "      ")
        lines += (
            wrapped(f"→ {safe_text.escape_unprintable(caveat.remedy)}", "      ", "        ") if caveat.remedy else []
        )
    return lines
