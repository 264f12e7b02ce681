"""
Measure how often a saturation search is right: `python benchmarks/simulations/saturation.py [--searches N]`.

The decisions are the library's own (`chainproof.loadtests.search.saturation`); only the targets and the clock are simulated:

- queues with exponential arrivals and service times (M/M/c), 8 or 100 servers, 0.2 s or 2 s of service, with the objective
  that 95 % of the answers take less than four times the mean service time. What a probe leaves in the queue is still there
  for the next one;
- targets of which a fixed share of the answers is good up to 50 requests per second, and half of them above.

Each search begins at another rate, so that its steps do not always meet the true rate at the same place. Prints one row for
each target, and exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import heapq
import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chainproof.clock import PerSecond, Seconds, format_duration
from chainproof.loadtests.search.evidence import Counts, Probe, ProbeVerdict
from chainproof.loadtests.search.planning import search_plan
from chainproof.loadtests.search.saturation import ProbeRequest, SearchPlan, SearchResult, saturation
from chainproof.workload.objectives import parse_objective
from chainproof.workload.search_settings import SearchSettings

REQUIRED = 0.95
WARM_UP: Seconds = 60.0
PROBE: Seconds = 60.0
MAX_ABOVE_CAPACITY, MAX_TOO_HIGH, MIN_ANSWERED, MIN_MEDIAN, MIN_COVERED = 0.01, 0.03, 0.90, 0.95, 0.93
"""The goals: shares of searches, and the median of answer ÷ truth. The last: intervals of 95 % that contain the truth."""
TOO_HIGH = 1.05
"""An answer above this multiple of the truth is too high."""


class Target(Protocol):
    """A simulated target."""

    def probe(self, request: ProbeRequest) -> Probe:
        """What a probe would see."""


@dataclass(slots=True)
class Queue:
    """M/M/c: requests wait in one queue for the first free server."""

    servers: int
    service: Seconds
    limit: Seconds
    """Answers below it are good."""
    chance: np.random.Generator
    free: list[Seconds] = field(default_factory=list)
    """When each server is free, as a heap."""
    now: Seconds = 0.0

    def __post_init__(self) -> None:
        self.free = [0.0] * self.servers

    def probe(self, request: ProbeRequest) -> Probe:
        """Serve the arrivals of warm-up and probe."""
        start = self.now + request.pause
        starts, ends = self._serve(start, request.rate, WARM_UP + request.seconds)
        self.now = start + WARM_UP + request.seconds
        seconds = math.ceil(request.seconds)
        places = np.floor(starts - start - WARM_UP).astype(int)
        judged = places >= 0
        good = judged & (ends - starts < self.limit)
        marks = start + WARM_UP + 1.0 + np.arange(seconds)
        in_flight = np.searchsorted(starts, marks) - np.searchsorted(np.sort(ends), marks)
        return simulated_probe(
            request,
            np.bincount(places[good], minlength=seconds),
            np.bincount(places[judged], minlength=seconds),
            in_flight,
        )

    def _serve(
        self, start: Seconds, rate: PerSecond, seconds: Seconds
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Starts and ends of the requests of a Poisson process."""
        number = self.chance.poisson(rate * seconds)
        starts = start + np.sort(self.chance.random(number)) * seconds
        ends: list[Seconds] = []
        replace, free = heapq.heapreplace, self.free
        for arrival, service in zip(
            starts.tolist(), self.chance.exponential(self.service, number).tolist(), strict=True
        ):
            end = max(free[0], arrival) + service
            replace(free, end)
            ends.append(end)
        return starts, np.array(ends)


@dataclass(slots=True)
class Coin:
    """A target of which each answer is good with the same probability, up to its capacity."""

    share: float
    capacity: PerSecond
    chance: np.random.Generator

    def probe(self, request: ProbeRequest) -> Probe:
        """Independent answers."""
        seconds = math.ceil(request.seconds)
        total = self.chance.poisson(request.rate, seconds)
        good = self.chance.binomial(total, self.share if request.rate <= self.capacity else 0.5)
        return simulated_probe(request, good, total, self.chance.poisson(request.rate * 0.2, seconds))


