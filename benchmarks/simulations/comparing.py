"""
Simulate comparisons of two versions and count false alarms and changes that are found.

Each simulated run has one histogram per second, as in its run folder, and goes through the library's own measurement,
difference and judgement, with p50, p95 and p99 judged together. Requests: 50/s for 60 s, lognormal with σ = 0.5. A change counts as found, and
between equal versions as a false alarm, if the comparison says that there is one (`differs`). Between-run noise multiplies all times
of a run by the exponential of a normal deviate. Prints tables for docs/benchmarks.md, and exits with 1 if a goal is missed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from simulated_targets import RATE, Draw, Times, autoregressive, draw_independent, lognormal, waves
from simulation_options import simulation_parser

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
    """How often a metric was reported as different."""
    any_found: int = 0
    regressed: int = 0
    """How often any metric was reported as worse by more than the tolerance of 10 %."""
    passed: int = 0
    """How often every metric was reported as not worse."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Duets:
    """How the two targets of duets behave, and what must be reached."""

    name: str
    draw: Callable[[np.random.Generator, int], Times]
    """Draws pairs of runs: rows 0 and 1 are a pair."""
    power_goal: float | None = None
    has_goal: bool = True
    """Whether false alarms have a goal; not if the runs are too short for their waves."""


def separate_waves(tau: float) -> Callable[[np.random.Generator, int], Times]:
    """Pairs of runs, each with load waves of its own."""
    return lambda source, pairs: waves(tau)(source, 2 * pairs, REQUESTS)


DUETS = (
    Duets(
        name="independent requests",
        draw=lambda source, pairs: draw_independent(source, 2 * pairs, REQUESTS),
        power_goal=0.8,
    ),
    Duets(name="the same load waves of 2 s in both", draw=shared_waves, power_goal=0.8),
    Duets(name="load waves of 0.5 s of their own", draw=separate_waves(0.5)),
    Duets(name="load waves of 2 s of their own", draw=separate_waves(2.0)),
    Duets(name="load waves of 10 s of their own", draw=separate_waves(10.0), has_goal=False),
)


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


def simulate_segments(comparisons: int, source: np.random.Generator) -> dict[tuple[float, int], float]:
    """How often both ends of a level of +10 % that lasts a few runs are found within 2 runs, by noise and length."""
    found: dict[tuple[float, int], float] = {}
    for noise in (0.05, 0.02):
        for length in (3, 5, 8):
            hits = 0
            for _ in range(comparisons):
                start = int(source.integers(15, 40))
                values = noise * source.standard_normal(60)
                values[start : start + length] += SHIFT
                points = change_points(values.tolist())
                hits += all(any(abs(point - end) <= 2 for point in points) for end in (start, start + length))
            found[noise, length] = hits / comparisons
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


def show(name: str, equal: Counts, slower: Counts) -> None:
    """Print a row of the table."""
    print(row(name, equal, slower), flush=True)


def show_runs(comparisons: int, limit: float, source: np.random.Generator) -> Iterator[str]:
    """Independent runs, and runs of a target that changes slowly. Yields the missed goals."""
    print("\n".join(HEADER))
    draws = {cell.draw: None for cell in CELLS}
    pools = {draw: list(runs_of(draw, 2 * RUNS * comparisons, source)) for draw in draws}
    for cell in CELLS:
        equal, slower = simulate(cell, pools[cell.draw], comparisons, source)
        show(cell.name, equal, slower)
        yield from missed(cell.name, equal, slower, cell.power_goal, limit)
    for design, name in (
        (Design.PAIRS, "drift, pairs (ABBA)"),
        (Design.INDEPENDENT, "drift, one side after the other"),
    ):
        equal, slower = simulate_drift(design, pools[draw_independent], comparisons, source)
        show(name, equal, slower)
        if design is Design.PAIRS:
            yield from missed(name, equal, slower, None, limit)


def show_duets(comparisons: int, limit: float, source: np.random.Generator) -> Iterator[str]:
    """Duets. Yields the missed goals."""
    print("\n".join(HEADER))
    for duets in DUETS:
        name = f"one duet, noise 10 %: {duets.name}"
        equal, slower = simulate_duets(duets.draw, comparisons, source)
        show(name, equal, slower)
        if duets.has_goal:
            yield from missed(name, equal, slower, duets.power_goal, limit)


def show_errors(comparisons: int, limit: float, source: np.random.Generator) -> Iterator[str]:
    """Error rates. Yields the missed goal."""
    alarms, found = simulate_errors(comparisons, source)
    print(f"error rates of 1 %: false alarms {alarms:.3f}; 2 % found in {found:.2f}")
    if alarms > limit:
        yield f"error rates: false alarms {alarms:.3f}"


def show_history(comparisons: int, limit: float, source: np.random.Generator) -> Iterator[str]:
    """Changes of level in a history. Yields the missed goals."""
    points = simulate_history(comparisons, source)
    print("change points of 60 runs: " + ", ".join(f"{place}: {value:.3f}" for place, value in points.items()))
    segments = simulate_segments(comparisons, source)
    print(
        "levels of +10 % for a few runs: "
        + ", ".join(f"{noise:.0%}/{runs}: {value:.3f}" for (noise, runs), value in segments.items())
    )
    if (points[None] or 0.0) > limit:
        yield f"history: false alarms {points[None]:.3f}"
    for place in (10, 20, 30, 40, 50):
        if points[place] < 0.8:
            yield f"history: step at run {place} found in {points[place]:.2f}"


PARTS: dict[str, Callable[[int, float, np.random.Generator], Iterator[str]]] = {
    "runs": show_runs,
    "duets": show_duets,
    "errors": show_errors,
    "history": show_history,
}
"""The parts of the simulation, each with what runs it."""


def generator(part: str, seed: int) -> np.random.Generator:
    """The random numbers of a part, so that it gives the same alone and with the others."""
    # The first part came before the others were divided from it, and its figures are to stay repeatable.
    return np.random.default_rng(seed if part == "runs" else [seed, *part.encode()])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulation. Returns 1 if a goal is missed."""
    parser = simulation_parser(__doc__, "comparisons", "comparisons per cell")
    parser.add_argument("--only", choices=tuple(PARTS), nargs="+", default=tuple(PARTS), help="parts of the simulation")
    options = parser.parse_args(arguments)
    count = options.comparisons
    limit = 0.05 + options.tolerance * math.sqrt(0.05 * 0.95 / count)
    misses: list[str] = []
    for name in options.only:
        misses += PARTS[name](count, limit, generator(name, options.seed))
    for text in misses:
        print(f"goal missed: {text}")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
