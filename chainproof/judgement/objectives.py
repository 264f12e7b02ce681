"""
Was an objective met? Pass, fail, or too few requests to say.

A percentile objective is judged as a proportion, which is the same statement and the better test: "p95 < 800 ms" says
that at least 95 % of the requests are good, a good one being ok *and* below 800 ms. The denominator is every request
that the plan asked for, so that whatever failed, timed out, was censored or could not be sent counts as never answered:
a target must not improve its percentiles by refusing quickly. Requests that were not sent because the run was stopped
are left out: nobody asked for them in the end.

The verdict comes from exact one-sided 95 % bounds (Clopper and Pearson, 1934): good enough at the lower bound is a pass,
not good enough at the upper one is a fail, anything between needs more requests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chainproof.clock import PerSecond
from chainproof.judgement.cold_start import ColdStart
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import NotSent, Result
from chainproof.results.interval import RequestStats
from chainproof.statistics.histogram import Histogram
from chainproof.statistics.intervals import CONFIDENCE, Estimate, proportion
from chainproof.workload.objectives import INSTANTS, TIMES, Indicator, Objective

_BOTH_BOUNDS = 1.0 - 2 * (1.0 - CONFIDENCE)
"""A two-sided 90 % interval is made of two one-sided 95 % bounds."""

UNKNOWN_START = ColdStart(first_success=None, settling_time=None)

_MOST_SEARCHED = 10_000_000
"""Requests beyond which we stop saying how many more it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """
    An objective, what was observed, and what follows.
    """

    objective: Objective
    verdict: Verdict
    observed: float | None
    """Seconds, a fraction, or per second; None where the percentile falls among requests that were never answered ok."""
    good: int | None = None
    """Requests on the good side, of `of`; None for a throughput."""
    total: int | None = None
    share: Estimate | None = None
    """The good share with its one-sided 95 % bounds."""
    more_requests_needed: int | None = None
    """Of an inconclusive one: how many more requests would decide it if the share stayed as it is."""


def evaluate_objective(
    objective: Objective, whole: RequestStats, ok_per_second: PerSecond, start: ColdStart = UNKNOWN_START
) -> ObjectiveResult:
    """
    What a run says about one objective: *whole* is all its intervals merged, or its judged phases; *start* how it began.
    """
    if objective.indicator in INSTANTS:
        return _judge_instant(objective, start, asked=whole.planned)
    if objective.indicator is Indicator.THROUGHPUT:
        return _judge_throughput(objective, ok_per_second)
    asked = whole.planned - whole.not_sent[NotSent.STOPPED]
    if objective.indicator is Indicator.ERROR_RATE:
        good = whole.count(Result.OK)
        observed = (asked - good) / asked if asked else None
        return _judge_share(objective, good, asked, wanted=1.0 - objective.threshold, observed=observed)
    histogram, total = _population(objective.indicator, whole, asked)
    good = histogram.count_at_most(objective.threshold) if objective.threshold > 0 else 0
    assert objective.quantile is not None
    rank = max(1, math.ceil(objective.quantile * total - 1e-9))
    return _judge_share(
        objective, good, total, wanted=objective.quantile, observed=histogram.value_at_rank(rank) if total else None
    )


def _population(indicator: Indicator, whole: RequestStats, asked: int) -> tuple[Histogram, int]:
    """
    The times on record, and how many requests they speak for.
    """
    assert indicator in TIMES
    if indicator is Indicator.SCHEDULE_LAG:
        return whole.schedule_lag, whole.sent
    times = whole.response_time if indicator is Indicator.RESPONSE_TIME else whole.service_time
    return times[Result.OK], asked


def _judge_throughput(objective: Objective, observed: PerSecond) -> ObjectiveResult:
    """
    A rate over the whole run has no sample to be unsure of.
    """
    verdict = Verdict.PASS if objective.meets(observed) else Verdict.FAIL
    return ObjectiveResult(objective=objective, verdict=verdict, observed=observed)


def _judge_instant(objective: Objective, start: ColdStart, *, asked: int) -> ObjectiveResult:
    """
    A run begins once: no sample, and never is a miss.
    """
    observed = start.first_success if objective.indicator is Indicator.FIRST_SUCCESS else start.settling_time
    if observed is None:
        unsettled = start.first_success is not None
        verdict = Verdict.INCONCLUSIVE if unsettled or not asked else Verdict.FAIL
    else:
        verdict = Verdict.PASS if objective.meets(observed) else Verdict.FAIL
    return ObjectiveResult(objective=objective, verdict=verdict, observed=observed)


def _judge_share(
    objective: Objective, good: int, total: int, *, wanted: float, observed: float | None
) -> ObjectiveResult:
    """
    Whether the good share is at least the wanted one.
    """
    if total == 0 or good > total:
        # More good ones than were asked for: part of the record is lost, which a caveat says, and no share is one.
        return ObjectiveResult(
            objective=objective, verdict=Verdict.INCONCLUSIVE, observed=observed, good=good, total=total
        )
    share = proportion(good, total, _BOTH_BOUNDS)
    verdict = _share_verdict(good, total, wanted)
    more = _more_needed(good, total, wanted) if verdict is Verdict.INCONCLUSIVE else None
    return ObjectiveResult(
        objective=objective,
        verdict=verdict,
        observed=observed,
        good=good,
        total=total,
        share=share,
        more_requests_needed=more,
    )


def _share_verdict(good: int, total: int, wanted: float) -> Verdict:
    """
    Pass, fail or inconclusive. All-or-nothing demands (max, 0 % or 100 %) have no sampling error to allow for.
    """
    if wanted >= 1.0:
        return Verdict.PASS if good == total else Verdict.FAIL
    share = proportion(good, total, _BOTH_BOUNDS)
    assert share.low is not None
    assert share.high is not None
    if share.low >= wanted:
        return Verdict.PASS
    return Verdict.FAIL if share.high < wanted else Verdict.INCONCLUSIVE


def _more_needed(good: int, total: int, wanted: float) -> int | None:
    """
    How many more requests decide it if the share stays as it is; None where that is out of reach.
    """
    fraction = good / total
    scale = 2.0
    while total * scale <= _MOST_SEARCHED:
        larger = math.ceil(total * scale)
        if _share_verdict(round(fraction * larger), larger, wanted) is not Verdict.INCONCLUSIVE:
            return _least(good, total, wanted, larger)
        scale *= 2
    return None


def _least(good: int, total: int, wanted: float, enough: int) -> int:
    """
    The least number between *of* and *enough* that decides it, less *of*.
    """
    low, high = total, enough
    while high - low > 1:
        middle = (low + high) // 2
        if _share_verdict(round(good / total * middle), middle, wanted) is Verdict.INCONCLUSIVE:
            low = middle
        else:
            high = middle
    return high - total
