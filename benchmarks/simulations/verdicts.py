"""
Simulate targets and count how often confidence intervals miss the truth and verdicts are wrong.

Each simulated run goes through the library's own functions: one histogram per second, the interval of each percentile, and
the verdict on an objective whose threshold is exactly the true percentile. There, every pass and every fail is wrong; an
inconclusive verdict is not. Prints a table, and exits with 1 if a goal is missed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from simulated_targets import (
    RATE,
    Draw,
    Times,
    draw_ar1,
    draw_independent,
    draw_queue,
    lognormal_quantile,
    queue_quantile,
    waves,
)
from simulation_options import simulation_parser

from chainproof.judgement.judged_requests import JudgedRequests
from chainproof.judgement.latency import quantile_by_time
from chainproof.judgement.objectives import evaluate_objectives
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.intervals.request_stats import RequestStats, merge_stats
from chainproof.statistics.confidence_sequence import sequential_proportion
from chainproof.statistics.dependence import independent
from chainproof.statistics.share_test import ShareTest, holm_errors
from chainproof.workload.objectives import Objective, parse_objective

REQUESTS = 10_000
FRACTIONS = (0.5, 0.95, 0.99)
_CHUNK = 200
"""Runs that are drawn together: more take more memory and no less time."""
_OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A kind of target, and what the library must reach for it."""

    name: str
    draw: Draw
    true_quantile: Callable[[float], float] = lognormal_quantile
    coverage: float
    """The least share of intervals that contain the truth."""
    wrong: float
    """The largest share of wrong passes, and of wrong fails."""


WORLDS = (
    World(name="independent", draw=draw_independent, coverage=0.93, wrong=0.05),
    World(name="AR(1), φ = 0.9", draw=draw_ar1, coverage=0.93, wrong=0.05),
    World(name="load waves, 2 s", draw=waves(2.0), coverage=0.90, wrong=0.08),
    World(name="load waves, 10 s", draw=waves(10.0), coverage=0.85, wrong=0.15),
    World(name="M/M/8 at 90 %", draw=draw_queue, true_quantile=queue_quantile, coverage=0.85, wrong=0.15),
)


@dataclass(slots=True, kw_only=True)
class Counts:
    """What the runs of one world and percentile gave."""

    runs: int = 0
    covered: int = 0
    passed: int = 0
    failed: int = 0
    too_short: int = 0
    design_effect: float = 0.0
    """The sum over runs."""

    def add(self, other: Counts) -> None:
        """Add the counts of other runs."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured share with its goal."""

    what: str
    value: float
    goal: float
    at_least: bool

    def is_reached(self, runs: int, tolerance: float) -> bool:
        """True if the goal is reached, or missed by no more than *tolerance* standard errors of so many runs."""
        slack = tolerance * math.sqrt(self.goal * (1.0 - self.goal) / runs)
        return self.value >= self.goal - slack if self.at_least else self.value <= self.goal + slack


def judged_requests(times: Times) -> JudgedRequests:
    """A run as its run folder has it: one histogram per second."""
    seconds = []
    for row in times.reshape(-1, RATE):
        second = RequestStats(planned=len(row), sent=len(row))
        second.outcomes[_OK] = len(row)
        second.response_time[Result.OK].record_all(row.tolist())
        seconds.append(second)
    return JudgedRequests(stats=merge_stats(seconds), seconds=seconds, planned_rate=float(RATE))


def objective(fraction: float, threshold: float) -> Objective:
    """The objective that a percentile is below a threshold."""
    return replace(parse_objective(f"p{100 * fraction:g} response_time < 1s"), threshold=threshold)


def judge(requests: JudgedRequests, fraction: float, truth: float) -> Counts:
    """What one run gives for one percentile."""
    target = objective(fraction, truth)
    batches = requests.batches(target.indicator)
    dependence = batches.dependence_of_quantile(fraction)
    found = quantile_by_time(requests.stats.response_time[Result.OK], fraction, batches)
    (result,) = evaluate_objectives([target], requests)
    assert found is not None
    return Counts(
        runs=1,
        covered=(found.low or 0.0) <= truth <= (math.inf if found.high is None else found.high),
        passed=result.verdict is Verdict.PASS,
        failed=result.verdict is Verdict.FAIL,
        too_short=result.dependence is not None and result.dependence.too_short,
        design_effect=dependence.design_effect,
    )


def runs_of(world: World, runs: int, requests: int, seed: int) -> Iterator[JudgedRequests]:
    """Simulated runs of a world."""
    source = np.random.default_rng(seed)
    for start in range(0, runs, _CHUNK):
        yield from map(judged_requests, world.draw(source, min(_CHUNK, runs - start), requests))


def simulate(world: World, runs: int, seed: int) -> dict[float, Counts]:
    """What the runs of a world give, by percentile."""
    counts = {fraction: Counts() for fraction in FRACTIONS}
    truths = {fraction: world.true_quantile(fraction) for fraction in FRACTIONS}
    for requests in runs_of(world, runs, REQUESTS, seed):
        for fraction, total in counts.items():
            total.add(judge(requests, fraction, truths[fraction]))
    return counts


