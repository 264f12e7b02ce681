"""
The report for a terminal: the verdict first, nothing wider than a hundred columns, colour only where it was asked for.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chainproof.judgement.caveat import Caveat
from chainproof.judgement.caveats import QUANTILES
from chainproof.judgement.conformance_summary import ClauseState, ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary, Timing
from chainproof.judgement.summary import Report, Summary, acceptance
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result
from chainproof.results.finding import Finding
from chainproof.results.search_record import SearchRecord

from . import formatting

WIDTH = 100
MAX_FINDINGS = 10
"""Findings shown in full; the rest are counted."""
MAX_OUTCOMES = 15
MAX_NAME_LENGTH = 16
"""Letters of a phase's or payload's name."""

_COLOURS: dict[Verdict, str] = {
    Verdict.PASS: "32",
    Verdict.FAIL: "31",
    Verdict.INCONCLUSIVE: "33",
    Verdict.INVALID: "35",
    Verdict.ERROR: "35",
}
_BOLD, _DIM = "1", "2"


@dataclass(frozen=True, slots=True)
class Pen:
    """
    Whatever colours a text, or leaves it as it is.
    """

    colour: bool

    def __call__(self, text: str, code: str) -> str:
        """The text in an ANSI rendition."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def verdict(self, verdict: Verdict, text: str) -> str:
        """The text in the verdict's colour."""
        return self(text, f"{_BOLD};{_COLOURS[verdict]}")


def render(report: Report, *, colour: bool = False) -> str:
    """
    The report as text for a terminal.
    """
    pen = Pen(colour)
    parts = [_verdict(report.verdict, report.reason, pen), *(_search(search, pen) for search in report.searches)]
    parts += [_run(summary, pen, alone=len(report.summaries) == 1) for summary in report.summaries]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _verdict(verdict: Verdict, reason: str, pen: Pen) -> list[str]:
    """
    The verdict and its sentence.
    """
    word = verdict.value.upper()
    first, *rest = _wrapped(formatting.escape_unprintable(reason), " " * (len(word) + 2))
    return [f"{pen.verdict(verdict, word)}  {first.lstrip()}", *rest]


def _search(search: SearchRecord, pen: Pen) -> list[str]:
    """
    What a search found, and the probes that say so.
    """
    title = [pen(line, _BOLD) for line in _wrapped(formatting.search_title(search), "")]
    said = _wrapped(formatting.escape_unprintable(search.summary), "  ")
    return [*title, *said, "", *_table([formatting.PROBE_COLUMNS, *formatting.probes(search)], left=(1, 2))]


def _run(summary: Summary, pen: Pen, *, alone: bool) -> list[str]:
    """
    One run: who, what, when, and all its sections.
    """
    lines = [pen(line, _BOLD) for line in _wrapped(formatting.kind(summary), "")] + _particulars(summary)
    if not alone:
        lines += ["", *(f"  {line}" for line in _verdict(summary.verdict, summary.reason, pen))]
    sections = _load(summary, pen) if isinstance(summary, LoadSummary) else _conformance(summary, pen)
    for title, body in sections:
        if body:
            lines += ["", pen(f"  {title}", _BOLD), *body]
    return lines


def _particulars(summary: Summary) -> list[str]:
    """
    Against what, when, how long, with which seed.
    """
    manifest = summary.run.manifest
    emulated = " (our own emulator)" if manifest.emulated else ""
    facts = f"{formatting.started(summary.run)}; {formatting.ending_and_duration(summary.run)}; contract {formatting.escape_unprintable(manifest.contract)}; seed {manifest.seed}"
    return _wrapped(f"{formatting.escape_unprintable(manifest.target)}{emulated}", "  ") + _wrapped(facts, "  ")


Section = tuple[str, list[str]]


def _load(summary: LoadSummary, pen: Pen) -> Iterator[Section]:
    """
    The sections of a load run.
    """
    yield "Objectives", _objectives(summary, pen)
    yield "Accounting", _accounting(summary)
    yield f"Latency of complete answers{formatting.judged_phases_note(summary)}", _latency(summary)
    yield "Throughput", _throughput(summary)
    for title, sentence in formatting.details(summary):
        yield title, _wrapped(sentence, "    ")
    yield "Phases, by the intended start; times of ok answers", _phases(summary)
    yield f"Payloads{formatting.judged_phases_note(summary)}; times of ok answers", _payloads(summary)
    yield "Outcomes", _outcomes(summary)
    yield "Findings", _findings(summary, pen)
    yield "Caveats", _caveats(summary.caveats)


def _conformance(summary: ConformanceSummary, pen: Pen) -> Iterator[Section]:
    """
    The sections of a conformance run.
    """
    yield "Clauses", _clauses(summary)
    yield "Coverage", _coverage(summary)
    yield "Findings", _findings(summary, pen)
    yield "Caveats", _caveats(summary.caveats)


