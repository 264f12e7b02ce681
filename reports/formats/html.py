"""
The report as one self-contained HTML page: no requests, and text from the target never becomes markup.

Charts are static SVG, which needs no script. One script of ours adds values at the cursor and zoom; the page allows that
script alone, by its digest.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import jinja2
from markupsafe import Markup

from chainproof import __version__
from chainproof.contract.remedies import remedies_for
from chainproof.judgement import latency
from chainproof.judgement.conformance_summary import ClauseRow, ClauseState, ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.summary import Report, acceptance
from chainproof.judgement.timing_names import RESPONSE_TIME, TIMING_NAMES
from chainproof.judgement.verdict import EXIT_CODE_OF, Verdict
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.exemplar import Exemplar
from chainproof.results.search_record import SearchRecord

from ..charts.catalogue import charts
from ..charts.chart import Chart
from ..charts.colours import OTHER, Palette, palette
from ..charts.search_curves import search_curves
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
from ..time_series import Span, spans

Draw = Callable[[LoadSummary, Palette], list[Chart]]
"""Makes the charts of a run."""

MAX_FINDINGS = 60
"""Findings shown in full; the JSON report has them all."""

MAX_OUTCOMES = 60
MAX_SPANS = 20
"""Rows of the table of chart values."""

SLOWEST = 10
MAX_OK_EXEMPLARS = 3
"""Exemplars that are shown where all were answered ok; the others are folded."""
MAX_LENGTH = 3000
"""Longest value that the page repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPart:
    """A load run with everything that its section of the page shows."""

    summary: LoadSummary
    anchor: str
    charts: list[Chart]
    exemplars: list[Exemplar]
    """One of every outcome that is not ok; the slowest where all are ok."""
    folded_exemplars: list[Exemplar]
    """Shown when the reader unfolds them."""
    over_time: list[Span]
    known_outcomes: int
    """Number of requests with a known outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformancePart:
    """A conformance run with everything that its section of the page shows."""

    summary: ConformanceSummary
    anchor: str
    states: Counter[ClauseState]
    clauses: list[ClauseRow]
    """Violated ones, failed ones first."""
    folded_clauses: list[ClauseRow]
    """The others, passed ones last; shown when the reader unfolds them."""
    folded_title: str


def render(report: Report, draw: Draw = charts) -> str:
    """The report as an HTML page, with the charts made by *draw*."""
    colours = palette(row.outcome for summary in report.load_runs for row in summary.outcomes)
    findings = report.findings_with_runs
    load_parts = [_load_part(summary, place, colours, draw) for place, summary in enumerate(report.load_runs, start=1)]
    search_charts = {id(search): _search_charts(search) for search in report.searches}
    return TEMPLATES.get_template("report.html.j2").render(
        report=report,
        exit_code=int(EXIT_CODE_OF[report.verdict]),
        load_runs=load_parts,
        search_charts=search_charts,
        conformance_runs=[
            _conformance_part(summary, place) for place, summary in enumerate(report.conformance_runs, start=1)
        ],
        findings=findings[:MAX_FINDINGS],
        findings_left=findings[MAX_FINDINGS:],
        next_step=next_step(report).replace("The HTML report", "This page"),
        caveats=[(summary, caveat) for summary in report.summaries for caveat in summary.caveats],
        own_runs=[summary for summary in report.summaries if not report.is_probe(summary)],
        several=len(report.summaries) > 1,
        names=_names(report),
        findings_first=report.verdict is Verdict.FAIL
        and any(summary.verdict is Verdict.FAIL for summary, _ in findings),
        colours=colours,
        has_charts=any(search_charts.values()) or any(part.charts for part in load_parts),
        **frame(),
    )


def frame() -> dict[str, object]:
    """What `page.html.j2` needs for every page: the version, our style sheet, and our script with its digest."""
    css, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return {
        "version": __version__,
        "css": Markup(css),  # noqa: S704  # our own style sheet
        "script": {"text": Markup(script), "digest": digest},  # noqa: S704  # our own script
    }


def _search_charts(search: SearchRecord) -> list[Chart]:
    """The curves of a search, if it has any."""
    chart = search_curves(search)
    return [] if chart is None else [chart]


def _names(report: Report) -> dict[int, str]:
    """The title of each run by the summary's id; runs of the same name get their start time."""
    titles = [runs.title(summary) for summary in report.summaries]
    return {
        id(summary): title if titles.count(title) == 1 else f"{title}, {runs.started(summary.run)}"
        for summary, title in zip(report.summaries, titles, strict=True)
    }


def _load_part(summary: LoadSummary, place: int, colours: Palette, draw: Draw) -> LoadPart:
    """The section of one load run."""
    exemplars = shown_exemplars(summary.run.exemplars)
    shown = [each for each in exemplars if each.result != Result.OK] or exemplars[:MAX_OK_EXEMPLARS]
    return LoadPart(
        summary=summary,
        anchor=f"load-{place}",
        charts=draw(summary, colours),
        exemplars=shown,
        folded_exemplars=[each for each in exemplars if each not in shown],
        over_time=spans(summary.seconds, MAX_SPANS),
        known_outcomes=sum(row.count for row in summary.outcomes),
    )


def shown_exemplars(exemplars: Sequence[Exemplar]) -> list[Exemplar]:
    """The slowest exemplars, and the first of every other outcome; those that are not ok first."""
    slowest = sorted(
        (each for each in exemplars if each.why == "slowest"), key=lambda each: each.response_time, reverse=True
    )
    firsts: dict[tuple[str, int | None, str | None, str], Exemplar] = {}
    for each in sorted(exemplars, key=lambda each: each.number):
        if each.why != "slowest":
            firsts.setdefault((each.transport, each.status, each.error_code, each.result), each)
    shown = list(firsts.values())[:MAX_OUTCOMES] + slowest[:SLOWEST]
    return sorted(shown, key=lambda each: each.result == Result.OK)