def world_figures(world: World, counts: dict[float, Counts]) -> Iterator[Figure]:
    """The figures of one world with their goals."""
    for fraction, total in counts.items():
        name, runs = f"{world.name}, p{100 * fraction:g}", total.runs
        yield Figure(what=f"{name}: coverage", value=total.covered / runs, goal=world.coverage, at_least=True)
        yield Figure(what=f"{name}: wrong pass", value=total.passed / runs, goal=world.wrong, at_least=False)
        yield Figure(what=f"{name}: wrong fail", value=total.failed / runs, goal=world.wrong, at_least=False)


def power(runs: int, seed: int) -> Figure:
    """How often 1,000 independent requests pass a p95 objective that is 10 % above the truth."""
    target = objective(0.95, 1.1 * lognormal_quantile(0.95))
    verdicts = [evaluate_objectives([target], run)[0].verdict for run in runs_of(WORLDS[0], runs, 1000, seed)]
    share = sum(verdict is Verdict.PASS for verdict in verdicts) / runs
    return Figure(what="power for a margin of 10 %, 1,000 independent requests", value=share, goal=0.7, at_least=True)


def share_test(good: int, total: int, required: float = 0.95) -> ShareTest:
    """A test of independent requests."""
    return ShareTest(good=good, best=good, total=total, required=required, dependence=independent())


def requests_needed(runs: int, seed: int) -> Figure:
    """How often the number of requests that an inconclusive run names decides, for many sizes and true shares."""
    source, decided, undecided = np.random.default_rng(seed), 0, 0
    for required in (0.95, 0.99):
        for total in (100, 300, 1000, 3000):
            for factor in (0.2, 0.4, 0.6, 0.8, 1.2, 1.5, 2.0):
                share = 1.0 - (1.0 - required) * factor
                for good in source.binomial(total, share, max(runs // 50, 1)).tolist():
                    test = share_test(good, total, required)
                    size = test.requests_needed() if test.is_met(0.05) is None else None
                    if size is not None:
                        longer = share_test(int(source.binomial(size, share)), size, required)
                        undecided += 1
                        decided += longer.is_met(0.05) is not None
    return Figure(what="the named number of requests decides", value=decided / undecided, goal=0.8, at_least=True)


def family_errors(runs: int, seed: int) -> Iterator[Figure]:
    """How often any of five objectives at their boundary passes, and how often any fails."""
    source, passed, failed = np.random.default_rng(seed), 0, 0
    for counts in source.binomial(1000, 0.95, (runs, 5)).tolist():
        tests = [share_test(good, 1000) for good in counts]
        passed += any(map(ShareTest.is_met, tests, holm_errors(tests, met=True)))
        misses = zip(tests, holm_errors(tests, met=False), strict=True)
        failed += any(test.is_met(error) is False for test, error in misses)
    yield Figure(
        what="five objectives at their boundary: any wrong pass", value=passed / runs, goal=0.05, at_least=False
    )
    yield Figure(
        what="five objectives at their boundary: any wrong fail", value=failed / runs, goal=0.05, at_least=False
    )


def repeated_looks(runs: int, seed: int) -> Figure:
    """How often a confidence sequence ever excludes the truth, looking after each of 2,000 requests in steps of 10."""
    source, excluded = np.random.default_rng(seed), 0
    for _ in range(runs):
        errors = np.cumsum(source.random(2000) < 0.1)
        looks = range(9, 2000, 10)
        excluded += any(sequential_proportion(int(errors[look]), look + 1).low > 0.1 for look in looks)
    what = "error budget of 10 % at a true 10 %, 200 looks: stopped"
    return Figure(what=what, value=excluded / runs, goal=0.05, at_least=False)


def table(worlds: Sequence[World], counts: Sequence[dict[float, Counts]]) -> Iterator[str]:
    """One row for each world and percentile."""
    yield f"{'world':<20}{'':>6}{'coverage':>10}{'wrong pass':>12}{'wrong fail':>12}{'too short':>11}{'design effect':>15}"
    for world, by_fraction in zip(worlds, counts, strict=True):
        for fraction, total in by_fraction.items():
            shares = (total.covered, total.passed, total.failed, total.too_short)
            covered, passed, failed, short = (count / total.runs for count in shares)
            yield (
                f"{world.name:<20}{f'p{100 * fraction:g}':>6}{covered:>10.3f}{passed:>12.3f}{failed:>12.3f}{short:>11.3f}"
                f"{total.design_effect / total.runs:>15.1f}"
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulation. Returns 1 if a goal is missed."""
    options = simulation_parser(__doc__, "runs", "runs of each target").parse_args(arguments)
    runs, seed = options.runs, options.seed
    counts = [simulate(world, runs, seed + place) for place, world in enumerate(WORLDS)]
    print("\n".join(table(WORLDS, counts)))
    figures = [
        power(runs, seed),
        requests_needed(runs, seed),
        *family_errors(runs, seed),
        repeated_looks(runs // 4, seed),
    ]
    for figure in figures:
        print(
            f"{figure.what}: {figure.value:.3f} (goal: {'at least' if figure.at_least else 'at most'} {figure.goal:g})"
        )
    for world, by_fraction in zip(WORLDS, counts, strict=True):
        figures += world_figures(world, by_fraction)
    missed = [figure for figure in figures if not figure.is_reached(runs, options.tolerance)]
    for figure in missed:
        print(f"goal missed: {figure.what} is {figure.value:.3f}, goal {figure.goal:g}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
