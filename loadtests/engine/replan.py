"""
Another plan for the rest of a run: what was planned before its first instant stays, what comes after is drawn anew.

It is drawn from the seed, the instant and the rate alone, so that every worker draws the same. Each plan is a phase of its
own: requests of the one and of the other are never counted as one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

from chainproof.clock import PerSecond, Seconds
from chainproof.errors import UsageError
from chainproof.workload.arrivals import ARRIVAL_PROCESSES
from chainproof.workload.phases import Phase, phase_ends
from chainproof.workload.workload import Workload

from ..demand import MAX_ARRIVALS, Demand

FIRST_PHASE = "plan 1"
"""The phase of what was planned before the run began, where the workload has no phases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChange:
    """
    What is asked of a run under way.
    """

    start: Seconds
    """A whole second that has not begun."""
    rate: PerSecond
    duration: Seconds
    """Of the whole run."""


class PhaseNames:
    """
    The phases of a run that may be given another plan.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload

    def __call__(self, intended: Seconds) -> str | None:
        """The phase of an intended start."""
        return self.workload.phase_at(intended) if self.workload.phases else FIRST_PHASE


def apply_rate_change(demand: Demand, plan: array[float], rate_change: RateChange) -> tuple[Demand, array[float]]:
    """
    The demand and the plan with another rate from an instant on. Raises UsageError where nothing would be left to ask.
    """
    work, start = demand.workload, rate_change.start
    left = rate_change.duration - start
    if left <= 0:
        raise UsageError(
            f"expected a duration of more than {start:g} s, from the run's beginning, found {rate_change.duration:g} s"
        )
    kept = tuple(_until(start, work.phases or (_level(FIRST_PHASE, work.rate, work.duration),)))
    if sum(phase.expected_requests for phase in kept) + rate_change.rate * left > MAX_ARRIVALS:
        raise UsageError(f"expected at most {MAX_ARRIVALS} planned requests: lower the rate, or make the run shorter")
    phases = (*kept, _level(_name(kept), rate_change.rate, left))
    changed = replace(
        work,
        phases=phases,
        rate=max(phase.peak_rate for phase in phases),
        duration=rate_change.duration,
        arrivals=_process(work),
        recorded_starts=(),
    )
    whole = plan[: bisect_left(plan, start)]
    rest = replace(changed, phases=(), rate=rate_change.rate, duration=left, max_requests=None)
    # The instant in the seed: two plans of one rate must not be the same gaps over again.
    whole.extend(start + later for later in rest.starts(demand.seed + int(start)))
    return replace(demand, workload=changed), whole[: work.max_requests]


def _until(start: Seconds, phases: tuple[Phase, ...]) -> Iterator[Phase]:
    """
    The phases up to an instant, the last one cut there.
    """
    for phase, end in zip(phases, phase_ends(phases), strict=True):
        left = start - (end - phase.duration)
        if left >= phase.duration:
            yield phase
        elif left > 0:
            line = phase.rate + (phase.final_rate - phase.rate) * left / phase.duration
            yield replace(phase, duration=left, final_rate=line)


def _level(name: str, rate: PerSecond, duration: Seconds) -> Phase:
    return Phase(name=name, duration=duration, rate=rate, final_rate=rate)


def _name(before: tuple[Phase, ...]) -> str:
    """
    A name that no phase has.
    """
    taken = {phase.name for phase in before}
    return next(name for number in range(2, len(taken) + 3) if (name := f"plan {number}") not in taken)


def _process(work: Workload) -> str:
    """
    The arrival process of what is drawn anew: a recording has none.
    """
    return work.arrivals if work.arrivals in ARRIVAL_PROCESSES else "poisson"
