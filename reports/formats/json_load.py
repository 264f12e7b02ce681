"""The JSON objects of a load run: accounting, times, outcomes, objectives, phases and payloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from chainproof.json_text import JSON
from chainproof.judgement.generator_caveats import mean_in_flight
from chainproof.judgement.latency import QUANTILES, Timing, timing
from chainproof.judgement.load_summary import LoadSummary, OutcomeCount, PayloadSummary, PhaseSummary
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.results.exchange import NotSent
from chainproof.results.intervals.transport_stats import TIME_FIELDS as NETWORK_TIMES
from chainproof.workload.objectives import DURATIONS, Indicator

from ..formatting.json_output import finite

Object = dict[str, JSON]

LOAD_KEYS = (
    "accounting",
    "not_sent_reasons",
    "timings",
    "throughput_per_s",
    "ok_per_s",
    "outcomes",
    "objectives",
    "phases",
    "payloads",
)
"""Keys that are null for a conformance run."""


def load_run(summary: LoadSummary) -> Object:
    """The results of one load run, starting with `LOAD_KEYS` in their order."""
    return {
        "accounting": dict(summary.accounting.to_json()),
        "not_sent_reasons": _not_sent_reasons(summary.totals.not_sent),
        "timings": _timings(summary.timings),
        "throughput_per_s": summary.throughput,
        "ok_per_s": summary.ok_per_second,
        "outcomes": _outcomes(summary.outcomes),
        "objectives": _objectives(summary),
        "phases": [_phase(part) for part in summary.phases],
        "payloads": [_payload(payload) for payload in summary.payloads],
        **_recorded_requests(summary),
        **_network(summary),
        **_calls(summary),
        **_generator_health(summary),
    }


def _recorded_requests(summary: LoadSummary) -> Object:
    """How many requests were recorded one by one, if any were."""
    count = summary.run.recorded_requests
    return {} if count is None else {"recorded_requests": count}


def load_runs(summaries: Sequence[LoadSummary]) -> Object:
    """The results of all load runs together: all of one run, the sums of several, null without any."""
    if len(summaries) == 1:
        return load_run(summaries[0])
    nothing: Object = dict.fromkeys(LOAD_KEYS)
    return nothing | _sums(summaries) if summaries else nothing


def _sums(summaries: Sequence[LoadSummary]) -> Object:
    """Values that can be added up across runs."""
    accounts: Counter[str] = Counter()
    reasons: Counter[NotSent] = Counter()
    for summary in summaries:
        accounts.update(summary.accounting.to_json())
        reasons.update(summary.totals.not_sent)
    return {
        "accounting": dict(accounts),
        "not_sent_reasons": _not_sent_reasons(reasons),
        "outcomes": _outcomes(_summed_outcomes(row for summary in summaries for row in summary.outcomes)),
        "objectives": [row for summary in summaries for row in _objectives(summary)],
    }


def _summed_outcomes(rows: Iterable[OutcomeCount]) -> list[OutcomeCount]:
    """Outcomes of several runs, the most frequent first."""
    counts: Counter[OutcomeCount] = Counter()
    for row in rows:
        counts[replace(row, count=0)] += row.count
    return [replace(row, count=number) for row, number in counts.most_common()]


def _not_sent_reasons(reasons: Counter[NotSent]) -> Object:
    """The number of planned requests that were not sent, for every possible reason."""
    return {why.value: reasons[why] for why in NotSent}


def _timings(timings: Mapping[str, Timing]) -> Object:
    """Several kinds of time."""
    return {name: _timing(each) for name, each in timings.items()}


def _timing(times: Timing) -> Object:
    """One kind of time in seconds; null where nothing was counted, or the request was never answered."""
    estimates = {name: times.quantiles.get(name) for name, _ in QUANTILES}
    return {
        **{name: finite(each.value) if each is not None else None for name, each in estimates.items()},
        "max": finite(times.max),
        "min": finite(times.min),
        "mean": finite(times.mean),
        "count": times.count,
        "intervals": {
            name: [finite(each.low), finite(each.high)] if each is not None else [None, None]
            for name, each in estimates.items()
        },
    }


def _outcomes(rows: Iterable[OutcomeCount]) -> list[JSON]:
    """Outcomes with their counts."""
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
    """Objectives with their observed values."""
    return [_objective(result, summary.run.name) for result in summary.objectives]


def _objective(result: ObjectiveResult, run: str) -> Object:
    """One objective."""
    share, found = result.share, result.dependence
    return {
        "run": run,
        "objective": result.objective.text,
        "indicator": result.objective.indicator.value,
        "quantile": result.objective.quantile,
        "verdict": result.verdict.value,
        "observed": result.observed,
        "threshold": result.objective.threshold,
        "unit": _UNITS[result.objective.indicator],
        "good": result.good,
        "unknown": result.unknown,
        "total": result.total,
        "share": share.value if share is not None else None,
        "share_low": share.low if share is not None else None,
        "share_high": share.high if share is not None else None,
        "design_effect": found.design_effect if found is not None else None,
        "correlation_time_s": found.correlation_time if found is not None else None,
        "more_requests_needed": result.more_requests_needed,
    }


def _phase(part: PhaseSummary) -> Object:
    """One phase with the requests whose intended start lies in it."""
    return {
        "name": part.phase.name,
        "from_s": part.phase.start,
        "to_s": part.phase.end,
        "judged": part.phase.judged,
        **part.accounting.to_json(),
        "throughput_per_s": part.throughput,
        "ok_per_s": part.ok_per_second,
        "timings": _timings(part.timings),
    }


def _payload(payload: PayloadSummary) -> Object:
    """One payload with the results of its requests."""
    return {
        "name": payload.name,
        **{result.value: count for result, count in payload.counts.items()},
        "response_time_s": _timing(payload.response_time),
        "rejected_response_time_s": _timing(payload.rejected),
    }


def _network(summary: LoadSummary) -> Object:
    """Bytes, connections and their times; empty if not recorded."""
    stats = summary.totals.network
    if not stats:
        return {}
    times = {f"{name}_s": _timing(timing(getattr(stats, name))) for name in NETWORK_TIMES}
    return {"network": {**stats.counts(), **times}}


def _calls(summary: LoadSummary) -> Object:
    """Calls of callers that retry; empty where none do."""
    calls = summary.totals.calls
    if not calls:
        return {}
    counts: list[JSON] = [
        {"attempts": attempts, "result": result.value, "count": number}
        for (attempts, result), number in sorted(calls.counts.items())
    ]
    times: Object = {result.value: _timing(timing(each)) for result, each in calls.total_time.items()}
    return {"calls": {"counts": counts, "total_time_by_result_s": times}}


def _generator_health(summary: LoadSummary) -> Object:
    """Event-loop lag and resources of the load generator; empty if not recorded."""
    health = summary.totals.generator_health
    if health is None or not health.samples:
        return {}
    stall = health.longest_stall
    return {
        "generator_health": {
            "loop_lag_s": _timing(timing(health.loop_lag)),
            "cpu": health.cpu,
            "cpu_max": health.cpu_max,
            "open_files": health.open_files,
            "open_files_limit": health.open_files_limit,
            "ports": health.ports,
            "ports_limit": health.ports_limit,
            "in_flight": mean_in_flight(summary.totals, summary.run.end),
            "longest_stall": cast(JSON, stall.to_json()) if stall is not None else None,
        }
    }
