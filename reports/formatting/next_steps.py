"""The next step: what the reader of a report does first."""

from __future__ import annotations

import math

from chainproof.contract.remedies import remedies_for
from chainproof.judgement.capacity import capacity
from chainproof.judgement.caveat import CaveatCode
from chainproof.judgement.conformance_summary import ClauseState, ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.summary import Report, Summary, acceptance
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result
from chainproof.results.manifest import Ending
from chainproof.results.search_record import SearchRecord
from chainproof.workload.objectives import Indicator

from . import objectives
from .outcomes import outcome_text
from .quantities import count
from .safe_text import escape_unprintable, shorten

TOO_MANY_REQUESTS = 429


def next_step(report: Report) -> str:
    """The next step in one or two sentences, for the search or run that decides the verdict."""
    for search in report.searches:
        if search.verdict == report.verdict:
            return _of_search(search)
    decisive = (each for each in report.summaries if each.verdict is report.verdict and not report.is_probe(each))
    summary = next(decisive, None)
    return _of_run(summary) if summary is not None else ""


_SEARCH_STEPS = {
    Verdict.PASS: "Plan for the low end of the interval.",
    Verdict.FAIL: "See the response times of the lowest rate in the table of probes.",
    Verdict.INCONCLUSIVE: "See in the table of probes which rate is undecided, and search again for longer.",
    Verdict.INVALID: "See the reasons in the table of probes, and search again from a machine with more capacity.",
    Verdict.ERROR: "Please report this error with the folder of the search.",
}


def _of_search(search: SearchRecord) -> str:
    """The next step of a search."""
    has_estimate = search.verdict == Verdict.PASS and not isinstance(capacity(search), str)
    more = " See below what that means for concurrency_target and replicas." if has_estimate else ""
    return _SEARCH_STEPS[Verdict(search.verdict)] + more


def _of_run(summary: Summary) -> str:
    """The next step of one run."""
    match summary.verdict:
        case Verdict.ERROR:
            if summary.reason.startswith("Your code"):
                return "Correct your code, and run it again."
            return "Please report this error with the run folder."
        case Verdict.INVALID:
            return _remedy(summary, invalidating=True) or "Run it again."
        case Verdict.PASS:
            return _after_a_pass(summary)
    if isinstance(summary, ConformanceSummary):
        return _of_findings(summary) or _of_obstacle(summary) or _remedy(summary) or _after_idle_clauses(summary)
    if summary.verdict is Verdict.FAIL:
        return _of_missed_objectives(summary) or _remedy(summary)
    return _of_interruption(summary) or _of_undecided_objectives(summary) or _remedy(summary)


def _remedy(summary: Summary, *, invalidating: bool = False) -> str:
    """
    The remedy of the first caveat that has one, or of the first that makes the run invalid.

    That the target is the emulator is no reason for any verdict.
    """
    return next(
        (
            caveat.remedy
            for caveat in summary.caveats
            if caveat.remedy and caveat.code is not CaveatCode.EMULATED
            if (caveat.invalidates or caveat.invalidates_failures or not invalidating)
        ),
        "",
    )


def _after_a_pass(summary: Summary) -> str:
    """What limits a pass; that nothing needs to be done if nothing does."""
    if isinstance(summary, LoadSummary) and not summary.objectives:
        return "Set an objective to judge the run by: `--objective 'p95 response_time < 800ms'`."
    if summary.caveats:
        return "Nothing has to be done. Read the caveats before you rely on this."
    return "Nothing has to be done."


def _of_findings(summary: ConformanceSummary) -> str:
    """Where to begin among the findings; empty without any that counts."""
    findings = [found for found in summary.findings if acceptance(summary, found) is None]
    if not findings or summary.verdict is not Verdict.FAIL:
        return ""
    first = findings[0]
    number = "the finding" if len(findings) == 1 else f"the first of {count(len(findings))} findings"
    remedy = " and a remedy" if remedies_for(first.clause, first.actual) else ""
    evidence = "a command that reproduces it" if first.reproduce else "its evidence"
    return f"Begin with {number}, `{escape_unprintable(first.clause)}`: the report has {evidence}{remedy}."


def _after_idle_clauses(summary: ConformanceSummary) -> str:
    """What to do about clauses that were not exercised."""
    idle = sum(row.state is ClauseState.NOT_EXERCISED for row in summary.clauses)
    return f"The table of clauses says for {count(idle)} of them what would exercise them." if idle else ""


def _of_missed_objectives(summary: LoadSummary) -> str:
    """The most frequent error or the slowest exchanges, whichever missed an objective."""
    missed = [result for result in summary.objectives if result.verdict is Verdict.FAIL]
    errors = next((row for row in summary.outcomes if row.outcome.result is not Result.OK), None)
    share = 1 - summary.accounting.ok / summary.accounting.planned if summary.accounting.planned else 0.0
    if errors is not None and any(_is_missed_by_errors(result, share) for result in missed):
        if errors.outcome.status == TOO_MANY_REQUESTS:
            return (
                f"The target refused {count(errors.count)} requests with {TOO_MANY_REQUESTS}: it has no capacity for this rate. Give it "
                "more replicas, or lower the rate; `chainproof loadtests saturation` finds the rate that it can carry."
            )
        party = f", responsible: {errors.responsible.value}" if errors.responsible is not None else ""
        name = shorten(outcome_text(errors.outcome), 80)
        return f"Begin with the most frequent error, `{name}` ({count(errors.count)} requests{party}). The HTML report has request ids under Exemplars."
    if missed:
        return "The HTML report shows in its charts when it was missed, and under Exemplars the request ids of the slowest answers."
    return ""


def _is_missed_by_errors(result: ObjectiveResult, error_share: float) -> bool:
    """True if the share of requests that were not answered ok misses the objective alone."""
    quantile = result.objective.quantile
    if result.objective.indicator in (Indicator.RESPONSE_TIME, Indicator.SERVICE_TIME):
        return quantile is not None and error_share > 1 - quantile
    return result.objective.indicator is Indicator.ERROR_RATE


def _of_obstacle(summary: ConformanceSummary) -> str:
    """What to do if the target rejects the key or is not ready, so that nothing was tested; empty otherwise."""
    end = summary.run.end
    if end is None or end.ending is not Ending.COMPLETED or not end.note:
        return ""
    return "Remove the cause, then run it again: `chainproof call` shows one request and its answer."


def _of_interruption(summary: LoadSummary) -> str:
    """What to do after an interruption; empty without one."""
    return next((each.remedy for each in summary.caveats if each.code is CaveatCode.INTERRUPTED), "")


def _of_undecided_objectives(summary: LoadSummary) -> str:
    """What would decide the undecided objective that needs most; empty without one."""
    texts = {result: objectives.more_requests_needed(result) for result in summary.objectives if not result.nothing_ok}
    undecided = [result for result, text in texts.items() if text]
    if not undecided:
        return ""
    hardest = max(undecided, key=lambda result: result.more_requests_needed or math.inf)
    return f"`{hardest.objective.text}`: {texts[hardest]}."
