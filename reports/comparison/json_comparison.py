"""A comparison for programs: one JSON object, described by `comparison.schema.json`."""

from __future__ import annotations

import math
from typing import cast

import orjson

from chainproof.json_text import JSON
from chainproof.judgement.comparison.change import MetricChange
from chainproof.judgement.comparison.comparability import ComparisonCaveat
from chainproof.judgement.comparison.comparison import Comparison
from chainproof.judgement.comparison.conformance_comparison import ConformanceComparison
from chainproof.judgement.comparison.load_comparison import LoadComparison
from chainproof.judgement.summary import Summary
from chainproof.judgement.verdict import EXIT_CODE_OF
from chainproof.results.finding import Finding
from chainproof.statistics.run_differences import ERROR, POWER

SCHEMA = "chainproof.comparison/1"
"""Name and version of the schema. A new key does not change the version; a changed or removed one does."""

Object = dict[str, JSON]


def render(comparison: Comparison) -> str:
    """The comparison as JSON text."""
    return orjson.dumps(as_json(comparison), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def as_json(comparison: Comparison) -> Object:
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
        "caveats": [_caveat(each) for each in comparison.caveats],
    }


def _run(summary: Summary) -> Object:
    """A run that was compared."""
    manifest = summary.run.manifest
    return {
        "run": summary.run.path.name,
        "kind": manifest.kind.value,
        "label": manifest.label or None,
        "started": manifest.started,
        "target": manifest.target,
        "emulated": manifest.emulated,
        "verdict": summary.verdict.value,
        "series": None if manifest.series is None else cast(Object, manifest.series.to_json()),
    }


def _load(part: LoadComparison) -> Object:
    """The changes of load runs."""
    return {
        "design": part.design.value,
        "tolerance": part.tolerance.relative,
        "share_tolerance": part.tolerance.share,
        "verdict": part.verdict.value,
        "metrics": [_change(each) for each in part.changes],
    }


def _change(change: MetricChange) -> Object:
    """The change of a metric. Of shares all changes are differences, of other metrics candidate ÷ baseline − 1."""
    return {
        "metric": change.metric.value,
        "meaning": change.kind.meaning,
        "baseline": change.baseline,
        "candidate": change.candidate,
        "class": change.change.value,
        "is_share": change.kind.is_share,
        "change": change.size,
        "low": change.low,
        "high": change.high,
        "differs": change.differs,
        "excludes_regression": change.excludes_regression,
        "smallest_detectable": _finite(change.smallest_detectable),
        "runs_needed": change.runs_needed,
        "history": change.history,
        "decides": change.decides,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _conformance(part: ConformanceComparison) -> Object:
    """The changes of conformance runs."""
    return {
        "verdict": part.verdict.value,
        "new": [_finding(each) for each in part.new],
        "fixed": [_finding(each) for each in part.fixed],
        "unchanged": [_finding(each) for each in part.unchanged],
        "lost_coverage": list(part.lost_coverage),
        "gained_coverage": list(part.gained_coverage),
    }


def _finding(finding: Finding) -> Object:
    """A finding."""
    return cast(Object, finding.to_json())


def _caveat(caveat: ComparisonCaveat) -> Object:
    """A caveat with its remedy."""
    return {"text": caveat.text, "remedy": caveat.remedy}
