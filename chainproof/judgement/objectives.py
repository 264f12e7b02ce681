"""
Evaluation of objectives: pass, fail, or too few requests to decide.

A percentile objective is tested as a proportion: "p95 < 800 ms" means that at least 95 % of the requests are good, which
means ok *and* below 800 ms. The denominator is every planned request. So requests that failed, timed out, were censored
or could not be sent count as never answered: a target must not improve its percentiles by rejecting requests quickly.
Requests that were not sent because the run was stopped are left out.

The verdict comes from exact one-sided 95 % bounds (Clopper and Pearson, 1934): the objective passes if it is met at the
lower bound of the good share and fails if it is missed at the upper one. Otherwise more requests are needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chainproof.clock import PerSecond
from chainproof.judgement.cold_start import ColdStart
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import NotSent, Result
from chainproof.results.interval import RequestStats
from chainproof.statistics.confidence_intervals import CONFIDENCE, Estimate, proportion
from chainproof.statistics.histogram import Histogram
from chainproof.workload.objectives import INSTANTS, TIMES, Indicator, Objective

_BOTH_BOUNDS = 1.0 - 2 * (1.0 - CONFIDENCE)
"""Two one-sided 95 % bounds make a two-sided 90 % interval."""

UNKNOWN_START = ColdStart(first_success=None, settling_time=None)

_MAX_REQUESTS = 10_000_000
"""Number of requests above which `more_requests_needed` is not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """An objective, the observed value and the verdict."""

    objective: Objective
    verdict: Verdict
    observed: float | None
    """Seconds, a fraction, or per second; None if the percentile falls among requests that were never answered ok."""
    good: int | None = None
    """Number of good requests, of `total`; None for a throughput."""
    total: int | None = None
    share: Estimate | None = None
    """Share of good requests with its one-sided 95 % bounds."""
    more_requests_needed: int | None = None
    """If inconclusive: how many more requests would decide it at the same share."""


def evaluate_objective(
    objective: Objective, stats: RequestStats, ok_per_second: PerSecond, start: ColdStart = UNKNOWN_START
) -> ObjectiveResult:
    """The result of one objective; *stats* are the judged requests of the run, *start* is its cold start."""
    if objective.indicator in INSTANTS:
        return _judge_instant(objective, start, planned=stats.planned)
    if objective.indicator is Indicator.THROUGHPUT:
        return _judge_throughput(objective, ok_per_second)
    planned = stats.planned - stats.not_sent[NotSent.STOPPED]
    if objective.indicator is Indicator.ERROR_RATE:
        good = stats.count(Result.OK)
        observed = (planned - good) / planned if planned else None
        return _judge_share(objective, good, planned, required=1.0 - objective.threshold, observed=observed)
    histogram, total = _population(objective.indicator, stats, planned)
    good = histogram.count_at_most(objective.threshold) if objective.threshold > 0 else 0
    assert objective.quantile is not None
    rank = max(1, math.ceil(objective.quantile * total - 1e-9))
    return _judge_share(
        objective, good, total, required=objective.quantile, observed=histogram.value_at_rank(rank) if total else None
    )


def _population(indicator: Indicator, stats: RequestStats, planned: int) -> tuple[Histogram, int]:
    """The recorded times, and the number of requests that they represent."""
    assert indicator in TIMES
    if indicator is Indicator.SCHEDULE_LAG:
        return stats.schedule_lag, stats.sent
    times = stats.response_time if indicator is Indicator.RESPONSE_TIME else stats.service_time
    return times[Result.OK], planned


def _judge_throughput(objective: Objective, observed: PerSecond) -> ObjectiveResult:
    """Compare a rate with its threshold: it has no sampling error."""
    verdict = Verdict.PASS if objective.meets(observed) else Verdict.FAIL
    return ObjectiveResult(objective=objective, verdict=verdict, observed=observed)


def _judge_instant(objective: Objective, start: ColdStart, *, planned: int) -> ObjectiveResult:
    """Compare an instant of the cold start with its threshold; if it never came, the objective is missed."""
    observed = start.first_success if objective.indicator is Indicator.FIRST_SUCCESS else start.settling_time
    if observed is None:
        unsettled = start.first_success is not None
        verdict = Verdict.INCONCLUSIVE if unsettled or not planned else Verdict.FAIL
    else:
        verdict = Verdict.PASS if objective.meets(observed) else Verdict.FAIL
    return ObjectiveResult(objective=objective, verdict=verdict, observed=observed)


def _judge_share(
    objective: Objective, good: int, total: int, *, required: float, observed: float | None
) -> ObjectiveResult:
    """Test whether the good share is at least the required one."""
    if total == 0 or good > total:
        # More good requests than planned ones: part of the record is lost, which a caveat says.
        return ObjectiveResult(
            objective=objective, verdict=Verdict.INCONCLUSIVE, observed=observed, good=good, total=total
        )
    share = proportion(good, total, _BOTH_BOUNDS)
    verdict = _share_verdict(good, total, required)
    more = _more_needed(good, total, required) if verdict is Verdict.INCONCLUSIVE else None
    return ObjectiveResult(
        objective=objective,
        verdict=verdict,
        observed=observed,
        good=good,
        total=total,
        share=share,
        more_requests_needed=more,
    )


def _share_verdict(good: int, total: int, required: float) -> Verdict:
    """Pass, fail or inconclusive. A required share of 100 % (max, or 0 % errors) has no sampling error."""
    if required >= 1.0:
        return Verdict.PASS if good == total else Verdict.FAIL
    share = proportion(good, total, _BOTH_BOUNDS)
    assert share.low is not None
    assert share.high is not None
    if share.low >= required:
        return Verdict.PASS
    return Verdict.FAIL if share.high < required else Verdict.INCONCLUSIVE


def _more_needed(good: int, total: int, required: float) -> int | None:
    """How many more requests decide it at the same share; None if that is more than `_MAX_REQUESTS`."""
    fraction = good / total
    scale = 2.0
    while total * scale <= _MAX_REQUESTS:
        larger = math.ceil(total * scale)
        if _share_verdict(round(fraction * larger), larger, required) is not Verdict.INCONCLUSIVE:
            return _fewest_more(good, total, required, larger)
        scale *= 2
    return None


def _fewest_more(good: int, total: int, required: float, enough: int) -> int:
    """The smallest number between *total* and *enough* that decides it, minus *total*."""
    low, high = total, enough
    while high - low > 1:
        middle = (low + high) // 2
        if _share_verdict(round(good / total * middle), middle, required) is Verdict.INCONCLUSIVE:
            low = middle
        else:
            high = middle
    return high - total
