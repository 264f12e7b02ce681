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
from chainproof.judgement.caveats import Caveat
from chainproof.judgement.generator_health import in_flight
from chainproof.judgement.objectives import Judged
from chainproof.judgement.summary import (
    ClauseRow,
    ConformanceSummary,
    Figure,
    LoadSummary,
    OutcomeCount,
    PayloadSummary,
    PhaseSummary,
    Report,
    Summary,
    acceptance,
    figure,
)
from chainproof.judgement.verdict import EXIT_OF
from chainproof.results.exchange import NotSent
from chainproof.results.finding import Finding
from chainproof.results.search_record import SearchRecord
from chainproof.results.transport_stats import TIMES as WIRE_TIMES
from chainproof.workload.objectives import DURATIONS, Indicator

SCHEMA = "chainproof.report/1"
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
        "exit_code": int(EXIT_OF[report.verdict]),
        "reason": report.reason,
        "kind": report.kind,
        "quantile_method": QUANTILE_METHOD,
        **_whole_load(report.loads),
        "clauses": _clauses(report.conformances[0]) if len(report.conformances) == 1 else None,
        "findings": [_finding(found, summary) for summary, found in report.attributed_findings],
        "exemplars": [row for summary in report.loads for row in _exemplars(summary)],
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
        "answer_per_s": search.answer,
        "missed_at_per_s": search.missed_at,
        "sentence": search.sentence,
        "probes": [
            {
                "rate_per_s": probe.rate,
                "purpose": probe.purpose,
                "standing": probe.standing,
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


def _whole_load(loads: Sequence[LoadSummary]) -> Object:
    """
    What all load runs together say: everything of one, the sums of several, null of none.
    """
    if len(loads) == 1:
        return _load(loads[0])
    nothing: Object = dict.fromkeys(_LOAD_KEYS)
    return nothing | _sums(loads) if loads else nothing


def _sums(loads: Sequence[LoadSummary]) -> Object:
    """
    What may be added up across runs.
    """
    accounts: Counter[str] = Counter()
    reasons: Counter[NotSent] = Counter()
    for summary in loads:
        accounts.update(summary.accounting.to_json())
        reasons.update(summary.whole.not_sent)
    return {
        "accounting": dict(accounts),
        "not_sent_reasons": _not_sent_reasons(reasons),
        "outcomes": _outcomes(_added_up(row for summary in loads for row in summary.outcomes)),
        "objectives": [row for summary in loads for row in _objectives(summary)],
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
    "figures",
    "figures_by_fate",
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
        "not_sent_reasons": _not_sent_reasons(summary.whole.not_sent),
        "figures": _figures(summary.figures),
        "figures_by_fate": {fate: _figures(figures) for fate, figures in summary.figures_by_fate.items()},
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
    found = summary.whole.wire
    if not found:
        return {}
    return {"wire": {**found.counts(), **{f"{name}_s": _figure(figure(getattr(found, name))) for name in WIRE_TIMES}}}


def _calls(summary: LoadSummary) -> Object:
    """
    What callers met who try again; nothing where none do.
    """
    calls = summary.whole.calls
    if not calls:
        return {}
    ended: list[JSON] = [
        {"attempts": attempts, "fate": fate.value, "count": number}
        for (attempts, fate), number in sorted(calls.ended.items())
    ]
    return {
        "calls": {
            "ended": ended,
            "total_time_by_fate_s": {fate.value: _figure(figure(times)) for fate, times in calls.total_time.items()},
        }
    }


def _fitness(summary: LoadSummary) -> Object:
    """
    How the generator itself did; nothing where nobody looked.
    """
    fitness = summary.whole.fitness
    if fitness is None or not fitness.looks:
        return {}
    return {
        "fitness": {
            "loop_lag_s": _figure(figure(fitness.loop_lag)),
            "cpu": fitness.cpu,
            "busiest_second_cpu": fitness.busiest,
            "open_files": fitness.descriptors,
            "open_files_limit": fitness.descriptors_limit,
            "ports": fitness.ports,
            "ports_limit": fitness.ports_limit,
            "in_flight": in_flight(fitness),
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
        "figures": _figures(found.figures),
        "figures_by_fate": {fate: _figures(figures) for fate, figures in found.figures_by_fate.items()},
    }


def _payload(found: PayloadSummary) -> Object:
    """
    One payload with what became of its requests.
    """
    return {
        "name": found.name,
        **{fate.value: count for fate, count in found.counts.items()},
        "response_time_s": _figure(found.response_time),
        "response_time_by_fate_s": _figures(found.response_time_by_fate),
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
        "exit_code": int(EXIT_OF[summary.verdict]),
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


def _figures(figures: dict[str, Figure]) -> Object:
    """
    Several times.
    """
    return {name: _figure(figure) for name, figure in figures.items()}


_QUANTILE_NAMES = ("p50", "p90", "p95", "p99", "p99.9")


def _figure(figure: Figure) -> Object:
    """
    One time in a few numbers, in seconds; null where nothing was counted.
    """
    found = figure.quantiles
    return {
        **{name: found[name].value if name in found else None for name in _QUANTILE_NAMES},
        "max": figure.max,
        "min": figure.min,
        "mean": figure.mean,
        "count": figure.count,
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
            "fate": row.outcome.fate.value,
            "blame": row.blame.value if row.blame is not None else None,
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


def _objective(judged: Judged, summary: Summary) -> Object:
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
        "of": judged.of,
        "share": judged.share.value if judged.share is not None else None,
        "share_low": judged.share.low if judged.share is not None else None,
        "share_high": judged.share.high if judged.share is not None else None,
        "more_needed": judged.more_needed,
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
        "departed": row.departed,
        "visible_share": row.visible_share,
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
