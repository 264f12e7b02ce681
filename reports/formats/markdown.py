"""
The report for a CI job's summary: GitHub-flavoured Markdown, short, nothing of the target's taken for markup.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from chainproof.judgement.caveats import QUANTILES
from chainproof.judgement.conformance_summary import ClauseState, ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary, Timing
from chainproof.judgement.summary import Report, Summary, acceptance
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result
from chainproof.results.finding import Finding
from chainproof.results.search_record import SearchRecord

from . import formatting

MAX_FINDINGS = 10
MAX_OUTCOMES = 15
MAX_NAME_LENGTH = 40
"""Letters of a phase's or payload's name."""
MAX_LENGTH = 400
"""Characters of a value that the summary repeats; a curl line is never cut."""

_SIGNS: dict[Verdict, str] = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.INVALID: "⚠️",
    Verdict.ERROR: "⚠️",
}


def render(report: Report) -> str:
    """
    The report as Markdown.
    """
    blocks = [f"# {_verdict(report.verdict)}", plain(report.reason)]
    for search in report.searches:
        blocks += _search(search)
    for summary in report.summaries:
        blocks += _run(summary, alone=len(report.summaries) == 1)
    blocks += _findings(report) + _caveats(report)
    return "\n\n".join(block for block in blocks if block) + "\n"


_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~&@$])")
_END = r"\S*[^\s.,;:!?'\")\]]"
_LINKED = re.compile(
    rf"((?:https?|ftp)://{_END}|(?:mailto|xmpp):{_END}|(?<![a-z0-9])www\.{_END}|[^\s@]+@[^\s@]+\.{_END})", re.IGNORECASE
)
"""What GitHub turns into a link by itself: URLs, names that begin with www, and addresses of people."""


def plain(text: str) -> str:
    r"""
    A text in which nothing is markup: no tag, no emphasis, no table cell's end, and no link that nobody set.

    >>> plain("a|b <i> @you")
    'a\\|b \\<i\\> \\@you'
    >>> plain("see https://a.example/x_y, please")
    'see `https://a.example/x_y`, please'
    """
    pieces = _LINKED.split(formatting.shortened(formatting.escape_unprintable(text), MAX_LENGTH))
    # A pattern with one group: every second piece is what it found.
    return "".join(code(piece) if place % 2 else _SPECIAL.sub(r"\\\1", piece) for place, piece in enumerate(pieces))


def code(text: str) -> str:
    r"""
    A text as code in a table's cell, fenced by more backticks than it holds in a row.

    >>> code("a`b|c")
    '`` a`b\\|c ``'
    """
    shown = formatting.shortened(formatting.escape_unprintable(text), MAX_LENGTH).replace("|", "\\|")
    fence = "`" * (_longest_run(shown) + 1)
    return f"{fence}{shown}{fence}" if fence == "`" and shown.strip() == shown else f"{fence} {shown} {fence}"


def _longest_run(text: str) -> int:
    """
    The most backticks in a row.
    """
    return max(map(len, re.findall("`+", text)), default=0)


def _verdict(verdict: Verdict) -> str:
    """
    A verdict with its sign.
    """
    return f"{_SIGNS[verdict]} {verdict.value}"


def _search(search: SearchRecord) -> Iterator[str]:
    """
    What a search found, and the probes that say so.
    """
    yield f"## {plain(formatting.search_title(search))}"
    yield plain(search.summary)
    rows = [[plain(cell) for cell in row] for row in formatting.probes(search)]
    yield _table(formatting.PROBE_COLUMNS, rows, right=(0, *range(3, 9))) if rows else ""


def _run(summary: Summary, *, alone: bool) -> Iterator[str]:
    """
    One run's blocks.
    """
    run = summary.run
    yield f"## {plain(formatting.kind(summary))}" + ("" if alone else f": {_verdict(summary.verdict)}")
    yield "" if alone else plain(summary.reason)
    emulated = " (chainproof's own emulator)" if run.manifest.emulated else ""
    facts = f"{formatting.started(run)}; {formatting.ending_and_duration(run)}; contract {run.manifest.contract}; seed {run.manifest.seed}"
    yield f"{code(run.manifest.target)}{emulated}  \n{plain(facts)}"
    yield from _load(summary) if isinstance(summary, LoadSummary) else _conformance(summary)


def _load(summary: LoadSummary) -> Iterator[str]:
    """
    What a load run found.
    """
    yield _objectives(summary)
    yield plain(summary.accounting.sentence)
    yield f"Latency of complete answers{formatting.judged_phases_note(summary)}:"
    yield _latency(summary)
    yield f"Throughput: {formatting.rate(summary.throughput)} complete answers, {formatting.rate(summary.ok_per_second)} ok."
    for title, sentence in formatting.details(summary):
        yield f"{title}: {sentence}."
    yield _phases(summary)
    yield _payloads(summary)
    yield _outcomes(summary)


def _objectives(summary: LoadSummary) -> str:
    """
    An objective a row.
    """
    rows = [
        [
            _verdict(judged.verdict),
            code(judged.objective.text),
            formatting.observed(judged),
            formatting.good_share(judged) or formatting.NOTHING,
            formatting.share_bounds(judged) or formatting.NOTHING,
        ]
        for judged in summary.objectives
    ]
    return _table(["", "objective", "observed", "good", "95 % bounds"], rows) if rows else ""


def _latency(summary: LoadSummary) -> str:
    """
    Percentiles, the three times side by side.
    """
    names = [name for name, _ in QUANTILES] + ["max"]
    timings = summary.timings.values()
    rows = [
        [
            name,
            *(
                formatting.time(formatting.columns(each).get(name)) + "\\*" * formatting.too_few(each, name)
                for each in timings
            ),
        ]
        for name in names
    ]
    rows.append(["count", *(formatting.count(each.count) for each in timings)])
    unsure = any(formatting.too_few(each, name) for each in timings for name in names)
    note = "\n\n\\* too few answers for an upper 95 % bound" if unsure else ""
    return _table(["", *(formatting.TIMINGS[key] for key in summary.timings)], rows, right=(1, 2, 3)) + note


_TIMES = ("p50", "p95", "p99", "max")


def _phases(summary: LoadSummary) -> str:
    """
    A phase a row.
    """
    rows = []
    for found in summary.phases[:MAX_OUTCOMES]:
        counts = found.accounting.to_json()
        numbers = [formatting.count(counts[key]) for key in ("planned", *(result.value for result in Result))]
        times = _times(found.timings_by_result[Result.OK.value]["response_time_s"])
        about = [
            code(formatting.truncate(found.phase.name, MAX_NAME_LENGTH)),
            formatting.phase_range(found.phase),
            formatting.judged(found.phase),
        ]
        rows.append([*about, formatting.planned_rate(found), *numbers, *times])
    header = ["phase", "from – to", "", "asked", "planned", *(formatting.RESULTS[result] for result in Result)]
    left = len(summary.phases) - MAX_OUTCOMES
    more = f"\n\n… and {formatting.count(left)} more phases" if left > 0 else ""
    return _table([*header, *(f"ok {name}" for name in _TIMES)], rows, right=tuple(range(3, 13))) + more if rows else ""


def _payloads(summary: LoadSummary) -> str:
    """
    A payload a row.
    """
    rows = [
        [
            code(formatting.truncate(found.name, MAX_NAME_LENGTH)),
            *(formatting.count(found.counts[result]) for result in Result),
            *_times(found.response_time_by_result[Result.OK.value]),
        ]
        for found in summary.payloads[:MAX_OUTCOMES]
    ]
    left = len(summary.payloads) - MAX_OUTCOMES
    more = f"\n\n… and {formatting.count(left)} more payloads" if left > 0 else ""
    header = ["payload", *(formatting.RESULTS[result] for result in Result), *(f"ok {name}" for name in _TIMES)]
    return _table(header, rows, right=tuple(range(1, 9))) + more if rows else ""


def _times(timing: Timing) -> list[str]:
    """
    A few percentiles of one time.
    """
    values = formatting.columns(timing)
    return [formatting.time(values.get(name)) + "\\*" * formatting.too_few(timing, name) for name in _TIMES]


def _outcomes(summary: LoadSummary) -> str:
    """
    How often each outcome came up.
    """
    settled = sum(row.count for row in summary.outcomes)
    rows = [
        [
            code(formatting.shortened(formatting.outcome(row.outcome), 80)),
            formatting.code_kind(row.outcome) or formatting.NOTHING,
            formatting.RESULTS[row.outcome.result],
            formatting.responsible(row) or formatting.NOTHING,
            formatting.count(row.count),
            formatting.percent(row.count / settled),
        ]
        for row in summary.outcomes[:MAX_OUTCOMES]
    ]
    left = len(summary.outcomes) - MAX_OUTCOMES
    more = f"\n\n… and {formatting.count(left)} more outcomes" if left > 0 else ""
    header = ["outcome", "error code is", "counts as", "to act", "requests", "share"]
    return _table(header, rows, right=(4, 5)) + more if rows else ""


def _conformance(summary: ConformanceSummary) -> Iterator[str]:
    """
    What a conformance run found.
    """
    states = Counter(row.state for row in summary.clauses)
    yield "Clauses: " + ", ".join(f"{states[state]} {state.value}" for state in ClauseState) + "."
    coverage = summary.run.coverage
    if coverage is not None:
        yield (
            f"Coverage: {formatting.count(coverage.requests)} requests; answers {plain(formatting.format_counts(coverage.statuses))}; "
            f"error codes {plain(formatting.format_counts(coverage.codes))}."
        )
    accepted = [
        f"- {code(row.clause.id)}: {formatting.state(row)}" for row in summary.clauses if row.acceptance is not None
    ]
    yield "\n".join(accepted)


def _findings(report: Report) -> list[str]:
    """
    The gravest findings, the others counted.
    """
    found = report.findings_with_runs
    if not found:
        return []
    several = len(report.summaries) > 1
    shown = [_finding(each, summary, several=several) for summary, each in found[:MAX_FINDINGS]]
    left = len(found) - MAX_FINDINGS
    return [
        f"## Findings ({formatting.count(len(found))})",
        *shown,
        f"… and {formatting.count(left)} more" if left > 0 else "",
    ]


def _finding(found: Finding, summary: Summary, *, several: bool) -> str:
    """
    One finding, its curl line in a block of its own.
    """
    where = f", {plain(formatting.kind(summary))}" if several else ""
    accepting = acceptance(summary, found)
    known = f", **{formatting.waived(accepting)}**" if accepting is not None else ""
    lines = [
        f"- **{plain(found.level)}** {code(found.clause)} × {formatting.count(found.count)}{where}{known}",
        f"  - says: “{plain(found.quotation)}” ({plain(found.source)})",
        f"  - expected: {plain(found.expected)}",
        f"  - actual: {plain(found.actual)}",
    ]
    if found.cases:
        lines.append(f"  - seen with: {plain(formatting.shortened(formatting.cases(found), 400))}")
    if found.request_id is not None:
        lines.append(f"  - request id: {code(found.request_id)}")
    if found.reproduce:
        fence = "`" * max(3, _longest_run(found.reproduce) + 1)
        lines += ["", f"  {fence}sh", f"  {formatting.escape_unprintable(found.reproduce)}", f"  {fence}"]
    return "\n".join(lines)


def _caveats(report: Report) -> list[str]:
    """
    Each reason to distrust the figures, once.
    """
    lines = [
        f"- **{caveat.code}** {plain(caveat.text)} {plain(caveat.remedy)}".rstrip()
        for summary in report.summaries
        for caveat in summary.caveats
    ]
    return ["## Caveats", "\n".join(dict.fromkeys(lines))] if lines else []


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], right: tuple[int, ...] = ()) -> str:
    """
    A table, the columns of *right* aligned to the right. Every cell has been escaped.
    """
    rule = ["---:" if place in right else "---" for place in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))
