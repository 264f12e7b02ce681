"""
Judge a missed objective again without the load generator's own lag.

Response times begin at the intended start, so that a slow target cannot hide its queue. A slow load generator makes them
longer too, and a stall of it ends in a burst that the plan does not have. So a missed objective is judged a second time: with
the part of each time that lies within a stall, or the recovery from it, left out, and without schedule lag. If it is not
missed then, the load generator may have caused it, and the objective is *invalid*: it says nothing about the target.

Leaving these parts out gives the lowest possible times. So an objective that is still missed is missed by the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from chainproof.clock import Seconds
from chainproof.judgement.cold_start import ColdStart
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result
from chainproof.results.interval import Interval, RequestStats
from chainproof.results.stalls import Stall
from chainproof.workload.objectives import Indicator


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutOwnLag:
    """What the objectives of a run are judged from, without the load generator's own lag."""

    judged: RequestStats
    start: ColdStart
    sending_time: float
    """The share of the time in which requests could be sent; 1 without a stall."""


def without_own_lag(
    judged: RequestStats, start: ColdStart, totals: Interval, seconds: Seconds, processes: int
) -> WithoutOwnLag:
    """The judged requests and the cold start of a run of *seconds*, without the lag of its *processes*."""
    stalls = totals.generator_health.stalls if totals.generator_health is not None else []
    lost = sum(time_within([stall], 0.0, seconds) for stall in stalls) / max(processes, 1)
    return WithoutOwnLag(
        judged=_requests(judged, has_slot_waits=totals.network.slot_wait.count > 0),
        start=ColdStart(
            first_success=_shortened(start.first_success, stalls),
            settling_time=_shortened(start.settling_time, stalls),
        ),
        sending_time=max(1.0 - lost / seconds, 0.0) if seconds > 0 else 1.0,
    )


def judge_again(result: ObjectiveResult, evaluate: Callable[[], ObjectiveResult]) -> ObjectiveResult:
    """The result of an objective; invalid if it is missed, but not when *evaluate* judges it without our own lag."""
    if result.verdict is not Verdict.FAIL or result.objective.indicator is Indicator.SCHEDULE_LAG:
        return result
    return result if evaluate().verdict is Verdict.FAIL else replace(result, verdict=Verdict.INVALID)


def time_within(stalls: Iterable[Stall], start: Seconds, end: Seconds) -> Seconds:
    """The part of a time in which at least one process stood still or recovered."""
    total = 0.0
    for stall in sorted(stalls):
        total += max(min(stall.recovered, end) - max(stall.start, start), 0.0)
        start = max(start, stall.recovered)
    return total


def _shortened(instant: Seconds | None, stalls: Sequence[Stall]) -> Seconds | None:
    """An instant of the cold start without the stalls before it."""
    return None if instant is None else instant - time_within(stalls, 0.0, instant)


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
