"""
Simulate comparisons of two versions and count false alarms and changes that are found.

Each simulated run has one histogram per second, as in its run folder, and goes through the library's own measurement,
difference and judgement, with p50, p95 and p99 judged together. Requests: 50/s for 60 s, lognormal with σ = 0.5. A change counts as found, and
between equal versions as a false alarm, if the comparison says that there is one (`differs`). Between-run noise multiplies all times
of a run by the exponential of a normal deviate. Prints tables for docs/benchmarks.md, and exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from simulated_targets import RATE, Draw, Times, autoregressive, draw_independent, lognormal, waves

from chainproof.judgement.comparison.change import Change, MetricChange, Tolerance, judge_changes
from chainproof.judgement.comparison.differences import Design, metric_differences
from chainproof.judgement.comparison.metrics import QUANTILES, Measurements, Metric
from chainproof.statistics.change_points import change_points
from chainproof.statistics.histogram import Histogram
from chainproof.statistics.measurements import Measurement, log_quantile, share

REQUESTS = 3000
HISTORY = 10
RUNS = 5
SHIFT = math.log(1.1)
_CHUNK = 200

Floats = NDArray[np.float64]


def measured(times: Floats) -> Measurements:
    """A run as its run folder has it, measured."""
    seconds = []
    for row in times.reshape(-1, RATE):
        second = Histogram()
        second.record_all(row)
        seconds.append(second)
    return {metric: log_quantile(seconds, fraction) for metric, fraction in QUANTILES.items()}


def runs_of(draw: Draw, count: int, source: np.random.Generator) -> Iterator[Measurements]:
    """Simulated runs."""
    for start in range(0, count, _CHUNK):
        yield from map(measured, draw(source, min(_CHUNK, count - start), REQUESTS))


def shifted(run: Measurements, by: float) -> Measurements:
    """A run whose times are all multiplied by exp(*by*)."""
    return {metric: each and replace(each, value=each.value + by) for metric, each in run.items()}


@dataclass(slots=True, kw_only=True)
class Counts:
    """What the comparisons of one cell gave."""

    comparisons: int = 0
    found: dict[Metric, int]
    """How often a metric was said to differ."""
    any_found: int = 0
    regressed: int = 0
    """How often any metric was said to be worse by more than the tolerance of 10 %."""
    passed: int = 0
    """How often every metric was said not to be."""

    def add(self, changes: Sequence[MetricChange]) -> None:
        """Count a comparison."""
        self.comparisons += 1
        for each in changes:
            self.found[each.metric] += each.differs
        self.any_found += any(each.differs for each in changes)
        self.regressed += any(each.change is Change.REGRESSED for each in changes)
        self.passed += all(each.excludes_regression for each in changes)

    def share(self, count: int) -> float:
        """A part of the comparisons."""
        return count / self.comparisons


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row of the table: how the runs are, and what must be reached."""

    name: str
    draw: Draw
    noise: float = 0.0
    runs: int = RUNS
    history: int = HISTORY
    power_goal: float | None = 0.8
    """The least share in which a shift by 10 % must be found, for p50 and p95."""

    def deviate(self, source: np.random.Generator) -> float:
        """The deviation of one run."""
        return self.noise * float(source.standard_normal())


CELLS = (
    Cell(name="independent requests", draw=draw_independent),
    Cell(name="load waves of 2 s", draw=waves(2.0), power_goal=None),
    Cell(name="between-run noise 3 %", draw=draw_independent, noise=0.03),
    Cell(name="between-run noise 5 %", draw=draw_independent, noise=0.05, power_goal=None),
    Cell(name="between-run noise 10 %", draw=draw_independent, noise=0.10, power_goal=None),
    Cell(name="noise 3 %, without history", draw=draw_independent, noise=0.03, history=0),
    Cell(name="noise 10 %, without history", draw=draw_independent, noise=0.10, history=0, power_goal=None),
    Cell(name="noise 3 %, one run a side and history", draw=draw_independent, noise=0.03, runs=1, power_goal=None),
)


def compare(
    candidates: Sequence[Measurements],
    baselines: Sequence[Measurements],
    design: Design = Design.INDEPENDENT,
    history: Sequence[Measurements] = (),
) -> tuple[MetricChange, ...]:
    """A comparison by the library."""
    return judge_changes(metric_differences(candidates, baselines, design=design, history=history), Tolerance())


