"""
The report for programs: one JSON object, described by `report.schema.json` beside this file.

With exactly one load run the top level carries its figures; with several it carries the sums that are exact (accounting,
outcomes) and null where a sum would mean nothing. Keys carry their units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

import orjson

from chainproof.contract.accepted_violations import Acceptance
from chainproof.json_text import JSON
from chainproof.judgement.caveat import Caveat
from chainproof.judgement.conformance_summary import ClauseRow, ConformanceSummary
from chainproof.judgement.generator_health import mean_in_flight
from chainproof.judgement.load_summary import LoadSummary, OutcomeCount, PayloadSummary, PhaseSummary, Timing, timing
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.summary import Report, Summary, acceptance
from chainproof.judgement.verdict import EXIT_CODE_OF
from chainproof.results.exchange import NotSent
from chainproof.results.finding import Finding
from chainproof.results.search_record import SearchRecord
from chainproof.results.transport_stats import TIME_FIELDS as NETWORK_TIMES
from chainproof.workload.objectives import DURATIONS, Indicator

SCHEMA = "chainproof.report/2"
"""The name and version of the schema. A new key leaves it as it is; a changed or missing one raises the number."""

QUANTILE_METHOD = "nearest rank"

Object = dict[str, JSON]


def render(report: Report) -> str:
    """
    The report as JSON text.
    """
    return orjson.dumps(as_json(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def as_json(report: Report) -> Object:
    """
    The report as JSON types.
    """
    return {
        "schema": SCHEMA,
        "verdict": report.verdict.value,
        "exit_code": int(EXIT_CODE_OF[report.verdict]),
        "reason": report.reason,
        "kind": report.kind,
        "quantile_method": QUANTILE_METHOD,
        **_whole_load(report.load_runs),
        "clauses": _clauses(report.conformance_runs[0]) if len(report.conformance_runs) == 1 else None,
        "findings": [_finding(found, summary) for summary, found in report.findings_with_runs],
        "exemplars": [row for summary in report.load_runs for row in _exemplars(summary)],
        "caveats": [_caveat(each, summary) for summary in report.summaries for each in summary.caveats],
        "runs": [_run(summary) for summary in report.summaries],
        "searches": [_search(search) for search in report.searches],
    }


def _search(search: SearchRecord) -> Object:
    """
    What a search found, and the probes that say so.
    """
    return {
        "folder": search.path.name,
        "workload": search.workload,
        "target": search.target,
        "emulated": search.emulated,
        "objectives": list(search.objectives),
        "saturation_rate_per_s": search.saturation_rate,
        "missed_at_per_s": search.missed_at,
        "summary": search.summary,
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
            }
            for probe in search.probes
        ],
    }


def _whole_load(load_runs: Sequence[LoadSummary]) -> Object:
    """
    What all load runs together say: everything of one, the sums of several, null of none.
    """
    if len(load_runs) == 1:
        return _load(load_runs[0])
    nothing: Object = dict.fromkeys(_LOAD_KEYS)
    return nothing | _sums(load_runs) if load_runs else nothing


def _sums(load_runs: Sequence[LoadSummary]) -> Object:
    """
    What may be added up across runs.
    """
    accounts: Counter[str] = Counter()
    reasons: Counter[NotSent] = Counter()
    for summary in load_runs:
        accounts.update(summary.accounting.to_json())
        reasons.update(summary.totals.not_sent)
    return {
        "accounting": dict(accounts),
        "not_sent_reasons": _not_sent_reasons(reasons),
        "outcomes": _outcomes(_added_up(row for summary in load_runs for row in summary.outcomes)),
        "objectives": [row for summary in load_runs for row in _objectives(summary)],
    }


def _added_up(rows: Iterable[OutcomeCount]) -> list[OutcomeCount]:
    """
    Outcomes of several runs, the most frequent first.
    """
    counts: Counter[OutcomeCount] = Counter()
    for row in rows:
        counts[replace(row, count=0)] += row.count
    return [replace(row, count=number) for row, number in counts.most_common()]


_LOAD_KEYS = (
    "accounting",
    "not_sent_reasons",
    "timings",
    "timings_by_result",
    "throughput_per_s",
    "ok_per_s",
    "outcomes",
    "objectives",
    "phases",
    "payloads",
)
"""What a load run alone has."""


def _load(summary: LoadSummary) -> Object:
    """
    What one load run says, in the order of `_LOAD_KEYS`.
    """
    return {
        "accounting": dict(summary.accounting.to_json()),
        "not_sent_reasons": _not_sent_reasons(summary.totals.not_sent),
        "timings": _figures(summary.timings),
        "timings_by_result": {result: _figures(timings) for result, timings in summary.timings_by_result.items()},
        "throughput_per_s": summary.throughput,
        "ok_per_s": summary.ok_per_second,
        "outcomes": _outcomes(summary.outcomes),
        "objectives": _objectives(summary),
        "phases": [_phase(found) for found in summary.phases],
        "payloads": [_payload(found) for found in summary.payloads],
        **_wire(summary),
        **_calls(summary),
        **_fitness(summary),
    }


def _wire(summary: LoadSummary) -> Object:
    """
    How the bytes travelled; nothing where the record does not say.
    """
    found = summary.totals.network
    if not found:
        return {}
    return {
        "network": {**found.counts(), **{f"{name}_s": _figure(timing(getattr(found, name))) for name in NETWORK_TIMES}}
    }


def _calls(summary: LoadSummary) -> Object:
    """
    What callers met who try again; nothing where none do.
    """
    calls = summary.totals.calls
    if not calls:
        return {}
    ended: list[JSON] = [
        {"attempts": attempts, "result": result.value, "count": number}
        for (attempts, result), number in sorted(calls.counts.items())
    ]
    return {
        "calls": {
            "counts": ended,
            "total_time_by_result_s": {
                result.value: _figure(timing(times)) for result, times in calls.total_time.items()
            },
        }
    }


def _fitness(summary: LoadSummary) -> Object:
    """
    How the generator itself did; nothing where nobody looked.
    """
    generator_health = summary.totals.generator_health
    if generator_health is None or not generator_health.samples:
        return {}
    return {
        "generator_health": {
            "loop_lag_s": _figure(timing(generator_health.loop_lag)),
            "cpu": generator_health.cpu,
            "cpu_max": generator_health.cpu_max,
            "open_files": generator_health.open_files,
            "open_files_limit": generator_health.open_files_limit,
            "ports": generator_health.ports,
            "ports_limit": generator_health.ports_limit,
            "in_flight": mean_in_flight(generator_health),
        }
    }


def _phase(found: PhaseSummary) -> Object:
    """
    One phase with the requests whose intended start lies in it.
    """
    return {
        "name": found.phase.name,
        "from_s": found.phase.start,
        "to_s": found.phase.end,
        "judged": found.phase.judged,
        **found.accounting.to_json(),
        "throughput_per_s": found.throughput,
        "ok_per_s": found.ok_per_second,
        "timings": _figures(found.timings),
        "timings_by_result": {result: _figures(timings) for result, timings in found.timings_by_result.items()},
    }


def _payload(found: PayloadSummary) -> Object:
    """
    One payload with what became of its requests.
    """
    return {
        "name": found.name,
        **{result.value: count for result, count in found.counts.items()},
        "response_time_s": _figure(found.response_time),
        "response_time_by_result_s": _figures(found.response_time_by_result),
    }


def _run(summary: Summary) -> Object:
    """
    One run, whole.
    """
    end, load = summary.run.end, isinstance(summary, LoadSummary)
    return {
        **_manifest(summary),
        "ending": end.ending.value if end is not None else None,
        "elapsed_s": end.seconds if end is not None else None,
        "note": end.note if end is not None else None,
        "verdict": summary.verdict.value,
        "exit_code": int(EXIT_CODE_OF[summary.verdict]),
        "reason": summary.reason,
        **(_load(summary) if isinstance(summary, LoadSummary) else dict.fromkeys(_LOAD_KEYS)),
        "clauses": _clauses(summary) if isinstance(summary, ConformanceSummary) else None,
        "coverage": _coverage(summary),
        "findings": [_finding(found, summary) for found in summary.findings],
        "exemplars": _exemplars(summary) if load else [],
        "caveats": [_caveat(each, summary) for each in summary.caveats],
    }


def _manifest(summary: Summary) -> Object:
    """
    Who, what, when, against what. The folder goes by its name: where it lies is its machine's own affair.
    """
    manifest = summary.run.manifest
    return {
        "run": _name(summary),
        "kind": manifest.kind.value,
        "name": manifest.name,
        "started": manifest.started,
        "target": manifest.target,
        "emulated": manifest.emulated,
        "contract": manifest.contract,
        "seed": manifest.seed,
        "settings": dict(manifest.settings),
        "versions": dict(manifest.versions),
    }


def _name(summary: Summary) -> str:
    """
    What the rows of a run are known by: its folder's name.
    """
    return summary.run.path.name


def _not_sent_reasons(reasons: Counter[NotSent]) -> Object:
    """
    How many planned requests were not sent, by every reason there is.
    """
    return {why.value: reasons[why] for why in NotSent}


def _figures(timings: dict[str, Timing]) -> Object:
    """
    Several times.
    """
    return {name: _figure(timing) for name, timing in timings.items()}


_QUANTILE_NAMES = ("p50", "p90", "p95", "p99", "p99.9")


def _figure(timing: Timing) -> Object:
    """
    One time in a few numbers, in seconds; null where nothing was counted.
    """
    found = timing.quantiles
    return {
        **{name: found[name].value if name in found else None for name in _QUANTILE_NAMES},
        "max": timing.max,
        "min": timing.min,
        "mean": timing.mean,
        "count": timing.count,
        "intervals": {
            name: [found[name].low, found[name].high] if name in found else [None, None] for name in _QUANTILE_NAMES
        },
    }


def _outcomes(rows: Iterable[OutcomeCount]) -> list[JSON]:
    """
    Outcomes with their counts.
    """
    return [
        {
            "transport": row.outcome.transport.value,
            "status": row.outcome.status,
            "error_code": row.outcome.error_code,
            "error_code_kind": row.outcome.code_kind.value if row.outcome.code_kind is not None else None,
            "result": row.outcome.result.value,
            "responsible": row.responsible.value if row.responsible is not None else None,
            "count": row.count,
        }
        for row in rows
    ]


_UNITS: dict[Indicator, str] = dict.fromkeys(DURATIONS, "s") | {Indicator.ERROR_RATE: "1", Indicator.THROUGHPUT: "1/s"}
"""The unit of an objective's observed value and threshold; 1 for a share."""


