"""
The result of objectives for a run in which no request was answered ok.

An answer that is not ok takes another way through the target than one that is: its time says nothing about how long the
chain works. So objectives on times and throughput are not missed because of such answers; they are not measured. They are
missed if requests that were never answered suffice for that. An error rate and the time of the first success are about the
errors themselves, and stay missed, unless nearly all answers reject the payload: then the caller is responsible, and a chain
that is right to reject it must not fail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.errors import ErrorCode, Responsible
from chainproof.judgement.judged_requests import planned_requests
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import CodeKind, Outcome, Result, responsible_for_outcome
from chainproof.results.finding import Finding
from chainproof.results.folder import Run
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.workload.objectives import Indicator

_MEDIA_TYPES = (clauses.OUTPUT_MEDIA_TYPE.id, clauses.ERROR_MEDIA_TYPE.id)

_NEARLY_ALL = 0.95
"""Smallest share of 400 and 422 answers that is taken as a payload which does not fit the chain, or of HTML pages as another URL."""

NEEDS_OK_ANSWERS = frozenset(
    {Indicator.RESPONSE_TIME, Indicator.SERVICE_TIME, Indicator.THROUGHPUT, Indicator.SETTLING_TIME}
)
"""Indicators that are not measured if no request is answered ok."""


def withhold_without_ok(result: ObjectiveResult, stats: RequestStats) -> ObjectiveResult:
    """The result of an objective; inconclusive if it is missed only because no answer was ok."""
    failed, total = stats.count(Result.FAILED), planned_requests(stats)
    if result.verdict is not Verdict.FAIL or stats.count(Result.OK) or not failed:
        return result
    indicator = result.objective.indicator
    is_about_errors = indicator in (Indicator.ERROR_RATE, Indicator.FIRST_SUCCESS)
    if indicator not in NEEDS_OK_ANSWERS and not (is_about_errors and rejected_inputs(stats) is not None):
        return result
    quantile = result.objective.quantile
    if quantile is not None and total - failed > (1.0 - quantile) * total:
        return result  # requests without any answer miss it on their own
    return replace(result, verdict=Verdict.INCONCLUSIVE, nothing_ok=True, more_requests_needed=None)


def html_text(findings: Iterable[Finding], stats: RequestStats) -> str:
    """That nearly all answers were web pages, as of another URL than the chain's; empty otherwise."""
    pages = sum(
        each.count
        for each in findings
        if each.clause in _MEDIA_TYPES and "content-type text/html" in each.actual.lower()
    )
    if not pages or stats.count(Result.OK) or pages < _NEARLY_ALL * stats.answered:
        return ""
    return (
        "The answers are HTML pages: is this the URL of the chain? `chainproof call` shows one request and its answer."
    )


def failed_check_text(run: Run) -> str:
    """That answers failed the user's own check, which makes them failed requests; empty if none did."""
    failed = sum(each.violations for each in run.clauses if each.clause == clauses.USER_CHECK.id)
    if not failed:
        return ""
    return f"{failed:,} answer{'s' * (failed != 1)} failed your own check, --check: see the findings."


def rejects_input(outcome: Outcome) -> bool:
    """True for an answer which says that the body is not an input of this chain."""
    if outcome.status not in (400, 422) or responsible_for_outcome(outcome) is not Responsible.CALLER:
        return False
    return outcome.code_kind is not CodeKind.DOCUMENTED or outcome.error_code == ErrorCode.CLIENT_ERROR


def rejected_inputs(stats: RequestStats) -> Counter[int] | None:
    """The answers that reject the payload, by status, if they are nearly all answers; else None."""
    statuses: Counter[int] = Counter()
    for outcome, count in stats.outcomes.items():
        if outcome.status is not None and rejects_input(outcome):
            statuses[outcome.status] += count
    return statuses if statuses and statuses.total() >= _NEARLY_ALL * stats.answered else None