def simulate(cell: Cell, pool: Sequence[Measurements], comparisons: int, source: np.random.Generator) -> list[Counts]:
    """What a cell gives between equal versions, and if the candidate is 10 % slower."""
    counts = [Counts(found=dict.fromkeys(QUANTILES, 0)) for _ in range(2)]
    order = iter(source.permutation(len(pool)))
    for _ in range(comparisons):
        sides = [[shifted(pool[next(order)], cell.deviate(source)) for _ in range(cell.runs)] for _ in range(2)]
        history = values_only(cell, source)
        for count, shift in zip(counts, (0.0, SHIFT), strict=True):
            candidates = [shifted(run, shift) for run in sides[0]]
            count.add(compare(candidates, sides[1], history=history))
    return counts


def values_only(cell: Cell, source: np.random.Generator) -> list[Measurements]:
    """The history of a cell: of earlier runs only the values are used."""
    if not cell.history:
        return []
    nothing = np.zeros(0)
    times = np.sort(np.log(cell.draw(source, cell.history, REQUESTS)), axis=1)
    deviates = [cell.deviate(source) for _ in times]
    return [
        {
            metric: Measurement(float(row[math.ceil(fraction * REQUESTS) - 1]) + deviate, 0.0, nothing)
            for metric, fraction in QUANTILES.items()
        }
        for row, deviate in zip(times, deviates, strict=True)
    ]


def shared_waves(source: np.random.Generator, pairs: int) -> Times:
    """Pairs of runs with the same load waves of 2 s, half of the variance: rows 0 and 1 are a pair."""
    load = np.repeat(autoregressive(source, pairs, REQUESTS, math.exp(-1.0 / (RATE * 2.0))), 2, axis=0)
    return lognormal((load + source.standard_normal(load.shape)) * math.sqrt(0.5))


DUETS: tuple[tuple[str, Callable[[np.random.Generator, int], Times], float | None], ...] = (
    ("independent requests", lambda source, pairs: draw_independent(source, 2 * pairs, REQUESTS), 0.8),
    ("the same load waves of 2 s in both", shared_waves, 0.8),
    ("load waves of 2 s of their own", lambda source, pairs: waves(2.0)(source, 2 * pairs, REQUESTS), None),
)
"""What is different in duets, how pairs of runs are drawn, and the least power."""


def simulate_duets(
    draw: Callable[[np.random.Generator, int], Times], comparisons: int, source: np.random.Generator
) -> list[Counts]:
    """One duet each, with between-run noise of 10 % that both runs share."""
    counts = [Counts(found=dict.fromkeys(QUANTILES, 0)) for _ in range(2)]
    for start in range(0, comparisons, _CHUNK):
        times = draw(source, min(_CHUNK, comparisons - start))
        for pair in times.reshape(-1, 2, REQUESTS):
            noise = 0.1 * source.standard_normal()
            candidate, baseline = (shifted(measured(row), noise) for row in pair)
            for count, shift in zip(counts, (0.0, SHIFT), strict=True):
                count.add(compare([shifted(candidate, shift)], [baseline], Design.DUETS))
    return counts


def simulate_drift(
    design: Design, pool: Sequence[Measurements], comparisons: int, source: np.random.Generator
) -> list[Counts]:
    """Noise of 3 % that keeps 90 % from run to run: one side after the other, or pairs in the order ABBA."""
    counts = [Counts(found=dict.fromkeys(QUANTILES, 0)) for _ in range(2)]
    order = iter(source.permutation(len(pool)))
    drifts = 0.03 * autoregressive(source, comparisons, 2 * RUNS, 0.9)
    places = np.arange(2 * RUNS)
    is_first = places < RUNS if design is Design.INDEPENDENT else np.isin(places % 4, (0, 3))
    for drift in drifts:
        runs = [shifted(pool[next(order)], float(by)) for by in drift]
        candidates, baselines = ([runs[place] for place in places[side]] for side in (is_first, ~is_first))
        for count, shift in zip(counts, (0.0, SHIFT), strict=True):
            count.add(compare([shifted(run, shift) for run in candidates], baselines, design))
    return counts


def simulate_errors(comparisons: int, source: np.random.Generator) -> tuple[float, float]:
    """Error rates of 1 % that vary by 30 % from run to run: found between equal versions, and if the candidate has 2 %."""
    found = [0, 0]
    for _ in range(comparisons):
        for place, rate in enumerate((0.01, 0.02)):
            sides = [
                [_errors(source, mean * math.exp(0.3 * source.standard_normal())) for _ in range(RUNS)]
                for mean in (rate, 0.01)
            ]
            found[place] += compare(*sides)[0].differs
    return found[0] / comparisons, found[1] / comparisons