def _objectives(summary: LoadSummary) -> list[JSON]:
    """
    Objectives with what was observed.
    """
    return [_objective(judged, summary) for judged in summary.objectives]


def _objective(judged: ObjectiveResult, summary: Summary) -> Object:
    """
    One objective, judged.
    """
    return {
        "run": _name(summary),
        "objective": judged.objective.text,
        "indicator": judged.objective.indicator.value,
        "quantile": judged.objective.quantile,
        "verdict": judged.verdict.value,
        "observed": judged.observed,
        "threshold": judged.objective.threshold,
        "unit": _UNITS[judged.objective.indicator],
        "good": judged.good,
        "total": judged.total,
        "share": judged.share.value if judged.share is not None else None,
        "share_low": judged.share.low if judged.share is not None else None,
        "share_high": judged.share.high if judged.share is not None else None,
        "more_requests_needed": judged.more_requests_needed,
    }


def _clauses(summary: ConformanceSummary) -> list[JSON]:
    """
    Every clause with what the run says of it.
    """
    return [_clause(row) for row in summary.clauses]


def _clause(row: ClauseRow) -> Object:
    """
    One clause.
    """
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
    """
    What a conformance run came across; null where that is not on record.
    """
    coverage = summary.run.coverage
    return cast(Object, coverage.to_json()) if coverage is not None else None


def _finding(found: Finding, summary: Summary) -> Object:
    """
    One finding, and whether it was accepted beforehand.
    """
    accepting = acceptance(summary, found)
    return {
        "run": _name(summary),
        **cast(Object, found.to_json()),
        "accepted": accepting is not None,
        "accepted_until": _until(accepting),
    }


def _until(accepting: Acceptance | None) -> str | None:
    """
    The last day on which an acceptance counts; null for good, and where there is none.
    """
    return accepting.until.isoformat() if accepting is not None and accepting.until is not None else None


def _exemplars(summary: Summary) -> list[JSON]:
    """
    A run's exemplars.
    """
    return [{"run": _name(summary), **cast(Object, found.to_json())} for found in summary.run.exemplars]


def _caveat(caveat: Caveat, summary: Summary) -> Object:
    """
    One reason to distrust the figures.
    """
    return {
        "run": _name(summary),
        "code": caveat.code,
        "text": caveat.text,
        "remedy": caveat.remedy,
        "invalidates": caveat.invalidates,
    }
