"""A comparison for programs: one JSON object, described by `docs/comparison.schema.json`."""

from __future__ import annotations

from typing import TypedDict

from chainproof.judgement.comparison.change import MetricChange
from chainproof.judgement.comparison.comparison import Comparison
from chainproof.judgement.comparison.conformance_comparison import ConformanceComparison
from chainproof.judgement.comparison.load_comparison import LoadComparison
from chainproof.judgement.summary import Summary
from chainproof.judgement.verdict import EXIT_CODE_OF
from chainproof.results.finding import FindingData
from chainproof.results.manifest import SeriesData
from chainproof.statistics.run_differences import ERROR, POWER

from ..formatting.json_output import finite, indented_json

SCHEMA = "chainproof.comparison/1"
"""Name and version of the schema. A new key does not change the version; a changed or removed one does."""


class ComparedRunData(TypedDict):
    """A run that was compared."""

    run: str
    kind: str
    label: str | None
    started: str
    target: str
    emulated: bool
    verdict: str
    series: SeriesData | None


class MetricChangeData(TypedDict):
    """
    The change of a metric: of shares (`is_share`) a difference, of others candidate ÷ baseline − 1. Times are in seconds. The
    interval from `low` to `high` has the confidence of the comparison: for this metric alone if `judged_together` is 0, else
    for that number of metrics together.
    """

    metric: str
    meaning: str
    baseline: float | None
    candidate: float | None
    result: str
    is_share: bool
    change: float | None
    low: float | None
    high: float | None
    judged_together: int
    differs: bool
    excludes_regression: bool
    smallest_detectable: float | None
    runs_needed: int | None
    history: int
    decides: bool


class LoadComparisonData(TypedDict):
    """The changes of load runs."""

    design: str
    tolerance: float
    share_tolerance: float
    verdict: str
    metrics: list[MetricChangeData]


class ConformanceComparisonData(TypedDict):
    """The changes of conformance runs."""

    verdict: str
    new: list[FindingData]
    fixed: list[FindingData]
    unchanged: list[FindingData]
    lost_coverage: list[str]
    gained_coverage: list[str]


class ComparisonCaveatData(TypedDict):
    """A reason to distrust the comparison."""

    text: str
    remedy: str


class ComparisonData(TypedDict):
    """A comparison of candidate runs with baseline runs."""

    schema: str
    verdict: str
    exit_code: int
    reason: str
    next_steps: list[str]
    confidence: float
    power: float
    candidates: list[ComparedRunData]
    baselines: list[ComparedRunData]
    load: LoadComparisonData | None
    conformance: ConformanceComparisonData | None
    invalid: list[str]
    caveats: list[ComparisonCaveatData]


def render(comparison: Comparison) -> str:
    """The comparison as JSON text."""
    return indented_json(as_json(comparison))


def as_json(comparison: Comparison) -> ComparisonData:
    """The comparison as JSON types."""
    return {
        "schema": SCHEMA,
        "verdict": comparison.verdict.value,
        "exit_code": int(EXIT_CODE_OF[comparison.verdict]),
        "reason": comparison.reason,
        "next_steps": list(comparison.next_steps),
        "confidence": 1.0 - ERROR,
        "power": POWER,
        "candidates": [_run(each) for each in comparison.candidates],
        "baselines": [_run(each) for each in comparison.baselines],
        "load": None if comparison.load is None else _load(comparison.load),
        "conformance": None if comparison.conformance is None else _conformance(comparison.conformance),
        "invalid": list(comparison.invalid),
        "caveats": [{"text": each.text, "remedy": each.remedy} for each in comparison.caveats],
    }


def _run(summary: Summary) -> ComparedRunData:
    """A run that was compared."""
    manifest = summary.run.manifest
    return {
        "run": summary.run.name,
        "kind": manifest.kind.value,
        "label": manifest.label or None,
        "started": manifest.started,
        "target": manifest.target,
        "emulated": manifest.emulated,
        "verdict": summary.verdict.value,
        "series": None if manifest.series is None else manifest.series.to_json(),
    }


def _load(part: LoadComparison) -> LoadComparisonData:
    """The changes of load runs."""
    return {
        "design": part.design.value,
        "tolerance": part.tolerance.relative,
        "share_tolerance": part.tolerance.share,
        "verdict": part.verdict.value,
        "metrics": [_change(each) for each in part.changes],
    }


def _change(change: MetricChange) -> MetricChangeData:
    """The change of a metric."""
    return {
        "metric": change.metric.value,
        "meaning": change.kind.meaning,
        "baseline": change.baseline,
        "candidate": change.candidate,
        "result": change.change.value,
        "is_share": change.kind.is_share,
        "change": change.size,
        "low": change.low,
        "high": change.high,
        "judged_together": change.jointly,
        "differs": change.differs,
        "excludes_regression": change.excludes_regression,
        "smallest_detectable": finite(change.smallest_detectable),
        "runs_needed": change.runs_needed,
        "history": change.history,
        "decides": change.decides,
    }


def _conformance(part: ConformanceComparison) -> ConformanceComparisonData:
    """The changes of conformance runs."""
    return {
        "verdict": part.verdict.value,
        "new": [each.to_json() for each in part.new],
        "fixed": [each.to_json() for each in part.fixed],
        "unchanged": [each.to_json() for each in part.unchanged],
        "lost_coverage": list(part.lost_coverage),
        "gained_coverage": list(part.gained_coverage),
    }