def _errors(source: np.random.Generator, rate: float) -> Measurements:
    """The error rate of a run."""
    seconds = REQUESTS // RATE
    return {Metric.ERROR_RATE: share(source.binomial(RATE, rate, seconds).tolist(), [RATE] * seconds)}


def simulate_history(comparisons: int, source: np.random.Generator) -> dict[int | None, float]:
    """How often a series of 60 runs with noise of 5 % shows a change point; and within 3 runs of a step of 10 % at some place."""
    found: dict[int | None, float] = {}
    for place in (None, 5, 10, 20, 30, 40, 50, 55):
        hits = 0
        for _ in range(comparisons):
            values = 0.05 * source.standard_normal(60)
            if place is not None:
                values[place:] += SHIFT
            points = change_points(values.tolist())
            hits += bool(points) if place is None else any(abs(point - place) <= 3 for point in points)
        found[place] = hits / comparisons
    return found


def row(name: str, equal: Counts, slower: Counts) -> str:
    """A row of the table."""
    shares = [
        *(f"{equal.share(count):.3f}" for count in (*equal.found.values(), equal.any_found, equal.regressed)),
        f"{equal.share(equal.passed):.2f}",
        *(f"{slower.share(count):.2f}" for count in slower.found.values()),
    ]
    return f"| {name} | " + " | ".join(shares) + " |"


HEADER = (
    "| runs | p50 | p95 | p99 | any | regressed | passed | p50 +10 % | p95 +10 % | p99 +10 % |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


def missed(name: str, equal: Counts, slower: Counts, power: float | None, limit: float) -> Iterator[str]:
    """The goals that a cell misses: false alarms, and power at p50 and p95."""
    alarms = equal.share(equal.any_found)
    if alarms > limit:
        yield f"{name}: false alarms {alarms:.3f}, goal at most 0.05"
    for metric in (Metric.P50, Metric.P95) if power is not None else ():
        share_found = slower.share(slower.found[metric])
        if share_found < (power or 0.0):
            yield f"{name}: {metric} found in {share_found:.2f}, goal at least {power:g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulation. Returns 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--comparisons", type=int, default=2000, metavar="N", help="comparisons per cell (default: 2000)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="N",
        help="standard errors by which a false-alarm rate may miss its goal, for few comparisons (default: 0)",
    )
    options = parser.parse_args(arguments)
    count, source = options.comparisons, np.random.default_rng(options.seed)
    limit = 0.05 + options.tolerance * math.sqrt(0.05 * 0.95 / count)
    misses: list[str] = []
    print("\n".join(HEADER))

    def show(name: str, equal: Counts, slower: Counts, power: float | None) -> None:
        print(row(name, equal, slower), flush=True)
        misses.extend(missed(name, equal, slower, power, limit))

    pools = {draw: list(runs_of(draw, 2 * RUNS * count, source)) for draw in {cell.draw: None for cell in CELLS}}
    for cell in CELLS:
        show(cell.name, *simulate(cell, pools[cell.draw], count, source), cell.power_goal)
    for design, name in (
        (Design.PAIRS, "drift, pairs (ABBA)"),
        (Design.INDEPENDENT, "drift, one side after the other"),
    ):
        equal, slower = simulate_drift(design, pools[draw_independent], count, source)
        print(row(name, equal, slower), flush=True)
        if design is Design.PAIRS:
            misses += missed(name, equal, slower, None, limit)
    for name, draw, power in DUETS:
        show(f"one duet, noise 10 %: {name}", *simulate_duets(draw, count, source), power)
    alarms, found = simulate_errors(count, source)
    print(f"error rates of 1 %: false alarms {alarms:.3f}; 2 % found in {found:.2f}")
    misses += [f"error rates: false alarms {alarms:.3f}"] if alarms > limit else []
    points = simulate_history(count, source)
    print("change points of 60 runs: " + ", ".join(f"{place}: {value:.3f}" for place, value in points.items()))
    misses += [f"history: false alarms {points[None]:.3f}"] if (points[None] or 0.0) > limit else []
    misses += [
        f"history: step at run {at} found in {points[at]:.2f}" for at in (10, 20, 30, 40, 50) if points[at] < 0.8
    ]
    for text in misses:
        print(f"goal missed: {text}")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
