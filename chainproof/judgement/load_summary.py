"""The summary of a load run: every figure and judgement that reports show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from chainproof.clock import PerSecond, Seconds
from chainproof.contract.errors import Responsible
from chainproof.judgement.accounting import Accounting, accounting
from chainproof.judgement.caveat import Caveat
from chainproof.judgement.caveats import CaveatInput, load_caveats
from chainproof.judgement.cold_start import ColdStart, cold_start
from chainproof.judgement.generator_caveats import generator_caveats
from chainproof.judgement.generator_lag import judge_again
from chainproof.judgement.judged_requests import JudgedRequests, requests_to_judge, stats_by_second
from chainproof.judgement.latency import Timing, judged_requests, response_timing, timings
from chainproof.judgement.load_verdict import load_verdict
from chainproof.judgement.no_ok_answers import failed_check_text, html_text, withhold_without_ok
from chainproof.judgement.objectives import ObjectiveResult, evaluate_objectives
from chainproof.judgement.severity import sort_findings
from chainproof.judgement.timing_names import RESPONSE_TIME
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Outcome, Result, responsible_for_outcome
from chainproof.results.finding import Finding
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import Interval, by_second, total
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.results.settings import PhaseSpan
from chainproof.workload.objectives import parse_objective


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCount:
    """How often an outcome occurred, and who is responsible for it."""

    outcome: Outcome
    count: int
    responsible: Responsible | None
    """None for ok answers, and if no answer shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSummary:
    """The results of the requests with one payload."""

    name: str
    counts: dict[Result, int]
    response_time: Timing
    """Of ok answers."""
    rejected: Timing
    """The response time of answers that are not ok."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSummary:
    """The results of the requests whose intended start is in one phase."""

    phase: PhaseSpan
    accounting: Accounting
    timings: dict[str, Timing]
    throughput: PerSecond
    """Complete answers per second during the phase, whenever their requests were sent."""
    ok_per_second: PerSecond


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """Figures, verdict and caveats of one load run."""

    run: Run
    verdict: Verdict
    reason: str
    """The verdict in one sentence."""
    accounting: Accounting
    totals: Interval
    """All intervals of the run, merged."""
    judged: RequestStats
    """The requests of the judged phases, from which figures and objectives are computed; all if there are no phases."""
    requests: JudgedRequests
    """Those requests in each second, as objectives are judged by them."""
    seconds: tuple[Interval, ...]
    """One interval per second, workers merged."""
    timings: dict[str, Timing]
    """Every kind of time, in the order of `latency.TIMINGS`."""
    throughput: PerSecond
    """Complete answers per second while requests were sent, in the judged phases if there are phases."""
    ok_per_second: PerSecond
    cold_start: ColdStart
    phases: tuple[PhaseSummary, ...]
    """In order; empty if the workload has none, or the run folder does not record them."""
    payloads: tuple[PayloadSummary, ...]
    """By name, of judged phases; empty if there is only one."""
    outcomes: tuple[OutcomeCount, ...]
    """Most frequent first."""
    objectives: tuple[ObjectiveResult, ...]
    caveats: tuple[Caveat, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Violations found under load, the most severe first."""
        return sort_findings(self.run.findings)


def summarise_load(run: Run) -> LoadSummary:
    """The summary of one load run."""
    seconds = tuple(by_second(run.intervals))
    totals = total(seconds)
    judged, counts = judged_requests(run.manifest, totals), accounting(totals)
    throughput, ok_per_second = _rates(run, seconds)
    start = cold_start(run, seconds)
    sending_time = _sending_time(run, seconds)
    requests = requests_to_judge(run, seconds, judged, start, sending_time)
    objectives = _objectives(run, requests, totals, sending_time)
    times = timings(judged, requests.seconds)
    caveats = load_caveats(
        CaveatInput(
            run=run,
            totals=totals,
            accounting=counts,
            start=start,
            response_time=times[RESPONSE_TIME],
            requests=requests,
            generator_caveats=tuple(generator_caveats(run, totals, judged, seconds, objectives)),
        )
    )
    verdict, reason = load_verdict(run.end, counts, objectives, caveats)
    reason = " ".join(filter(None, (html_text(run.findings, totals), reason, failed_check_text(run))))
    return LoadSummary(
        run=run,
        verdict=verdict,
        reason=reason,
        accounting=counts,
        totals=totals,
        judged=judged,
        requests=requests,
        seconds=seconds,
        timings=times,
        throughput=throughput,
        ok_per_second=ok_per_second,
        cold_start=start,
        phases=tuple(_phases(run, totals, seconds)),
        payloads=tuple(_payloads(judged, requests.seconds)),
        outcomes=tuple(
            OutcomeCount(outcome=outcome, count=count, responsible=responsible_for_outcome(outcome))
            for outcome, count in totals.outcomes.most_common()
        ),
        objectives=objectives,
        caveats=caveats,
    )


