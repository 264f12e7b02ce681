"""
Evaluation of objectives: pass, fail, or too little was seen to decide.

A percentile objective is tested as a share: "p95 < 800 ms" means that at least 95 % of the requests are good, which means
ok *and* below 800 ms. The denominator is every planned request. So requests that failed, timed out or could not be
sent count as never answered: a target must not improve its percentiles by rejecting requests quickly. Requests that were
not sent because the run was stopped are left out.

A censored request is unknown while it is younger than the threshold: it may still have been answered in time. The good share
then lies between two bounds, in one of which all of them are good and in the other none. The verdict must be the same for
both; otherwise it is inconclusive. Between the bounds is the Kaplan-Meier estimate.

A throughput is tested as a share in the open model: the planned rate times the share of planned requests that were answered
ok. In the closed model it is the mean of the ok answers of each full second.

The bounds take into account that requests depend on each other (`chainproof.statistics.dependence`). Over all objectives
together, a pass or a fail is wrong with a probability of at most 5 % each (Holm 1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chainproof.judgement.cold_start import ColdStart
from chainproof.judgement.judged_requests import JudgedRequests, planned_requests, request_times, settled_requests
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.statistics.censoring import kaplan_meier
from chainproof.statistics.confidence_intervals import CONFIDENCE, Estimate
from chainproof.statistics.dependence import (
    Dependence,
    independent,
    measure_dependence,
    standard_error_of_mean,
    stronger,
)
from chainproof.statistics.share_test import RateTest, SampledTest, ShareTest, holm_errors
from chainproof.workload.objectives import INSTANTS, Indicator, Objective

RELEVANT_SPELL = 0.25
"""Slow spells matter to an objective if they reach this share of its threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """An objective, the observed value and the verdict."""

    objective: Objective
    verdict: Verdict
    observed: float | None
    """Seconds, a fraction, or per second; None if the percentile falls among requests that were never answered ok."""
    good: int | None = None
    """Number of requests that are known to be good, of `total`; None for an instant and a rate."""
    unknown: int = 0
    """Number of censored requests that may be good as well."""
    total: int | None = None
    share: Estimate | None = None
    """Share of good requests with its one-sided bounds; with unknown requests the Kaplan-Meier estimate."""
    confidence: tuple[float, float] = (CONFIDENCE, CONFIDENCE)
    """Of the two bounds: more than 95 % if other objectives share their probability of error."""
    dependence: Dependence | None = None
    """How much the judged requests depend on each other; None where no share is judged."""
    more_requests_needed: int | None = None
    """If inconclusive: how many more requests a run needs to decide it in 80 % of the cases; None with unknown requests."""

    exceeds_plan: bool = False
    """True for a throughput that the planned rate does not reach, whatever the target does."""

    nothing_ok: bool = False
    """True if it is inconclusive because no request was answered ok."""

    was_undecided: bool = False
    """True if it is invalid because the load generator's lag left it undecided; if it is missed because of it, False."""

    @property
    def is_undecided_by_censoring(self) -> bool:
        """True if it is inconclusive and requests were in flight at the end that may be good."""
        return self.verdict is Verdict.INCONCLUSIVE and self.unknown > 0

    @property
    def is_undecided_by_dependence(self) -> bool:
        """True if it is inconclusive and the correlation time exceeds a tenth of the run."""
        undecided = self.verdict is Verdict.INCONCLUSIVE and not self.unknown
        return undecided and self.dependence is not None and self.dependence.too_short


def too_few_ok_text(objective: Objective) -> str:
    """Why a percentile has no observed value: it falls among requests that were not answered ok."""
    if objective.quantile is None or objective.quantile >= 1.0:
        return "not all requests were answered ok"
    return f"fewer than {100 * objective.quantile:g} % of the requests were answered ok"


