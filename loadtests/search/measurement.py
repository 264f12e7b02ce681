"""What the search needs of a run: the probe in a load summary. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from statistics import fmean

from chainproof.clock import Seconds
from chainproof.json_text import JSON
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.verdict import Verdict, worst_verdict
from chainproof.results.exchange import NotSent, Result
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.results.manifest import Guard
from chainproof.statistics.growth import trend
from chainproof.workload.objectives import TIMES, Indicator, Objective

from .evidence import Counts, Probe, ProbeVerdict
from .saturation import ProbeRequest

_PROBE_VERDICTS = {
    Verdict.PASS: ProbeVerdict.MET,
    Verdict.FAIL: ProbeVerdict.MISSED,
    Verdict.INCONCLUSIVE: ProbeVerdict.INCONCLUSIVE,
}


def measured_probe(request: ProbeRequest, summary: LoadSummary, elapsed: Seconds) -> Probe:
    """The probe that a run was, with the verdict of its own report, unless requests in flight grew."""
    quantiles = summary.timings["response_time_s"].quantiles
    probe = Probe(
        rate=request.rate,
        purpose=request.purpose,
        verdict=_PROBE_VERDICTS.get(summary.verdict, ProbeVerdict.INVALID),
        reason=summary.reason,
        folder=summary.run.path.name,
        seconds=request.seconds,
        elapsed=elapsed,
        planned=summary.judged.planned,
        ok=summary.judged.count(Result.OK),
        response_time={name: estimate.value for name, estimate in quantiles.items()},
        in_flight=tuple(_in_flight(summary)),
        counts=tuple(
            _counts(each, _judged_seconds(summary)) for each in summary.objectives if _is_share(each.objective)
        ),
        others=_others(summary),
    )
    growth = _growth(probe)
    if summary.verdict is Verdict.INVALID or growth is None:
        return probe
    return replace(probe, verdict=ProbeVerdict.MISSED, reason=growth)


def _is_share(objective: Objective) -> bool:
    return objective.indicator in TIMES or objective.indicator is Indicator.ERROR_RATE


def _others(summary: LoadSummary) -> ProbeVerdict:
    """The verdict on objectives that are no share; a run that used up its error budget has missed them."""
    if summary.run.end is not None and summary.run.end.guard is Guard.ERROR_BUDGET:
        return ProbeVerdict.MISSED
    return _PROBE_VERDICTS[worst_verdict(each.verdict for each in summary.objectives if not _is_share(each.objective))]


def _counts(result: ObjectiveResult, seconds: Sequence[RequestStats]) -> Counts:
    """The requests of the run that were good for an objective."""
    objective = result.objective
    total = result.total or 0
    good = min(result.good or 0, total)
    return Counts(
        required=objective.quantile if objective.quantile is not None else 1.0 - objective.threshold,
        good=good,
        unknown=min(result.unknown, total - good),
        total=total,
        good_by_second=tuple(_good(objective, each) for each in seconds),
        total_by_second=tuple(
            each.sent if objective.indicator is Indicator.SCHEDULE_LAG else _settled(each) for each in seconds
        ),
    )


def _good(objective: Objective, stats: RequestStats) -> int:
    """How many requests whose outcome became known in a second were good."""
    if objective.indicator is Indicator.ERROR_RATE:
        return stats.count(Result.OK)
    if objective.indicator is Indicator.SCHEDULE_LAG:
        return stats.schedule_lag.count_at_most(objective.threshold)
    times = stats.response_time if objective.indicator is Indicator.RESPONSE_TIME else stats.service_time
    return times[Result.OK].count_at_most(objective.threshold)


def _settled(stats: RequestStats) -> int:
    """How many requests became known in a second: answered, failed, or not sent."""
    return stats.outcomes.total() + stats.not_sent.total() - stats.not_sent[NotSent.STOPPED]


def _judged_seconds(summary: LoadSummary) -> list[RequestStats]:
    """The judged requests of each second."""
    judged = {phase.name for phase in summary.run.manifest.phases if phase.judged}
    if not judged or not summary.totals.phases:
        return list(summary.seconds)
    empty = RequestStats()
    return [next((each.phases[name] for name in judged if name in each.phases), empty) for each in summary.seconds]


def _in_flight(summary: LoadSummary) -> Iterator[float]:
    """Requests sent or due, and without an outcome, at the end of each second in which judged requests were sent."""
    judged = [phase for phase in summary.run.manifest.phases if phase.judged]
    duration = summary.run.manifest.known_settings.duration
    start = judged[0].start if judged else 0.0
    end = judged[-1].end if judged else duration if duration is not None else math.inf
    due = accumulate(each.planned - each.not_sent.total() - each.sent for each in summary.seconds)
    for each, waiting in zip(summary.seconds, due, strict=True):
        if start <= each.second and each.second + 1 <= end:
            yield float(each.in_flight + max(waiting, 0))


def _growth(probe: Probe) -> str | None:
    """Why a probe is missed because of requests in flight; None if it is not."""
    line = trend([probe.in_flight])
    if not line.grows:
        return None
    return f"Requests in flight grew from {max(line.start, 0.0):.0f} to {line.start + line.rise:.0f}: the target does not keep up."


def probe_data(probe: Probe) -> dict[str, JSON]:
    """A probe for the record of the search."""
    values = {
        name: getattr(probe, name)
        for name in (
            "rate",
            "purpose",
            "verdict",
            "reason",
            "folder",
            "seconds",
            "elapsed",
            "planned",
            "ok",
            "response_time",
        )
    }
    in_flight = fmean(probe.in_flight) if probe.in_flight else 0.0
    return {**values, "in_flight": in_flight, "growing": trend([probe.in_flight]).grows}
