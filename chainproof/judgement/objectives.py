"""
Evaluation of objectives: pass, fail, or too few requests to decide.

A percentile objective is tested as a proportion: "p95 < 800 ms" means that at least 95 % of the requests are good, which
means ok *and* below 800 ms. The denominator is every planned request. So requests that failed, timed out or could not be
sent count as never answered: a target must not improve its percentiles by rejecting requests quickly. Requests that were
not sent because the run was stopped are left out.

A censored request is unknown while it is younger than the threshold: it may still have been answered in time. The good share
then lies between two bounds, in one of which all of them are good and in the other none. The verdict must be the same for
both; otherwise it is inconclusive. Between the bounds is the Kaplan-Meier estimate.

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
from chainproof.statistics.censoring import kaplan_meier
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
    """Number of requests that are known to be good, of `total`; None for a throughput."""
    unknown: int = 0
    """Number of censored requests that may be good as well."""
    total: int | None = None
    share: Estimate | None = None
    """Share of good requests with its one-sided 95 % bounds; with unknown requests the Kaplan-Meier estimate."""
    more_requests_needed: int | None = None
    """If inconclusive: how many more requests would decide it at the same share; None with unknown requests."""

    @property
    def is_undecided_by_censoring(self) -> bool:
        """True if it is inconclusive and requests were in flight at the end that may be good."""
        return self.verdict is Verdict.INCONCLUSIVE and self.unknown > 0


def evaluate_objective(
    objective: Objective, stats: RequestStats, ok_per_second: PerSecond, start: ColdStart = UNKNOWN_START
) -> ObjectiveResult:
    """The result of one objective; *stats* are the judged requests of the run, *start* is its cold start."""
    if objective.indicator in INSTANTS:
        return _judge_instant(objective, start, planned=stats.planned)
    if objective.indicator is Indicator.THROUGHPUT:
        return _judge_throughput(objective, ok_per_second)
    if objective.indicator is Indicator.ERROR_RATE:
        return _judge_error_rate(objective, stats)
    return _judge_times(objective, stats)


def planned_requests(stats: RequestStats) -> int:
    """The number of planned requests, without those that were not sent because the run was stopped."""
    return stats.planned - stats.not_sent[NotSent.STOPPED]


def _judge_error_rate(objective: Objective, stats: RequestStats) -> ObjectiveResult:
    """Judge the share of ok requests; a censored one may become ok."""
    good, unknown, total = stats.count(Result.OK), stats.count(Result.CENSORED), planned_requests(stats)
    estimate = good / (total - unknown) if total > unknown else None
    observed = None if estimate is None else 1.0 - estimate if unknown else (total - good) / total
    counts = _Counts(good=good, unknown=unknown, total=total, estimate=estimate if unknown else None)
    return _judge_share(objective, counts, required=1.0 - objective.threshold, observed=observed)


def _judge_times(objective: Objective, stats: RequestStats) -> ObjectiveResult:
    """Judge the share of requests within the threshold, and estimate the percentile."""
    assert objective.indicator in TIMES
    assert objective.quantile is not None
    threshold = objective.threshold
    if objective.indicator is Indicator.SCHEDULE_LAG:
        answered, ages, total, censored = stats.schedule_lag, Histogram(), stats.sent, 0
    else:
        times = stats.response_time if objective.indicator is Indicator.RESPONSE_TIME else stats.service_time
        answered, ages = times[Result.OK], times[Result.CENSORED]
        total, censored = planned_requests(stats), stats.count(Result.CENSORED)
    good = answered.count_at_most(threshold) if threshold > 0 else 0
    if not censored:
        rank = max(1, math.ceil(objective.quantile * total - 1e-9))
        observed = answered.value_at_rank(rank) if total else None
        return _judge_share(objective, _Counts(good=good, total=total), required=objective.quantile, observed=observed)
    # The age of a request of a lost worker is not known: it may be anything.
    older = ages.count - ages.count_at_most(threshold)
    at_risk = total - (censored - ages.count)
    estimate = kaplan_meier(answered, ages, at_risk)
    counts = _Counts(
        good=good,
        unknown=censored - older if threshold > 0 else 0,
        total=total,
        estimate=estimate.share_within(threshold),
    )
    return _judge_share(objective, counts, required=objective.quantile, observed=estimate.quantile(objective.quantile))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Requests that are good, those that may be, and all of them."""

    good: int
    unknown: int = 0
    total: int
    estimate: float | None = None
    """The estimated share of good requests, if some are unknown."""


def _judge_share(objective: Objective, counts: _Counts, *, required: float, observed: float | None) -> ObjectiveResult:
    """Test whether the good share is at least the required one."""
    good, total = counts.good, counts.total
    best = good + counts.unknown
    if total == 0 or best > total:
        # More good requests than planned ones: part of the record is lost, which a caveat says.
        return ObjectiveResult(
            objective=objective, verdict=Verdict.INCONCLUSIVE, observed=observed, good=good, total=total
        )
    low, high = proportion(good, total, _BOTH_BOUNDS), proportion(best, total, _BOTH_BOUNDS)
    at_least, at_most = _share_verdict(good, total, required), _share_verdict(best, total, required)
    verdict = at_least if at_least is at_most else Verdict.INCONCLUSIVE
    value = low.value if counts.estimate is None else counts.estimate
    undecided = verdict is Verdict.INCONCLUSIVE and not counts.unknown
    return ObjectiveResult(
        objective=objective,
        verdict=verdict,
        observed=observed,
        good=good,
        unknown=counts.unknown,
        total=total,
        share=Estimate(value=value, low=low.low, high=high.high),
        more_requests_needed=_more_needed(good, total, required) if undecided else None,
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