def evaluate_objectives(objectives: Sequence[Objective], judged: JudgedRequests) -> tuple[ObjectiveResult, ...]:
    """The results of all objectives of a run, which share their probability of error."""
    drafts = [_draft(objective, judged) for objective in objectives]
    tests = [draft.test for draft in drafts if draft.test is not None]
    errors = iter(zip(holm_errors(tests, met=True), holm_errors(tests, met=False), strict=True))
    return tuple(_decided(draft.result, draft.test, *next(errors)) if draft.test else draft.result for draft in drafts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A result whose verdict follows from a test; from no test if it is decided already."""

    result: ObjectiveResult
    test: SampledTest | None = None


def _draft(objective: Objective, judged: JudgedRequests) -> _Draft:
    """What was observed, and the test that decides it."""
    if objective.indicator in INSTANTS:
        return _Draft(result=_judge_instant(objective, judged.start, planned=judged.stats.planned))
    if objective.indicator is Indicator.THROUGHPUT:
        return _throughput(objective, judged)
    if objective.indicator is Indicator.ERROR_RATE:
        return _error_rate(objective, judged)
    return _percentile(objective, judged)


def _decided(result: ObjectiveResult, test: SampledTest, met_error: float, missed_error: float) -> ObjectiveResult:
    """The result with the verdict of its test and the bounds at these probabilities of error."""
    verdict = _VERDICTS[True if test.is_met(met_error) else False if test.is_met(missed_error) is False else None]
    if not isinstance(test, ShareTest):
        return replace(result, verdict=verdict)
    share = result.share
    if share is not None:
        low, high = test.bounds(met_error, missed_error)
        share = replace(share, low=low, high=high)
    undecided = verdict is Verdict.INCONCLUSIVE and test.best == test.good and test.total >= test.good
    size = test.requests_needed(min(met_error, missed_error)) if undecided else None
    return replace(
        result,
        verdict=verdict,
        share=share,
        confidence=(1.0 - met_error, 1.0 - missed_error),
        more_requests_needed=size - test.total if size is not None else None,
    )


_VERDICTS = {True: Verdict.PASS, False: Verdict.FAIL, None: Verdict.INCONCLUSIVE}


def _judge_instant(objective: Objective, start: ColdStart, *, planned: int) -> ObjectiveResult:
    """Compare an instant of the cold start with its threshold; if it never came, the objective is missed."""
    observed = start.first_success if objective.indicator is Indicator.FIRST_SUCCESS else start.settling_time
    if observed is None:
        unsettled = start.first_success is not None
        verdict = Verdict.INCONCLUSIVE if unsettled or not planned else Verdict.FAIL
    else:
        verdict = Verdict.PASS if objective.meets(observed) else Verdict.FAIL
    return ObjectiveResult(objective=objective, verdict=verdict, observed=observed)


def _throughput(objective: Objective, judged: JudgedRequests) -> _Draft:
    """The planned rate times the share of ok requests; in the closed model the mean rate of ok answers."""
    if judged.planned_rate is None:
        return _answer_rate(objective, judged)
    counts, rate = _ok_counts(judged.stats), judged.planned_rate
    required = objective.threshold / rate if rate else math.inf
    share = counts.share
    observed = None if share is None else rate * share
    strict = not objective.inclusive
    draft = _share_draft(objective, counts, required, observed, (_ok_dependence(judged),) * 2, strict=strict)
    exceeds_plan = required > 1.0 or (required == 1.0 and strict)
    return replace(draft, result=replace(draft.result, exceeds_plan=exceeds_plan))


def _answer_rate(objective: Objective, judged: JudgedRequests) -> _Draft:
    """
    The mean of the ok answers per second.

    Requests in flight at the end may belong to the rate: a run that is no longer than a few responses does not show it.
    """
    counts = judged.ok_by_second
    error, degrees_of_freedom = standard_error_of_mean(counts)
    rate = sum(counts) / len(counts) if counts else 0.0
    return _Draft(
        result=ObjectiveResult(objective=objective, verdict=Verdict.INCONCLUSIVE, observed=rate if counts else None),
        test=RateTest(
            rate=rate,
            standard_error=error,
            degrees_of_freedom=degrees_of_freedom,
            pending=judged.in_flight / max(len(counts), 1),
            required=objective.threshold,
            strict=not objective.inclusive,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Requests that are good, those that may be, and all of them."""

    good: int
    unknown: int = 0
    total: int
    estimate: float | None = None
    """The estimated share of good requests, if some are unknown."""

    @property
    def share(self) -> float | None:
        """The share of good requests, estimated if some are unknown; None without requests."""
        if self.unknown:
            return self.estimate
        return self.good / self.total if self.total else None


def _ok_counts(stats: RequestStats) -> _Counts:
    """How many requests are ok; a censored one may become ok."""
    good, unknown, total = stats.count(Result.OK), stats.count(Result.CENSORED), planned_requests(stats)
    estimate = good / (total - unknown) if unknown and total > unknown else None
    return _Counts(good=good, unknown=unknown, total=total, estimate=estimate)


def _error_rate(objective: Objective, judged: JudgedRequests) -> _Draft:
    """The share of requests that are not ok."""
    counts = _ok_counts(judged.stats)
    observed = None if counts.share is None else 1.0 - counts.share
    if counts.total and not counts.unknown:
        observed = (counts.total - counts.good) / counts.total
    required, strict = 1.0 - objective.threshold, not objective.inclusive
    return _share_draft(objective, counts, required, observed, (_ok_dependence(judged),) * 2, strict=strict)


def _percentile(objective: Objective, judged: JudgedRequests) -> _Draft:
    """The share of requests within the threshold, and an estimate of the percentile."""
    assert objective.quantile is not None
    stats, quantile, threshold = judged.stats, objective.quantile, objective.threshold
    if objective.indicator is Indicator.SCHEDULE_LAG:
        times = {Result.OK: stats.schedule_lag}
        total, censored = stats.sent, 0
    else:
        times = request_times(stats, objective.indicator)
        total, censored = planned_requests(stats), stats.count(Result.CENSORED)
    answered = times[Result.OK]
    count_within: Callable[[float], int] = answered.count_at_most if objective.inclusive else answered.count_below
    good = count_within(threshold) if threshold > 0 else 0
    dependence = _time_dependence(judged, objective)
    if not censored:
        rank = max(1, math.ceil(quantile * total - 1e-9))
        observed = answered.value_at_rank(rank) if total else None
        return _share_draft(objective, _Counts(good=good, total=total), quantile, observed, dependence)
    ages, failed = times[Result.CENSORED], times[Result.FAILED]
    older = ages.count - ages.count_at_most(threshold)
    # The age of a request of a lost worker is not known: it may be anything.
    known = total - (censored - ages.count)
    lost = max(known - answered.count - failed.count - ages.count - stats.count(Result.TIMED_OUT), 0)
    estimate = kaplan_meier(answered, ages, known, failed, lost)
    counts = _Counts(
        good=good,
        unknown=censored - older if threshold > 0 else 0,
        total=total,
        estimate=estimate.share_within(threshold),
    )
    return _share_draft(objective, counts, quantile, estimate.quantile(quantile), dependence)


def _share_draft(
    objective: Objective,
    counts: _Counts,
    required: float,
    observed: float | None,
    dependence: tuple[Dependence, Dependence],
    *,
    strict: bool = False,
) -> _Draft:
    """The test of whether the good share is at least the required one, or above it if *strict*; see `_time_dependence`."""
    good, total, best = counts.good, counts.total, counts.good + counts.unknown
    lost = total == 0 or best > total  # a caveat says that part of the record is lost
    value = counts.estimate if counts.estimate is not None else good / total if total else 0.0
    return _Draft(
        result=ObjectiveResult(
            objective=objective,
            verdict=Verdict.INCONCLUSIVE,
            observed=observed,
            good=good,
            unknown=0 if lost else counts.unknown,
            total=total,
            share=None if lost else Estimate(value=value, low=None, high=None),
            dependence=dependence[0],
        ),
        test=ShareTest(
            good=good,
            best=best,
            total=total,
            required=required,
            strict=strict,
            dependence=dependence[0],
            dependence_at_limit=dependence[1],
        ),
    )


def _ok_dependence(judged: JudgedRequests) -> Dependence:
    """The dependence of the share of ok requests."""
    seconds = judged.seconds
    return measure_dependence([each.count(Result.OK) for each in seconds], [settled_requests(each) for each in seconds])


def _time_dependence(judged: JudgedRequests, objective: Objective) -> tuple[Dependence, Dependence]:
    """
    The dependence of the share within the threshold of a percentile, for a pass and for a miss.

    For a pass it is that of the observed percentile, since a run that passes may have few slower requests than the
    threshold; if it has more than the objective allows, also that of the threshold. Spells that do not even reach a
    quarter of the threshold do not matter. For a miss it is that of the threshold.
    """
    seconds = float(len(judged.seconds))
    if not seconds or objective.quantile is None or objective.quantile >= 1.0:
        return independent(seconds), independent(seconds)
    batches, threshold = judged.batches(objective.indicator), objective.threshold
    found = batches.dependence_of_quantile(objective.quantile, at_least=RELEVANT_SPELL * threshold)
    at_threshold = batches.dependence_at(threshold)
    allowed = objective.quantile * float(batches.totals.sum())
    if sum(batches.counts_at_most(threshold)) < allowed:
        found = stronger(found, at_threshold)
    return found, at_threshold