def _objectives(summary: LoadSummary, pen: Pen) -> list[str]:
    """
    An objective a row, and what its share says below.
    """
    lines = []
    for judged in summary.objectives:
        text = f"{judged.verdict.value:<12}  {judged.objective.text}   observed {formatting.observed(judged)}"
        head, *rest = _wrapped(text, "    ", "                  ")
        lines += [head.replace(judged.verdict.value, pen.verdict(judged.verdict, judged.verdict.value), 1), *rest]
        detail = [
            formatting.good_share(judged),
            formatting.share_bounds(judged),
            formatting.more_requests_needed(judged),
        ]
        if any(detail):
            lines += _wrapped("; ".join(filter(None, detail)), "                  ")
    return lines


def _accounting(summary: LoadSummary) -> list[str]:
    """
    The two identities, and why anything was not sent.
    """
    reasons = formatting.not_sent(summary)
    lines = [line for part in summary.accounting.equations for line in _wrapped(part, "    ")]
    return lines + (_wrapped(f"not sent: {reasons}", "    ") if reasons else [])


def _latency(summary: LoadSummary) -> list[str]:
    """
    The percentiles of the three times side by side, and the interval of the first below it.
    """
    names = [name for name, _ in QUANTILES] + ["max"]
    rows = [["", *names, "count"]]
    for key, timing in summary.timings.items():
        values = formatting.columns(timing)
        cells = [
            formatting.time(values.get(name)) + ("*" if formatting.too_few(timing, name) else " ") for name in names
        ]
        rows.append([formatting.TIMINGS[key], *cells, formatting.count(timing.count)])
    unsure = any(formatting.too_few(timing, name) for timing in summary.timings.values() for name in names)
    note = ["    * too few answers for an upper 95 % bound: the true value may be far above"] if unsure else []
    return _table(rows) + note


def _throughput(summary: LoadSummary) -> list[str]:
    """
    Complete answers and ok ones per second.
    """
    return [f"    {formatting.rate(summary.throughput)} complete answers, {formatting.rate(summary.ok_per_second)} ok"]


def _phases(summary: LoadSummary) -> list[str]:
    """
    A phase a row.
    """
    rows = [["", "", "planned", "ok", "failed", *_TIMES]]
    for found in summary.phases[:MAX_OUTCOMES]:
        name = formatting.truncate(formatting.escape_unprintable(found.phase.name), MAX_NAME_LENGTH) + (
            "" if found.phase.judged else " †"
        )
        counts = (found.accounting.planned, found.accounting.ok, found.accounting.failed)
        times = _times(found.timings_by_result[Result.OK.value]["response_time_s"])
        rows.append([name, formatting.phase_range(found.phase), *map(formatting.count, counts), *times])
    left = len(summary.phases) - MAX_OUTCOMES
    more = [f"    … and {formatting.count(left)} more phases"] if left > 0 else []
    unjudged = ["    † not judged"] if any(not found.phase.judged for found in summary.phases) else []
    return _table(rows, left=(0, 1)) + more + unjudged if summary.phases else []


def _payloads(summary: LoadSummary) -> list[str]:
    """
    A payload a row.
    """
    rows = [["", *(formatting.RESULTS[result] for result in Result), *_TIMES]]
    for found in summary.payloads[:MAX_OUTCOMES]:
        name = formatting.truncate(formatting.escape_unprintable(found.name), MAX_NAME_LENGTH)
        numbers = [formatting.count(found.counts[result]) for result in Result]
        rows.append([name, *numbers, *_times(found.response_time_by_result[Result.OK.value])])
    left = len(summary.payloads) - MAX_OUTCOMES
    more = [f"    … and {formatting.count(left)} more payloads"] if left > 0 else []
    return _table(rows) + more if summary.payloads else []


_TIMES = ("p50", "p95", "p99")
"""As many columns as a terminal has room for."""


def _times(timing: Timing) -> list[str]:
    """
    A few percentiles of one time.
    """
    values = formatting.columns(timing)
    return [formatting.time(values.get(name)) + ("*" if formatting.too_few(timing, name) else " ") for name in _TIMES]


def _outcomes(summary: LoadSummary) -> list[str]:
    """
    How often each outcome came up, and who is to act.
    """
    settled = sum(row.count for row in summary.outcomes)
    rows = [["count", "share", "result", "outcome", "code", "to act"]] if settled else []
    for row in summary.outcomes[:MAX_OUTCOMES]:
        result, name = formatting.RESULTS[row.outcome.result], formatting.shortened(formatting.outcome(row.outcome), 40)
        cells = [formatting.count(row.count), formatting.percent(row.count / settled), result, name]
        rows.append([*cells, formatting.code_kind(row.outcome), formatting.responsible(row)])
    rest = summary.outcomes[MAX_OUTCOMES:]
    more = [
        f"    … and {formatting.count(len(rest))} more outcomes, {formatting.count(sum(r.count for r in rest))} requests"
    ]
    return _table(rows, left=(2, 3, 4, 5)) + (more if rest else [])