_STATE_ORDER = (
    ClauseState.FAILED,
    ClauseState.WITH_WARNINGS,
    ClauseState.INCONCLUSIVE,
    ClauseState.NOT_EXERCISED,
    ClauseState.WAIVED,
    ClauseState.PASSED,
)
_VIOLATED = (ClauseState.FAILED, ClauseState.WITH_WARNINGS)


def _conformance_part(summary: ConformanceSummary, place: int) -> ConformancePart:
    """The section of one conformance run."""
    rows = sorted(summary.clauses, key=lambda row: _STATE_ORDER.index(row.state))
    violated = [row for row in rows if row.state in _VIOLATED or row.acceptance is not None]
    folded = [row for row in rows if row not in violated]
    return ConformancePart(
        summary=summary,
        anchor=f"conformance-{place}",
        states=Counter(row.state for row in summary.clauses if row.acceptance is None),
        clauses=violated,
        folded_clauses=folded,
        folded_title=_folded_title(folded, is_more=bool(violated)),
    )


def _folded_title(rows: Sequence[ClauseRow], *, is_more: bool) -> str:
    """How many clauses are folded, by state."""
    counts = Counter(row.state for row in rows)
    states = [f"{quantities.count(counts[state])} {state.value}" for state in _STATE_ORDER if counts[state]]
    number = f"{quantities.count(len(rows))}{' more' * is_more} clause{'s' * (len(rows) != 1)}"
    return f"{number} {rows[0].state.value}" if len(counts) == 1 else f"{number}: {', '.join(states)}"


def exemplar_outcome(exemplar: Exemplar) -> str:
    """The outcome of an exemplar; as recorded if this version does not know it."""
    try:
        outcome = Outcome(Transport(exemplar.transport), exemplar.status, exemplar.error_code, Result(exemplar.result))
    except ValueError:
        return f"{exemplar.transport} {exemplar.status or ''}"
    return outcomes.outcome_text(outcome)


def objective_bar(result: ObjectiveResult) -> dict[str, float] | None:
    """
    Positions of the good share, its interval and the required share on a bar, in per cent of the bar's width.

    None if requests are not counted. The bar ends at 100 % and starts just below the lowest of these values, so that
    99.2 % and 99.9 % can be distinguished.
    """
    share = result.share
    if share is None or share.low is None or share.high is None:
        return None
    objective = result.objective
    required = objective.quantile if objective.quantile is not None else 1 - objective.threshold
    left = max(0.0, 1 - 1.25 * (1 - min(share.low, required))) if min(share.low, required) < 1 else 0.0
    place = {"low": share.low, "high": share.high, "value": share.value, "required": required}
    return {"left": left * 100} | {name: (value - left) / (1 - left) * 100 for name, value in place.items()}


def _safe(value: object) -> object:
    """The value of a template expression: text without unprintable characters and of limited length."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return safe_text.shorten(safe_text.escape_unprintable(value), MAX_LENGTH)
    return value


def _uncut(text: str) -> Markup:
    """The text escaped but not cut, because a command must be copied completely."""
    return Markup.escape(safe_text.escape_unprintable(text))


_CODE = re.compile(r"`([^`]+)`|(?<![\w-])(--[a-z][a-z-]*)")
"""Text between backticks, and the names of options."""
_OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)")


def _prose(text: str) -> Markup:
    """The sentence escaped, with text between backticks and names of options as code."""
    escaped = str(Markup.escape(safe_text.shorten(safe_text.escape_unprintable(text), MAX_LENGTH)))
    return Markup(_CODE.sub(_as_code, escaped))  # noqa: S704  # escaped one line above


def _as_code(found: re.Match[str]) -> str:
    """A match of `_CODE` as an element. The name of an option is not broken after its hyphens."""
    if found[1] is None:
        return f'<code class="option">{found[2]}</code>'
    command = _OPTION.sub(r'<span class="option">\1</span>', found[1])
    return f"<code>{command}</code>"


EXEMPLAR_KINDS = {"slowest": "slowest", "outcome": "first of its outcome"}
"""Why an exemplar was recorded."""

_SIGNS = {"pass": "✓", "fail": "✕", "inconclusive": "?", "invalid": "!", "error": "!"}

_HERE = Path(__file__).parent

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_safe,
)
TEMPLATES.filters["key"] = id
TEMPLATES.globals.update(
    clauses=clauses,
    evidence=evidence,
    load_details=load_details,
    objectives=objectives,
    outcomes=outcomes,
    phases=phases,
    quantities=quantities,
    runs=runs,
    safe_text=safe_text,
    searches=searches,
    latency=latency,
    RESPONSE_TIME=RESPONSE_TIME,
    timing_names=TIMING_NAMES,
    signs=_SIGNS,
    quantiles=[name for name, _ in latency.QUANTILES],
    part_columns=("p50", "p95", "p99", "max"),
    acceptance=acceptance,
    exemplar_outcome=exemplar_outcome,
    remedies_for=remedies_for,
    statement=evidence.statement,
    objective_bar=objective_bar,
    svg=Markup,
    uncut=_uncut,
    prose=_prose,
    exemplar_kinds=EXEMPLAR_KINDS,
    Result=Result,
    ClauseState=ClauseState,
    OTHER=OTHER,
    max_outcomes=MAX_OUTCOMES,
)
