"""
The run so far as JSON, from its run folder: `python -m chainproof.loadtests.run_so_far FOLDER`.

The web page runs it as a process of its own. Percentiles with their intervals take some time, which would delay requests in
the process that sends them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from chainproof.json_text import JSON
from chainproof.judgement.latency import QUANTILES, columns, interval_text, time_text
from chainproof.judgement.load_summary import LoadSummary, objectives_so_far, summarise_load
from chainproof.judgement.objectives import ObjectiveResult, too_few_ok_text
from chainproof.judgement.timing_names import RESPONSE_TIME
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Outcome, Result
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import Interval
from chainproof.statistics.histogram import merge_histograms
from chainproof.statistics.time_batches import span_length

from .progress import value_text

MAX_SPANS = 120
"""Points along the time axis."""
MAX_OUTCOMES = 10

_SO_FAR = {Verdict.PASS: "met so far", Verdict.FAIL: "missed so far", Verdict.INCONCLUSIVE: "undecided"}
_AT_THE_END = {Verdict.PASS: "met", Verdict.FAIL: "missed"}


def run_so_far(summary: LoadSummary) -> dict[str, JSON]:
    """Everything that the live page shows."""
    counts = {**summary.accounting.to_json(), "in flight": summary.accounting.unknown}
    timing = summary.timings[RESPONSE_TIME]
    has_ended = summary.run.end is not None
    words, objectives = (_AT_THE_END, summary.objectives) if has_ended else (_SO_FAR, objectives_so_far(summary))
    return {
        "seconds": len(summary.seconds),
        "verdict": [summary.verdict.value, summary.reason] if has_ended else None,
        "results": [[name.replace("_", " "), count] for name, count in counts.items()],
        "times": [
            [name, time_text(columns(timing).get(name)), interval_text(timing, name)]
            for name in (*(name for name, _ in QUANTILES), "max")
        ],
        "objectives": [_objective(result, words) for result in objectives],
        "outcomes": [
            [_outcome(row.outcome), row.responsible or "", row.count] for row in summary.outcomes[:MAX_OUTCOMES]
        ],
        "spans": _spans(summary.seconds),
    }


def _outcome(outcome: Outcome) -> str:
    """Status and error code, or what happened to the connection."""
    if outcome.status is None:
        return outcome.transport.value.replace("_", " ")
    return f"{outcome.status} {outcome.error_code or ''}".strip()


def _objective(result: ObjectiveResult, words: Mapping[Verdict, str]) -> JSON:
    """An objective, its value so far, its verdict in *words*, and the share of good requests with its bounds."""
    objective, share = result.objective, result.share
    required = objective.quantile if objective.quantile is not None else 1 - objective.threshold
    return {
        "text": objective.text,
        "verdict": result.verdict.value,
        "so_far": words.get(result.verdict, result.verdict.value),
        "observed": _observed(result),
        "share": None if share is None or share.low is None else [share.low, share.value, share.high, required],
    }


def _observed(result: ObjectiveResult) -> str:
    """The observed value in its own unit, or why there is none."""
    if result.observed is None:
        return too_few_ok_text(result.objective) if result.total else "no value yet"
    return value_text(result.objective.indicator, result.observed)


def _spans(seconds: Sequence[Interval]) -> JSON:
    """The run in at most `MAX_SPANS` spans of equal length: rates per second, and percentiles of the response time."""
    by_second = {each.second: each for each in seconds}
    end = max(by_second, default=-1) + 1
    width = span_length(end, MAX_SPANS)
    return [
        _span([by_second[each] for each in range(start, min(start + width, end)) if each in by_second], start, width)
        for start in range(0, end, width)
    ]


def _span(parts: Sequence[Interval], start: int, width: int) -> JSON:
    """Some seconds of a run together."""
    times = merge_histograms(part.response_time[Result.OK] for part in parts)
    return {
        "start": start,
        "seconds": width,
        "planned": sum(part.planned for part in parts) / width,
        **{result.value: sum(part.count(result) for part in parts) / width for result in Result},
        **{name: times.quantile(fraction) for name, fraction in QUANTILES if name in ("p50", "p95", "p99")},
    }


def main() -> None:
    """Write the run so far to stdout, at the lowest priority."""
    os.nice(19)
    sys.stdout.buffer.write(orjson.dumps(run_so_far(summarise_load(read_run(Path(sys.argv[1]))))))


if __name__ == "__main__":
    main()
