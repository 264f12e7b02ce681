"""
Change the rate of a run in progress: the plan is kept up to an instant and drawn again from there on.

The new part depends only on the seed, the instant and the rate, so that every worker draws the same plan. It is a phase
of its own, so that requests before and after the change are counted separately.
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
"""Name of the phase before the first change, if the workload has no phases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChange:
    """A change of rate and duration."""

    start: Seconds
    """A whole second in the future."""
    rate: PerSecond
    duration: Seconds
    """Duration of the whole run, from its start."""


class PhaseNames:
    """Maps intended starts to phase names, for a run whose plan may be replaced."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload

    def __call__(self, intended_start: Seconds) -> str | None:
        """The phase of an intended start."""
        return self.workload.phase_at(intended_start) if self.workload.phases else FIRST_PHASE


def apply_rate_change(demand: Demand, plan: array[float], rate_change: RateChange) -> tuple[Demand, array[float]]:
    """The demand and the plan with the changed rate. Raises UsageError if the run would be over or too long."""
    work, start = demand.workload, rate_change.start
    left = rate_change.duration - start
    if left <= 0:
        raise UsageError(
            f"expected a duration of more than {start:g} s, counted from the start of the run, "
            f"found {rate_change.duration:g} s"
        )
    unchanged = tuple(_phases_until(start, work.phases or (_constant_phase(FIRST_PHASE, work.rate, work.duration),)))
    if sum(phase.expected_requests for phase in unchanged) + rate_change.rate * left > MAX_ARRIVALS:
        raise UsageError(f"expected at most {MAX_ARRIVALS} planned requests: choose a lower rate or a shorter duration")
    phases = (*unchanged, _constant_phase(_new_name(unchanged), rate_change.rate, left))
    changed = replace(
        work,
        phases=phases,
        rate=max(phase.peak_rate for phase in phases),
        duration=rate_change.duration,
        arrivals=_arrival_process(work),
        recorded_starts=(),
    )
    new_plan = plan[: bisect_left(plan, start)]
    rest = replace(changed, phases=(), rate=rate_change.rate, duration=left, max_requests=None)
    # The instant is part of the seed: two plans with the same rate must not repeat the same gaps.
    new_plan.extend(start + later for later in rest.starts(demand.seed + int(start)))
    return replace(demand, workload=changed), new_plan[: work.max_requests]


def _phases_until(start: Seconds, phases: tuple[Phase, ...]) -> Iterator[Phase]:
    """The phases up to an instant. The last one is shortened."""
    for phase, end in zip(phases, phase_ends(phases), strict=True):
        left = start - (end - phase.duration)
        if left >= phase.duration:
            yield phase
        elif left > 0:
            final_rate = phase.rate + (phase.final_rate - phase.rate) * left / phase.duration
            yield replace(phase, duration=left, final_rate=final_rate)


def _constant_phase(name: str, rate: PerSecond, duration: Seconds) -> Phase:
    return Phase(name=name, duration=duration, rate=rate, final_rate=rate)


def _new_name(phases: tuple[Phase, ...]) -> str:
    """A name that none of the phases has."""
    used = {phase.name for phase in phases}
    return next(name for number in range(2, len(used) + 3) if (name := f"plan {number}") not in used)


def _arrival_process(work: Workload) -> str:
    """The arrival process of the new part. A replayed recording has none and continues as Poisson arrivals."""
    return work.arrivals if work.arrivals in ARRIVAL_PROCESSES else "poisson"
