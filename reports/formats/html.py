"""
The report as one page: no request leaves it, no script runs in it, and nothing of the target's is taken for markup.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from chainproof import __version__
from chainproof.contract.clauses import CLAUSE_BY_ID
from chainproof.judgement.caveats import QUANTILES
from chainproof.judgement.conformance_summary import ClauseRow, ClauseState, ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.summary import Report, acceptance
from chainproof.judgement.verdict import EXIT_CODE_OF, Verdict
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import Finding

from ..charts import OTHER, Chart, Palette, charts, palette
from ..time_series import Span, spans
from . import formatting

Draw = Callable[[LoadSummary, Palette], list[Chart]]
"""What makes the charts of a run."""

MAX_FINDINGS = 60
"""Findings shown in full; the rest are counted, and the JSON report has them all."""

MAX_OUTCOMES = 60
MAX_SPANS = 20
"""Rows of the table that stands beside the charts."""

SLOWEST = 10
MAX_LENGTH = 3000
"""Characters of a value that the page repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPart:
    """
    A load run with what its part of the page needs beside the summary.
    """

    summary: LoadSummary
    anchor: str
    charts: list[Chart]
    exemplars: list[Exemplar]
    over_time: list[Span]
    known_outcomes: int
    """Sent requests whose outcome is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformancePart:
    """
    A conformance run with what its part of the page needs beside the summary.
    """

    summary: ConformanceSummary
    anchor: str
    states: Counter[ClauseState]
    clauses: list[ClauseRow]
    """Those worth attention first."""


def render(report: Report, draw: Draw = charts) -> str:
    """
    The report as an HTML page, with the charts that *draw* makes.
    """
    colours = palette(outcome for summary in report.load_runs for outcome in _by_frequency(summary))
    findings = report.findings_with_runs
    return _TEMPLATES.get_template("report.html.j2").render(
        report=report,
        exit_code=int(EXIT_CODE_OF[report.verdict]),
        load_runs=[
            _load_part(summary, place, colours, draw) for place, summary in enumerate(report.load_runs, start=1)
        ],
        conformance_runs=[
            _conformance_part(summary, place) for place, summary in enumerate(report.conformance_runs, start=1)
        ],
        findings=findings[:MAX_FINDINGS],
        findings_left=findings[MAX_FINDINGS:],
        caveats=[(summary, caveat) for summary in report.summaries for caveat in summary.caveats],
        several=len(report.summaries) > 1,
        names=_names(report),
        findings_first=report.verdict is Verdict.FAIL
        and any(summary.verdict is Verdict.FAIL for summary, _ in findings),
        colours=colours,
        version=__version__,
        css=Markup((_HERE / "report.css").read_text(encoding="utf-8")),  # noqa: S704  # a file of ours
    )


def _names(report: Report) -> dict[int, str]:
    """
    What each run is called, by its place; its beginning tells runs of the same name apart.
    """
    kinds = [formatting.kind(summary) for summary in report.summaries]
    return {
        id(summary): kind if kinds.count(kind) == 1 else f"{kind}, {formatting.started(summary.run)}"
        for summary, kind in zip(report.summaries, kinds, strict=True)
    }


def _by_frequency(summary: LoadSummary) -> list[Outcome]:
    """
    The outcomes of a run, the most frequent first.
    """
    return [row.outcome for row in summary.outcomes]


def _load_part(summary: LoadSummary, place: int, colours: Palette, draw: Draw) -> LoadPart:
    """
    One load run's part of the page.
    """
    return LoadPart(
        summary=summary,
        anchor=f"load-{place}",
        charts=draw(summary, colours),
        exemplars=shown_exemplars(summary.run.exemplars),
        over_time=spans(summary.seconds, MAX_SPANS),
        known_outcomes=sum(row.count for row in summary.outcomes),
    )


def shown_exemplars(exemplars: Sequence[Exemplar]) -> list[Exemplar]:
    """
    The slowest, then the first of every outcome that is not among them.
    """
    slowest = sorted(
        (found for found in exemplars if found.why == "slowest"), key=lambda found: found.response_time, reverse=True
    )
    firsts: dict[tuple[str, int | None, str | None, str], Exemplar] = {}
    for found in sorted(exemplars, key=lambda found: found.number):
        if found.why != "slowest":
            firsts.setdefault((found.transport, found.status, found.error_code, found.result), found)
    return slowest[:SLOWEST] + list(firsts.values())[:MAX_OUTCOMES]


_ATTENTION = (
    ClauseState.FAILED,
    ClauseState.WITH_WARNINGS,
    ClauseState.NOT_EXERCISED,
    ClauseState.WAIVED,
    ClauseState.PASSED,
)


def _conformance_part(summary: ConformanceSummary, place: int) -> ConformancePart:
    """
    One conformance run's part of the page.
    """
    return ConformancePart(
        summary=summary,
        anchor=f"conformance-{place}",
        states=Counter(row.state for row in summary.clauses),
        clauses=sorted(summary.clauses, key=lambda row: _ATTENTION.index(row.state)),
    )


def exemplar_outcome(found: Exemplar) -> str:
    """
    An exemplar's outcome in the words of every other outcome.
    """
    try:
        outcome = Outcome(Transport(found.transport), found.status, found.error_code, Result(found.result))
    except ValueError:
        return f"{found.transport} {found.status or ''}"
    return formatting.outcome(outcome)


def statement(found: Finding) -> str:
    """
    What the finding's clause states, empty for a clause that this version does not know.
    """
    clause = CLAUSE_BY_ID.get(found.clause)
    return clause.statement if clause is not None else ""


def objective_bar(judged: ObjectiveResult) -> dict[str, float] | None:
    """
    Where the good share and its interval lie on a bar, in per cent of its width; None where nothing is counted.

    The bar ends at 100 % and begins where the interval and the demand still have room, so that 99.2 % and 99.9 % part.
    """
    share = judged.share
    if share is None or share.low is None or share.high is None:
        return None
    objective = judged.objective
    required = objective.quantile if objective.quantile is not None else 1 - objective.threshold
    left = max(0.0, 1 - 1.25 * (1 - min(share.low, required))) if min(share.low, required) < 1 else 0.0
    place = {"low": share.low, "high": share.high, "value": share.value, "required": required}
    return {"left": left * 100} | {name: (value - left) / (1 - left) * 100 for name, value in place.items()}


def _shown(value: object) -> object:
    """
    What an expression of the template becomes: every text visible, and none endless.
    """
    if isinstance(value, str) and not isinstance(value, Markup):
        return formatting.shortened(formatting.escape_unprintable(value), MAX_LENGTH)
    return value


def _whole(text: str) -> Markup:
    """
    A text escaped and visible, but not cut: a command that is copied must be whole.
    """
    return Markup.escape(formatting.escape_unprintable(text))


_CODE = re.compile(r"`([^`]+)`")


def _prose(text: str) -> Markup:
    """
    A sentence escaped, what it writes between backticks as code.
    """
    shown = str(Markup.escape(formatting.shortened(formatting.escape_unprintable(text), MAX_LENGTH)))
    return Markup(_CODE.sub(r"<code>\1</code>", shown))  # noqa: S704  # escaped one line above


EXEMPLAR_KINDS = {"slowest": "slowest", "outcome": "first of its outcome"}
"""Why an exemplar is shown, in formatting."""

_SIGNS = {"pass": "✓", "fail": "✕", "inconclusive": "?", "invalid": "!", "error": "!"}

_HERE = Path(__file__).parent

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_shown,
)
_TEMPLATES.filters["key"] = id
_TEMPLATES.globals.update(
    words=formatting,
    signs=_SIGNS,
    quantiles=[name for name, _ in QUANTILES],
    part_times=("p50", "p95", "p99", "max"),
    acceptance=acceptance,
    exemplar_outcome=exemplar_outcome,
    statement=statement,
    objective_bar=objective_bar,
    svg=Markup,
    whole=_whole,
    prose=_prose,
    kept=EXEMPLAR_KINDS,
    Result=Result,
    ClauseState=ClauseState,
    OTHER=OTHER,
    max_outcomes=MAX_OUTCOMES,
)
