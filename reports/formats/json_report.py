"""
The report for programs: one JSON object, described by `report.schema.json`.

With exactly one load run the top level has all its results. With several, it has the sums that are exact (accounting,
outcomes) and null for everything else. Keys contain their units.
"""

from __future__ import annotations

from typing import cast

from chainproof.contract.accepted_violations import Acceptance
from chainproof.contract.remedies import remedies_for
from chainproof.json_text import JSON
from chainproof.judgement.capacity import capacity
from chainproof.judgement.caveat import Caveat
from chainproof.judgement.conformance_summary import ClauseRow, ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.summary import Report, Summary, acceptance
from chainproof.judgement.verdict import EXIT_CODE_OF
from chainproof.results.finding import Finding
from chainproof.results.search_record import SearchRecord
from chainproof.statistics.confidence_intervals import Estimate

from ..formatting.json_output import finite, indented_json
from .json_load import LOAD_KEYS, Object, load_run, load_runs

SCHEMA = "chainproof.report/2"
"""Name and version of the schema. A new key does not change the version; a changed or removed one does."""

QUANTILE_METHOD = "nearest rank"


def render(report: Report) -> str:
    """The report as JSON text."""
    return indented_json(as_json(report))


def as_json(report: Report) -> Object:
    """The report as JSON types."""
    return {
        "schema": SCHEMA,
        "verdict": report.verdict.value,
        "exit_code": int(EXIT_CODE_OF[report.verdict]),
        "reason": report.reason,
        "kind": report.kind,
        "quantile_method": QUANTILE_METHOD,
        **load_runs(report.load_runs),
        "clauses": _clauses(report.conformance_runs[0]) if len(report.conformance_runs) == 1 else None,
        "findings": [_finding(finding, summary) for summary, finding in report.findings_with_runs],
        "exemplars": [row for summary in report.load_runs for row in _exemplars(summary)],
        "caveats": [_caveat(each, summary) for summary in report.summaries for each in summary.caveats],
        "runs": [_run(summary) for summary in report.summaries],
        "searches": [_search(search) for search in report.searches],
    }


def _run(summary: Summary) -> Object:
    """One run with all its results."""
    end = summary.run.end
    is_load = isinstance(summary, LoadSummary)
    return {
        **_manifest(summary),
        "ending": end.ending.value if end is not None else None,
        "elapsed_s": end.seconds if end is not None else None,
        "note": end.note if end is not None else None,
        "verdict": summary.verdict.value,
        "exit_code": int(EXIT_CODE_OF[summary.verdict]),
        "reason": summary.reason,
        **(load_run(summary) if isinstance(summary, LoadSummary) else dict.fromkeys(LOAD_KEYS)),
        "clauses": _clauses(summary) if isinstance(summary, ConformanceSummary) else None,
        "coverage": _coverage(summary),
        "findings": [_finding(finding, summary) for finding in summary.findings],
        "exemplars": _exemplars(summary) if is_load else [],
        "caveats": [_caveat(each, summary) for each in summary.caveats],
    }


def _manifest(summary: Summary) -> Object:
    """The manifest of a run, with the name of its folder. The path is left out, because reports are passed on."""
    manifest = summary.run.manifest
    return {
        "run": _run_name(summary),
        "kind": manifest.kind.value,
        "name": manifest.name,
        "label": manifest.label or None,
        "started": manifest.started,
        "target": manifest.target,
        "emulated": manifest.emulated,
        "contract": manifest.contract,
        "seed": manifest.seed,
        "settings": dict(manifest.settings),
        "versions": dict(manifest.versions),
    }


def _run_name(summary: Summary) -> str:
    """The name of the run folder, which identifies a run in every row."""
    return summary.run.name


def _search(search: SearchRecord) -> Object:
    """The result of a search and its probes."""
    return {
        "folder": search.path.name,
        "workload": search.workload,
        "label": search.label or None,
        "target": search.target,
        "emulated": search.emulated,
        "objectives": list(search.objectives),
        "saturation_rate_per_s": search.saturation_rate,
        "missed_at_per_s": search.missed_at,
        "interval_per_s": list(search.interval),
        "verdict": search.verdict,
        "summary": search.summary,
        "capacity": _capacity(search),
        "missing_folders": list(search.missing_folders),
        "probes": [
            {
                "rate_per_s": probe.rate,
                "purpose": probe.purpose,
                "verdict": probe.verdict,
                "reason": probe.reason,
                "folder": probe.folder,
                "judged_s": probe.seconds,
                "planned": probe.planned,
                "ok": probe.ok,
                "response_time_s": dict(probe.response_time),
                "ok_per_s": probe.ok_per_second,
                "in_flight": probe.in_flight,
                "growing": probe.growing,
            }
            for probe in search.probes
        ],
    }


def _capacity(search: SearchRecord) -> Object:
    """What the search implies for autoscaling."""
    implied = capacity(search)
    if isinstance(implied, str):
        return {"reason": implied}
    return {
        "levels": implied.levels,
        "sigma": _interval(implied.sigma),
        "kappa": _interval(implied.kappa),
        "highest_throughput_per_s": _interval(implied.highest_throughput),
        "concurrency_target": _interval(implied.concurrency),
        "rate_at_target_utilisation_per_s": implied.rate_at_target_utilisation,
    }


def _interval(estimate: Estimate) -> Object:
    """A value with its interval."""
    return {"value": finite(estimate.value), "low": estimate.low, "high": estimate.high}


def _clauses(summary: ConformanceSummary) -> list[JSON]:
    """Every clause with its state."""
    return [_clause(row) for row in summary.clauses]


def _clause(row: ClauseRow) -> Object:
    """One clause."""
    return {
        "clause": row.clause.id,
        "level": row.clause.level.value,
        "state": row.state.value,
        "exercised": row.exercised,
        "violations": row.violations,
        "detectable_share": row.detectable_share,
        "why": row.why,
        "accepted": row.acceptance is not None,
        "accepted_until": _until(row.acceptance),
        "statement": row.clause.statement,
        "source": row.clause.source,
        "quotation": row.clause.quotation,
    }


def _coverage(summary: Summary) -> Object | None:
    """Requests and answers of a conformance run; null if not recorded."""
    coverage = summary.run.coverage
    return cast(Object, coverage.to_json()) if coverage is not None else None


def _finding(finding: Finding, summary: Summary) -> Object:
    """One finding, and whether it was accepted beforehand."""
    accepting = acceptance(summary, finding)
    return {
        "run": _run_name(summary),
        **cast(Object, finding.to_json()),
        "accepted": accepting is not None,
        "accepted_until": _until(accepting),
        "remedies": [
            {"framework": remedy.framework, "text": remedy.text, "code": remedy.code}
            for remedy in remedies_for(finding.clause, finding.actual, finding.server)
        ],
    }


def _until(accepting: Acceptance | None) -> str | None:
    """The last day of an acceptance; null if it has none, or there is no acceptance."""
    return accepting.until.isoformat() if accepting is not None and accepting.until is not None else None


def _exemplars(summary: Summary) -> list[JSON]:
    """The exemplars of a run."""
    return [{"run": _run_name(summary), **cast(Object, each.to_json())} for each in summary.run.exemplars]


def _caveat(caveat: Caveat, summary: Summary) -> Object:
    """One reason to distrust the results."""
    return {
        "run": _run_name(summary),
        "code": caveat.code,
        "text": caveat.text,
        "remedy": caveat.remedy,
        "invalidates": caveat.invalidates,
    }
