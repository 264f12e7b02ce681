"""
Judge a missed objective again without the load generator's own lag.

Response times begin at the intended start, so that a slow target cannot hide its queue. A slow load generator makes them
longer too, and a stall of it ends in a burst that the plan does not have. So a missed objective is judged a second time: with
the part of each time that lies within a stall, or the recovery from it, left out, and without schedule lag. If it is not
missed then, the load generator may have caused it, and the objective is *invalid*: it says nothing about the target.

Leaving these parts out gives the lowest possible times. So an objective that is still missed is missed by the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from chainproof.clock import Seconds
from chainproof.judgement.cold_start import ColdStart
from chainproof.judgement.judged_requests import JudgedRequests
from chainproof.judgement.objectives import ObjectiveResult, evaluate_objectives
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result
from chainproof.results.intervals.interval import Interval
from chainproof.results.intervals.request_stats import RequestStats, merge_stats
from chainproof.results.intervals.stalls import Stall
from chainproof.workload.objectives import Indicator

LONG_RECOVERY: Seconds = 0.25
"""A recovery that is longer shows that the burst after the stall was more than the target could take."""


def judge_again(
    results: Sequence[ObjectiveResult], requests: JudgedRequests, totals: Interval, seconds: Seconds, processes: int
) -> tuple[ObjectiveResult, ...]:
    """
    The results of the objectives of a run of *seconds*; invalid where only the lag of its *processes* misses them.

    A stall makes requests depend on each other, which can leave a miss undecided. So what is undecided after a stall is
    invalid too, if it is met without the lag.
    """
    doubtful = {Verdict.FAIL, Verdict.INCONCLUSIVE} if _stalls(totals) else {Verdict.FAIL}
    if all(result.verdict not in doubtful for result in results):
        return tuple(results)
    without = without_generator_lag(requests, totals, seconds, processes)
    judged_again = [without] if processes == 1 else [without, _without_recoveries(without, totals)]
    objectives = [result.objective for result in results]
    again = zip(*(evaluate_objectives(objectives, each) for each in judged_again), strict=True)
    return tuple(
        replace(result, verdict=Verdict.INVALID, was_undecided=result.verdict is Verdict.INCONCLUSIVE)
        if result.verdict in doubtful
        and any(_differs(result, other) for other in others)
        and result.objective.indicator is not Indicator.SCHEDULE_LAG  # which is about the generator itself
        else result
        for result, others in zip(results, again, strict=True)
    )


def _differs(result: ObjectiveResult, again: ObjectiveResult) -> bool:
    """True if a miss, or an undecided objective, is met without the lag; a miss also if only its observed value is."""
    if result.verdict is not Verdict.FAIL or again.verdict is not Verdict.INCONCLUSIVE:
        return again.verdict is Verdict.PASS
    return again.observed is not None and again.objective.meets(again.observed)


def without_generator_lag(
    requests: JudgedRequests, totals: Interval, seconds: Seconds, processes: int
) -> JudgedRequests:
    """The judged requests of a run of *seconds*, without the lag of its *processes*."""
    stalls = _stalls(totals)
    lost = sum(time_within([stall], 0.0, seconds) for stall in stalls) / max(processes, 1)
    sending_time = max(1.0 - lost / seconds, 0.0) if seconds > 0 else 1.0
    has_slot_waits = totals.network.slot_wait.count > 0
    return replace(
        requests,
        stats=_requests(requests.stats, has_slot_waits=has_slot_waits),
        seconds=[_requests(each, has_slot_waits=has_slot_waits) for each in requests.seconds],
        start=ColdStart(
            first_success=_shortened(requests.start.first_success, stalls, requests.start.first_request),
            settling_time=_shortened(requests.start.settling_time, stalls, requests.start.first_request),
            first_request=requests.start.first_request,
        ),
        ok_by_second=[count / sending_time for count in requests.ok_by_second] if sending_time else (),
    )


def _without_recoveries(requests: JudgedRequests, totals: Interval) -> JudgedRequests:
    """
    The requests without the seconds in which a process recovered from a stall.

    Its burst also delays the requests of other processes, which do not know of the stall.
    """
    recoveries = {
        second
        for stall in _stalls(totals)
        if stall.recovered - stall.end > LONG_RECOVERY
        for second in range(int(stall.end), int(stall.recovered) + 1)
    }
    nothing = RequestStats()
    kept = [
        nothing if second in recoveries and not _is_rolled_up(each) else each
        for second, each in enumerate(requests.seconds, totals.second)
    ]
    return replace(requests, seconds=kept, stats=merge_stats(kept)) if recoveries and requests.seconds else requests


def _is_rolled_up(stats: RequestStats) -> bool:
    """Whether the times of a second are those of others too. Seconds with stalls, and their recovery, are not rolled up."""
    return stats.count(Result.OK) != stats.response_time[Result.OK].count


def _stalls(totals: Interval) -> Sequence[Stall]:
    """The stalls of the load generator."""
    return totals.generator_health.stalls if totals.generator_health is not None else []


def time_within(stalls: Iterable[Stall], start: Seconds, end: Seconds) -> Seconds:
    """The part of a time in which at least one process stood still or recovered."""
    total = 0.0
    for stall in sorted(stalls):
        total += max(min(stall.recovered, end) - max(stall.start, start), 0.0)
        start = max(start, stall.recovered)
    return total


def _shortened(instant: Seconds | None, stalls: Sequence[Stall], first_request: Seconds) -> Seconds | None:
    """An instant of the cold start, in seconds since the first request was due, without the stalls in between."""
    return None if instant is None else instant - time_within(stalls, first_request, first_request + instant)


def _requests(stats: RequestStats, *, has_slot_waits: bool) -> RequestStats:
    """The requests with the shortest times that they may have had."""
    ok, stalled = Result.OK, stats.stalled
    service, response = stats.service_time[ok], stats.response_time[ok]
    if stalled is not None:
        service = service.replaced(stalled.service_time, stalled.service_time_without)
        response = response.replaced(stalled.response_time, stalled.response_time_without)
    return replace(
        stats,
        planned=stats.planned - (stalled.excused if stalled is not None else 0),
        service_time={**stats.service_time, ok: service},
        # A response time is the schedule lag, the wait for a free slot and the service time. The wait is the target's.
        response_time={**stats.response_time, ok: response if has_slot_waits else service},
    )
