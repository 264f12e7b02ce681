"""How many requests a search needs, and how long it may take. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable

from chainproof.clock import PerSecond, Seconds
from chainproof.workload.objectives import Indicator, Objective
from chainproof.workload.search_settings import SearchSettings

from .evidence import Probe, ProbeVerdict
from .saturation import ProbeRequest, SearchPlan, saturation

FIRST_FACTOR, VERIFYING_FACTOR, MAX_FACTOR = 6, 30, 120
"""
The requests of a first probe, of a verifying probe, and for each rate, as multiples of the smallest number that can show
the required share (`fewest_requests`). The last one shows a share that is a fifth of the way from the required one to 100 %.
"""


def search_plan(
    objectives: Iterable[Objective],
    settings: SearchSettings,
    *,
    lowest: PerSecond,
    probe_seconds: Seconds,
    warm_up: Seconds,
    drain: Seconds,
    run_seconds: Seconds = math.inf,
    run_requests: float = math.inf,
) -> SearchPlan:
    """The plan of a search for the highest rate that meets the objectives."""
    fewest = max(map(fewest_requests, objectives), default=1)
    max_requests = settings.max_requests or MAX_FACTOR * fewest
    return SearchPlan(
        lowest=lowest,
        settings=settings,
        first_requests=min(FIRST_FACTOR * fewest, max_requests),
        verifying_requests=min(VERIFYING_FACTOR * fewest, max_requests),
        max_requests=max_requests,
        probe_seconds=probe_seconds,
        warm_up=warm_up,
        drain=drain,
        run_seconds=run_seconds,
        run_requests=run_requests,
    )


def expected_durations(plan: SearchPlan) -> tuple[Seconds, Seconds]:
    """The shortest and the longest search of targets that clearly meet the objectives up to some rate, and miss them above."""
    top = min(plan.settings.max_rate, 1e6 * plan.lowest)
    capacities = [plan.lowest * 1.5, math.sqrt(plan.lowest * top) * 1.1, top / 1.5]
    durations = [_ideal_duration(plan, capacity) for capacity in capacities if capacity > plan.lowest]
    return min(durations, default=0.0), max(durations, default=0.0)


def _ideal_duration(plan: SearchPlan, capacity: PerSecond) -> Seconds:
    """How long the search of one such target takes, without drains."""
    probes: list[Probe] = []

    def run(request: ProbeRequest) -> Probe:
        verdict = ProbeVerdict.MET if request.rate <= capacity else ProbeVerdict.MISSED
        probes.append(
            Probe(
                rate=request.rate,
                purpose=request.purpose,
                verdict=verdict,
                seconds=request.seconds,
                elapsed=request.pause + plan.warm_up + request.seconds,
                others=verdict,
            )
        )
        return probes[-1]

    saturation(run, plan)
    return sum(probe.elapsed for probe in probes)


def fewest_requests(objective: Objective) -> int:
    """
    The smallest number of requests that can show an objective.

    A share q is shown with 95 % confidence by ln 0.05 / ln q good requests without a bad one: 59 for 95 %, 299 for 99 %.
    """
    share = objective.quantile if objective.quantile is not None else 1.0
    if objective.indicator is Indicator.ERROR_RATE:
        share = 1.0 - objective.threshold
    return math.ceil(math.log(0.05) / math.log(share)) if 0 < share < 1 else 1