def objectives_so_far(summary: LoadSummary) -> tuple[ObjectiveResult, ...]:
    """The objectives of a run in progress, judged by the requests with a known result: those in flight do not count yet."""
    stats = summary.requests.stats
    known = stats.outcomes.total() + stats.not_sent.total()
    requests = replace(summary.requests, stats=replace(stats, planned=known))
    return _objectives(summary.run, requests, summary.totals, _sending_time(summary.run, summary.seconds))


def _objectives(
    run: Run, requests: JudgedRequests, totals: Interval, sending_time: Seconds
) -> tuple[ObjectiveResult, ...]:
    """The results of the objectives of a run."""
    results = evaluate_objectives([parse_objective(text) for text in run.manifest.objectives], requests)
    results = judge_again(results, requests, totals, sending_time, len(run.workers))
    return tuple(withhold_without_ok(each, requests.stats) for each in results)


def _phases(run: Run, totals: Interval, seconds: tuple[Interval, ...]) -> Iterable[PhaseSummary]:
    """The summary of every phase."""
    for phase in run.manifest.phases if totals.phases else ():
        stats = totals.phases.get(phase.name, RequestStats())
        end = min(phase.end, _sending_time(run, seconds))
        throughput, ok_per_second = _rates_within([(phase.start, end)], seconds)
        yield PhaseSummary(
            phase=phase,
            accounting=accounting(stats),
            timings=timings(stats, list(stats_by_second(seconds, [phase.name]))),
            throughput=throughput,
            ok_per_second=ok_per_second,
        )


def _payloads(stats: RequestStats, seconds: Sequence[RequestStats]) -> Iterable[PayloadSummary]:
    """The summary of every payload, if there are several."""
    nothing = RequestStats()
    for name, each in sorted(stats.payloads.items()) if len(stats.payloads) > 1 else ():
        parts = [second.payloads.get(name, nothing) for second in seconds]
        yield PayloadSummary(
            name=name,
            counts={result: each.count(result) for result in Result},
            response_time=response_timing(each, parts, Result.OK),
            rejected=response_timing(each, parts, Result.FAILED),
        )


def _sending_time(run: Run, seconds: tuple[Interval, ...]) -> Seconds:
    """How long requests were sent."""
    duration = run.manifest.known_settings.duration
    planned = float(duration) if duration is not None else float(len(seconds))
    return min(planned, run.end.seconds if run.end is not None else float(len(seconds)))


def _rates(run: Run, seconds: tuple[Interval, ...]) -> tuple[PerSecond, PerSecond]:
    """
    Complete answers and ok answers per second, over the full seconds in which requests were sent.

    The drain is left out: it has answers but no requests, so it would lower the rate. If phases are judged, only their
    seconds count.
    """
    end = _sending_time(run, seconds)
    judged = [(phase.start, min(phase.end, end)) for phase in run.manifest.phases if phase.judged]
    recorded = any(second.phases for second in seconds)
    return _rates_within(judged if judged and recorded else [(0.0, max(end, 1.0))], seconds)


def _rates_within(spans: list[tuple[Seconds, Seconds]], seconds: tuple[Interval, ...]) -> tuple[PerSecond, PerSecond]:
    """Complete answers and ok answers per second, over the full seconds within some spans; 0 if there is none."""
    full_seconds = [(ceil(start), int(end)) for start, end in spans if ceil(start) < int(end)]
    count = sum(end - start for start, end in full_seconds)
    inside = [each for each in seconds if any(start <= each.second < end for start, end in full_seconds)]
    answered, ok = sum(each.answered for each in inside), sum(each.count(Result.OK) for each in inside)
    return (answered / count, ok / count) if count else (0.0, 0.0)