def _clauses(summary: ConformanceSummary) -> list[str]:
    """
    How many clauses hold, and which do not.
    """
    states = Counter(row.state for row in summary.clauses)
    lines = _wrapped(", ".join(f"{states[state]} {state.value}" for state in ClauseState), "    ")
    for row in summary.clauses:
        if row.state in (ClauseState.FAILED, ClauseState.WITH_WARNINGS):
            lines.append(f"    {row.state.value:<7} {row.clause.level.value:<8}  {row.clause.id}")
        elif row.acceptance is not None:
            lines.append(
                f"    waived  {row.clause.level.value:<8}  {row.clause.id}  {formatting.accepted(row.acceptance)}"
            )
    return lines


def _coverage(summary: ConformanceSummary) -> list[str]:
    """
    What the run came across, and how rare a violation may be and still have been seen.
    """
    coverage = summary.run.coverage
    if coverage is None:
        return []
    lines = _labelled("answers", formatting.format_counts(coverage.statuses)) + _labelled(
        "codes", formatting.format_counts(coverage.codes)
    )
    lines += _labelled("requests", formatting.count(coverage.requests))
    status = next((row for row in summary.clauses if row.clause.id == "status"), None)
    if status is not None and status.exercised:
        lines += _labelled(
            "rare ones",
            f"a violation in {formatting.detectable_share(status)} answers, whatever the request, would have been seen with 95 % probability",
        )
    for note in coverage.notes:
        lines += _labelled("note", formatting.escape_unprintable(note))
    return lines


def _findings(summary: Summary, pen: Pen) -> list[str]:
    """
    The gravest findings in full, the others counted.
    """
    lines: list[str] = []
    for number, found in enumerate(summary.findings[:MAX_FINDINGS]):
        lines += ([""] if number else []) + _finding(found, summary, pen)
    left = len(summary.findings) - MAX_FINDINGS
    return [*lines, "", f"    … and {formatting.count(left)} more: see --html or --json"] if left > 0 else lines


def _finding(found: Finding, summary: Summary, pen: Pen) -> list[str]:
    """
    One finding: clause, expected, actual, how to see it again.
    """
    head = f"{formatting.escape_unprintable(found.level)}  {formatting.escape_unprintable(found.clause)}  × {formatting.count(found.count)}"
    accepting = acceptance(summary, found)
    if accepting is not None:
        head += f"  {formatting.waived(accepting)}"
    lines = [pen(line, _COLOURS[Verdict.FAIL] if accepting is None else _DIM) for line in _wrapped(head, "    ")]
    source = f"“{found.quotation}” ({found.source})"
    for name, value in (("says", source), ("expected", found.expected), ("actual", found.actual)):
        lines += _labelled(name, formatting.shortened(formatting.escape_unprintable(value), 600))
    if found.cases:
        lines += _labelled("seen with", formatting.shortened(formatting.cases(found), 400))
    if found.request_id:
        lines += _labelled("request id", formatting.shortened(formatting.escape_unprintable(found.request_id), 200))
    return lines + _shell_line(formatting.escape_unprintable(found.reproduce))


def _labelled(name: str, value: str) -> list[str]:
    """
    A name and its value, the value's further lines below its first.
    """
    return _wrapped(value, f"      {name:<11}", " " * 17)


def _shell_line(line: str) -> list[str]:
    """
    A curl line broken between its formatting, so that it can be copied as it stands; a longer word is left whole.
    """
    lines: list[str] = []
    for word in formatting.shell_words(line):
        if lines and len(lines[-1]) + len(word) + 3 <= WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"      {word}" if not lines else f"        {word}")
    return [f"{each} \\" for each in lines[:-1]] + lines[-1:]


def _caveats(caveats: Iterable[Caveat]) -> list[str]:
    """
    Each reason to distrust the figures, with its remedy.
    """
    lines: list[str] = []
    for caveat in caveats:
        lines += _wrapped(f"{caveat.code}  {formatting.escape_unprintable(caveat.text)}", "    ", "      ")
        lines += (
            _wrapped(f"→ {formatting.escape_unprintable(caveat.remedy)}", "      ", "        ") if caveat.remedy else []
        )
    return lines


def _wrapped(text: str, first: str, later: str | None = None) -> list[str]:
    """
    A text in lines of at most `WIDTH`.
    """
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=first if later is None else later, break_on_hyphens=False
    ) or [first.rstrip()]


def _table(rows: Sequence[Sequence[str]], left: tuple[int, ...] = (0,)) -> list[str]:
    """
    Rows with their columns aligned: those of *left* to the left, the others, numbers, to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["    " + "  ".join(_aligned(row, widths, left)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int], left: tuple[int, ...]) -> Iterator[str]:
    """
    The cells of a row, each as wide as its column.
    """
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if place in left else cell.rjust(width)