def simulated_probe(
    request: ProbeRequest, good: NDArray[np.int64], total: NDArray[np.int64], in_flight: NDArray[np.int64]
) -> Probe:
    """A probe with one objective."""
    planned = int(total.sum())
    counts = Counts(
        required=REQUIRED,
        good=int(good.sum()),
        total=planned,
        good_by_second=tuple(good.tolist()),
        total_by_second=tuple(total.tolist()),
    )
    return Probe(
        rate=request.rate,
        purpose=request.purpose,
        verdict=ProbeVerdict.INCONCLUSIVE,
        seconds=request.seconds,
        elapsed=request.pause + WARM_UP + request.seconds,
        planned=planned,
        in_flight=tuple(in_flight.tolist()),
        counts=(counts,),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A kind of target, with its true saturation rate."""

    name: str
    truth: PerSecond
    capacity: PerSecond
    target: Callable[[np.random.Generator], Target]


def queue_world(servers: int, service: Seconds) -> World:
    """An M/M/c queue."""
    limit = 4 * service
    low, high = 0.0, servers / service
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if share_within(limit, middle, servers, service) >= REQUIRED else (low, middle)
    return World(
        name=f"M/M/{servers}, {service:g} s",
        truth=low,
        capacity=servers / service,
        target=lambda chance: Queue(servers, service, limit, chance),
    )


def share_within(limit: Seconds, rate: PerSecond, servers: int, service: Seconds) -> float:
    """The share of answers within a limit in the steady state of M/M/c (Erlang C; Gross and Harris, ch. 2)."""
    load = rate * service
    if load >= servers:
        return 0.0
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = load * blocked / (server + load * blocked)
    waits = blocked / (1 - load / servers * (1 - blocked))
    spare, speed = servers / service - rate + 1e-9, 1 / service  # not equal: the formula has a removable singularity
    both = 1 - (spare * math.exp(-speed * limit) - speed * math.exp(-spare * limit)) / (spare - speed)
    return (1 - waits) * (1 - math.exp(-speed * limit)) + waits * both


def coin_world(share: float) -> World:
    """A target with a fixed share of good answers."""
    return World(name=f"share {share:.2f}", truth=50.0, capacity=50.0, target=lambda chance: Coin(share, 50.0, chance))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What the searches of one kind of target gave."""

    world: World
    searches: int
    answers: NDArray[np.float64]
    """Divided by the truth."""
    covered: int
    """Intervals that contain the truth."""
    reasons: Counter[str]
    load: list[Seconds]
    requests: list[int]

    @property
    def misses(self) -> list[str]:
        """The goals that were missed."""
        above = float((self.answers * self.world.truth > self.world.capacity).sum()) / self.searches
        too_high = float((self.answers > TOO_HIGH).sum()) / self.searches
        median = float(np.median(self.answers)) if len(self.answers) else 0.0
        checks = (
            (above <= MAX_ABOVE_CAPACITY, f"above capacity {above:.1%}"),
            (too_high <= MAX_TOO_HIGH, f"more than {TOO_HIGH - 1:.0%} too high {too_high:.1%}"),
            (len(self.answers) >= MIN_ANSWERED * self.searches, f"answered {len(self.answers) / self.searches:.0%}"),
            (median >= MIN_MEDIAN, f"median {median:.3f}"),
            (
                self.covered >= MIN_COVERED * len(self.answers),
                f"interval right {self.covered / max(len(self.answers), 1):.1%}",
            ),
        )
        return [text for is_met, text in checks if not is_met]

    @property
    def row(self) -> str:
        """One row of the table."""
        answers = self.answers if len(self.answers) else np.array([math.nan])
        cells = (
            f"{len(self.answers) / self.searches:.0%}",
            f"{(answers * self.world.truth > self.world.capacity).sum() / self.searches:.1%}",
            f"{(answers > TOO_HIGH).sum() / self.searches:.1%}",
            f"{np.median(answers):.3f}",
            f"{np.quantile(answers, 0.1):.3f}",
            f"{answers.max():.3f}",
            f"{self.covered / max(len(self.answers), 1):.1%}",
            format_duration(round(float(np.median(self.load)) / 60) * 60.0),
            format_duration(round(float(np.quantile(self.load, 0.95)) / 60) * 60.0),
            f"{np.median(self.requests):,.0f}",
        )
        return f"{self.world.name:<14}" + "".join(f"{cell:>14}" for cell in cells)


HEADINGS = (
    "answered",
    "> capacity",
    "> 1.05 truth",
    "median ÷",
    "10 % ÷",
    "largest ÷",
    "load",
    "load, 95 %",
    "requests",
)


def measure(world: World, searches: int) -> Outcomes:
    """Run searches of one kind of target."""
    answers: list[float] = []
    covered = 0
    reasons: Counter[str] = Counter()
    load: list[Seconds] = []
    requests: list[int] = []
    for seed in range(searches):
        chance = np.random.default_rng((seed, searches))
        lowest = world.truth / 8 * 2 ** chance.random()
        result, probes = run_simulated_search(world.target(chance), simulated_plan(lowest))
        if result.rate is not None:
            answers.append(result.rate / world.truth)
            low, high = result.interval
            covered += (low or 0.0) <= world.truth <= (math.inf if high is None else high)
        else:
            reasons[str(result.no_rate_reason)] += 1
        load.append(sum(WARM_UP + probe.seconds for probe in probes))
        requests.append(round(sum(probe.rate * (WARM_UP + probe.seconds) for probe in probes)))
    return Outcomes(
        world=world,
        searches=searches,
        answers=np.array(answers),
        covered=covered,
        reasons=reasons,
        load=load,
        requests=requests,
    )


def simulated_plan(lowest: PerSecond) -> SearchPlan:
    """The plan of `chainproof loadtests saturation` with one objective, and no limits of rate and time."""
    settings = SearchSettings(max_rate=math.inf, max_duration=math.inf)
    objective = parse_objective("p95 response_time < 1s")
    return search_plan((objective,), settings, lowest=lowest, probe_seconds=PROBE, warm_up=WARM_UP, drain=0.0)


def run_simulated_search(target: Target, plan: SearchPlan) -> tuple[SearchResult, list[Probe]]:
    """The result of a search, and its probes."""
    probes: list[Probe] = []

    def run(request: ProbeRequest) -> Probe:
        probes.append(target.probe(request))
        return probes[-1]

    return saturation(run, plan), probes


WORLDS = (
    *(coin_world(share) for share in (0.96, 0.97, 0.98, 0.99)),
    *(queue_world(servers, service) for servers in (8, 100) for service in (0.2, 2.0)),
)


def main() -> int:
    """Print the table. Returns 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=300, help="searches of each target (default: 300)")
    searches = parser.parse_args().searches
    print(f"{'target':<14}" + "".join(f"{heading:>14}" for heading in HEADINGS))
    misses: list[str] = []
    for world in WORLDS:
        outcomes = measure(world, searches)
        print(outcomes.row, *(f"{reason}: {count}" for reason, count in outcomes.reasons.items()), flush=True)
        misses += [f"{world.name}: {miss}" for miss in outcomes.misses]
    print("\n".join(["", *(f"goal missed: {miss}" for miss in misses)] if misses else ["", "every goal is met"]))
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
