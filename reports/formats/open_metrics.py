"""
The report as OpenMetrics text, for a Prometheus Pushgateway or the textfile collector of its node exporter.

Counters and histograms have all requests of a run; percentiles are those of the report, of its judged phases.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.summary import Report, Summary
from chainproof.judgement.verdict import EXIT_CODE_OF, Verdict
from chainproof.open_metrics import Family, Labels, exposition, request_metrics


def render(report: Report) -> str:
    """The report as OpenMetrics text."""
    return exposition(families(report))


def families(report: Report) -> list[Family]:
    """The metrics of a report."""
    return [*_runs(report), *request_metrics((labels(each), each.totals) for each in report.load_runs)]


def labels(summary: Summary) -> Labels:
    """The labels of every sample of a run."""
    manifest = summary.run.manifest
    named = {"label": manifest.label} if manifest.label else {}
    return {"run": summary.run.name, "name": manifest.name, **named}


def _runs(report: Report) -> Iterator[Family]:
    """The metrics of the verdicts, objectives and percentiles."""
    info = Family("chainproof_run", "info", "Target, kind and verdict of a run.")
    code = Family(
        "chainproof_exit_code", "gauge", "Exit code of the verdict: 0 pass, 1 fail, 3 inconclusive, 4 invalid."
    )
    met = Family(
        "chainproof_objective_met", "gauge", "1 if an objective is met, 0 if it is missed; absent if undecided."
    )
    quantiles = Family("chainproof_quantile_seconds", "gauge", "Percentiles of the report, by kind of time.")
    findings = Family("chainproof_violations", "counter", "Violations found, by clause.")
    for summary in report.summaries:
        manifest, own = summary.run.manifest, labels(summary)
        facts = {"kind": manifest.kind.value, "target": manifest.target, "verdict": summary.verdict.value}
        info.add(1, {**own, **facts, "started": manifest.started})
        code.add(int(EXIT_CODE_OF[summary.verdict]), own)
        for finding in summary.findings:
            parts = {"clause": finding.clause, "level": finding.level, "expected": finding.expected[:200]}
            findings.add(finding.count, {**own, **parts, "actual": finding.actual[:200]})
        if isinstance(summary, LoadSummary):
            _add_figures(summary, own, met, quantiles)
    yield from (info, code, met, quantiles, findings)


def _add_figures(summary: LoadSummary, own: Labels, met: Family, quantiles: Family) -> None:
    """Add the objectives and percentiles of a load run."""
    for result in summary.objectives:
        if result.verdict in (Verdict.PASS, Verdict.FAIL):
            met.add(int(result.verdict is Verdict.PASS), {**own, "objective": result.objective.text})
    for kind, timing in summary.timings.items():
        for name, estimate in timing.quantiles.items():
            quantile = str(round(float(name.removeprefix("p")) / 100, 5))
            quantiles.add(estimate.value, {**own, "time": kind, "quantile": quantile})
