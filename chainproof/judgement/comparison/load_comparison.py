"""The comparison of load runs: the change of each metric, how certain it is, and what would make it more certain."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chainproof.clock import Seconds, format_duration
from chainproof.errors import UsageError
from chainproof.judgement.comparison.change import (
    Change,
    MetricChange,
    Tolerance,
    change_text,
    interval_text,
    judge_changes,
)
from chainproof.judgement.comparison.comparability import ComparisonCaveat, is_same_workload
from chainproof.judgement.comparison.copied_runs import copies
from chainproof.judgement.comparison.differences import Design, correlation_times_of_duets, metric_differences
from chainproof.judgement.comparison.metrics import Measurements, Metric, measure
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.verdict import Verdict
from chainproof.results.manifest import SeriesKind
from chainproof.statistics.measurements import MIN_SLOW_TIMES

RUNS = 5
"""The number of runs per side that a report recommends, if the number that is needed is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadComparison:
    """Load runs of a candidate, compared with those of a baseline."""

    candidates: tuple[LoadSummary, ...]
    baselines: tuple[LoadSummary, ...]
    tolerance: Tolerance
    design: Design
    changes: tuple[MetricChange, ...]
    """In the order of `METRIC_KINDS`."""
    verdict: Verdict
    reason: str
    """The verdict in a sentence."""
    next_steps: tuple[str, ...]
    """What to do now."""
    caveats: tuple[ComparisonCaveat, ...]


def compare_load(
    candidates: Sequence[LoadSummary],
    baselines: Sequence[LoadSummary],
    *,
    tolerance: Tolerance,
    history: Iterable[LoadSummary] = (),
    deciding: Iterable[Metric] = tuple(Metric),
) -> LoadComparison:
    """The comparison of runs that can be compared."""
    design, pairs, unpaired = _paired(candidates, baselines)
    if design is not Design.INDEPENDENT:
        candidates, baselines = ([pair[side] for pair in pairs] for side in (0, 1))
    sides = [[measured(each) for each in side] for side in (candidates, baselines)]
    earlier = _usable(history, (*candidates, *baselines))
    differences = metric_differences(*sides, design=design, history=[measured(each) for each in earlier])
    return conclude(
        candidates,
        baselines,
        judge_changes(differences, tolerance, deciding),
        tolerance=tolerance,
        design=design,
        caveats=[
            *_unpaired(unpaired),
            *_order(design, candidates, baselines),
            *(_short_duets(candidates, correlation_times_of_duets(*sides)) if design is Design.DUETS else ()),
        ],
    )


def conclude(
    candidates: Sequence[LoadSummary],
    baselines: Sequence[LoadSummary],
    changes: tuple[MetricChange, ...],
    *,
    tolerance: Tolerance,
    design: Design,
    caveats: Iterable[ComparisonCaveat] = (),
) -> LoadComparison:
    """The comparison with its verdict and what to do. Raises UsageError if no change counts for the verdict."""
    if not any(each.decides for each in changes):
        found = ", ".join(each.metric.value for each in changes)
        raise UsageError(
            f"expected --metric with a figure that these runs have ({found}); throughput needs the closed model"
        )
    verdict, reason = _verdict(changes, tolerance, design)
    return LoadComparison(
        candidates=tuple(candidates),
        baselines=tuple(baselines),
        tolerance=tolerance,
        design=design,
        changes=changes,
        verdict=verdict,
        reason=reason,
        next_steps=tuple(_next_steps(verdict, changes, design)),
        caveats=tuple(caveats),
    )


def measured(summary: LoadSummary) -> Measurements:
    """The metrics of one run."""
    return measure(summary.requests, is_closed=summary.run.manifest.known_settings.model == "closed")


_Pairs = list[tuple[LoadSummary, LoadSummary]]


def _paired(
    candidates: Sequence[LoadSummary], baselines: Sequence[LoadSummary]
) -> tuple[Design, _Pairs, list[LoadSummary]]:
    """How the runs belong together, the pairs of candidate and baseline, and runs without a partner."""
    partners = {_place(each): each for each in baselines}
    pairs = [(each, partners[_place(each)]) for each in candidates if _place(each) in partners]
    kinds = {_kind(each) for pair in pairs for each in pair}
    if not pairs or not kinds <= {SeriesKind.INTERLEAVE, SeriesKind.DUET}:
        return Design.INDEPENDENT, [], []
    used = {id(each) for pair in pairs for each in pair}
    unpaired = [each for each in (*candidates, *baselines) if id(each) not in used]
    return (Design.DUETS if kinds == {SeriesKind.DUET} else Design.PAIRS), pairs, unpaired


def _place(summary: LoadSummary) -> tuple[str, int]:
    """The series and the place in it, which both runs of a pair share; the run itself if it belongs to none."""
    series = summary.run.manifest.series
    return (str(summary.run.path), -1) if series is None else (series.id, series.index)


def _kind(summary: LoadSummary) -> SeriesKind | None:
    """The kind of the run's series."""
    series = summary.run.manifest.series
    return None if series is None else series.kind


def _usable(history: Iterable[LoadSummary], runs: Sequence[LoadSummary]) -> list[LoadSummary]:
    """The earlier valid runs of the same workload on one of the same targets, the oldest first; each run once."""
    earlier = list(history)
    known = {path for _, path in copies(each.run for each in (*runs, *earlier))}
    first, targets = runs[-1].run.manifest, {target_of(each) for each in runs}
    found = [
        each
        for each in earlier
        if each.run.path not in known
        and each.verdict not in (Verdict.INVALID, Verdict.ERROR)
        and target_of(each) in targets
        and is_same_workload(first, each.run.manifest)
    ]
    return sorted(found, key=lambda each: each.run.manifest.started)


def target_of(summary: LoadSummary) -> str:
    """The target; the emulator has another port each time."""
    manifest = summary.run.manifest
    return "emulator" if manifest.emulated else manifest.target


def _verdict(changes: Sequence[MetricChange], tolerance: Tolerance, design: Design) -> tuple[Verdict, str]:
    """The verdict, and why: what changed, and how certain it is."""
    deciding = [each for each in changes if each.decides]
    known = [each for each in deciding if each.size is not None]
    regressed = [each for each in deciding if each.change is Change.REGRESSED]
    if regressed:
        return (
            Verdict.FAIL,
            f"Worse by more than the tolerance of {_limits(regressed, tolerance)}: {_amounts(regressed)}.",
        )
    if not known:
        return Verdict.INCONCLUSIVE, "A side has no figure that can be compared, such as too few ok answers."
    if all(each.low is None for each in known):
        found = _amounts([each for each in known if each.size] or known)
        if design is Design.DUETS:
            return Verdict.INCONCLUSIVE, f"The duet is too short to show how much of this is chance: {found}."
        return Verdict.INCONCLUSIVE, (
            f"One run on each side: {found}. How much of this is chance is unknown, because runs of the same version differ, too."
        )
    is_open = [each for each in deciding if not each.excludes_regression]
    if is_open:
        limits = _limits(is_open, tolerance)
        return (
            Verdict.INCONCLUSIVE,
            f"These runs do not show whether the candidate is worse by more than the tolerance of {limits}: {_amounts(is_open)}.",
        )
    improved = [each for each in deciding if each.change is Change.IMPROVED]
    better = f" Better by more than that: {_amounts(improved)}." if improved else ""
    limits = _limits(deciding, tolerance)
    return Verdict.PASS, f"With 95 % certainty, nothing is worse by more than the tolerance of {limits}.{better}"


def _titles(changes: Iterable[MetricChange]) -> str:
    """The names of some metrics."""
    return ", ".join(each.kind.title for each in changes)


def _limits(changes: Iterable[MetricChange], tolerance: Tolerance) -> str:
    """The tolerances that apply to some metrics: `10 % or 0.5 pp`."""
    return " or ".join(dict.fromkeys(tolerance.text(each.kind) for each in changes))


def _amounts(changes: Iterable[MetricChange]) -> str:
    """Some metrics with their changes and intervals: `p50 +12.3 % (95 % interval +9.8 to +14.9 %), p95 +8.0 % (+6.2 to …)`."""
    texts, name = list[str](), "95 % interval "
    for each in changes:
        size = "" if each.size is None else f" {change_text(each.size, each.kind)}"
        interval = interval_text(each)
        texts.append(f"{each.kind.title}{size}" + (f" ({name}{interval})" if interval else ""))
        name = "" if interval else name
    return ", ".join(texts)


def _next_steps(verdict: Verdict, changes: Sequence[MetricChange], design: Design) -> Iterable[str]:
    """What to do after this verdict."""
    if verdict is Verdict.FAIL:
        options = _tolerance_options(each for each in changes if each.decides and each.change is Change.REGRESSED)
        yield f"Do not release the candidate, or accept the change with a higher {options}."
        yield (
            "Find the cause: the report on a run of the candidate (`chainproof reports RUN --html FILE`) has its errors, its "
            "slowest requests, and their request ids."
        )
    if verdict is Verdict.PASS:
        yield "Nothing has to be done. A change smaller than the detectable one may exist all the same."
    if verdict is not Verdict.INCONCLUSIVE:
        return
    is_open = [each for each in changes if each.decides and not each.excludes_regression]
    if any(each.size is None for each in is_open):
        yield f"Make longer runs, or leave these out with --metric: {_titles(each for each in is_open if each.size is None)}."
    measured = [each for each in is_open if each.size is not None]
    if measured and all(each.low is None for each in measured):
        if design is Design.DUETS:
            yield "Make a longer duet: this one does not show how much of the change is chance."
            return
        count = max(RUNS, *(each.runs_needed or 0 for each in measured))
        if design is Design.SEARCHES:
            yield f"Make {count} searches of each version and compare them."
            return
        longer = ", or fewer that are longer" if count > RUNS else ""
        if any(each.runs_needed is None for each in measured):
            count, longer = RUNS, ", which must be longer than these"
        yield f"Make {count} runs of each version{longer}, and compare them: `chainproof loadtests … --repeat {count}`."
        yield "Or, if both versions run at the same time, make one duet: `chainproof loadtests … --duet URL`."
        yield "Or name a folder with earlier runs of this workload: --history DIR."
    elif measured:
        yield _more_runs(measured, design)


def _tolerance_options(changes: Iterable[MetricChange]) -> str:
    """The options for the tolerances of some metrics."""
    options = dict.fromkeys("--share-tolerance" if each.kind.is_share else "--tolerance" for each in changes)
    return " and ".join(options)


_WHAT = {
    Design.INDEPENDENT: "runs of each version",
    Design.PAIRS: "pairs of runs",
    Design.DUETS: "duets",
    Design.SEARCHES: "searches of each version",
}
"""What there can be more of."""
_MANY = 10
"""More runs than this are seldom worth their time."""
_MORE_PRECISE = {
    Design.INDEPENDENT: "make longer runs, use --duet",
    Design.PAIRS: "make longer runs, use --duet",
    Design.DUETS: "make longer duets",
    Design.SEARCHES: "search with a smaller --search-resolution",
}
"""What is more precise than more of them."""


def _more_runs(changes: Sequence[MetricChange], design: Design) -> str:
    """How many runs would decide what is open."""
    needed = [each.runs_needed for each in changes]
    what = _WHAT[design]
    if None in needed:
        return (
            f"More {what} do not decide this in practice: {_MORE_PRECISE[design]}, or allow a higher "
            f"{_tolerance_options(changes)}."
        )
    count = max(number for number in needed if number is not None)
    hardest = _titles(each for each in changes if each.runs_needed == count)
    others = [each for each in changes if each.runs_needed != count]
    fewer = ", ".join(f"{each.kind.title} {each.runs_needed}" for each in others)
    because = f", because of {hardest} ({fewer}; `--metric` chooses what decides)" if others else ""
    fewer_needed = (
        f" To need fewer, {_MORE_PRECISE[design]}, or choose a metric with --metric." if count > _MANY else ""
    )
    return (
        f"Make {count} {what} in all{because}: they detect a change as large as the tolerance with a probability of 80 %. If the true "
        f"change is about as large as the tolerance, the result stays inconclusive.{fewer_needed}"
    )


def _unpaired(summaries: Sequence[LoadSummary]) -> Iterable[ComparisonCaveat]:
    """Runs that were left out."""
    if summaries:
        names = ", ".join(each.run.name for each in summaries)
        yield ComparisonCaveat(
            f"These runs have no partner and were left out: {names}.", "Name both runs of each pair."
        )


def _short_duets(candidates: Sequence[LoadSummary], correlation_times: Sequence[Seconds]) -> Iterable[ComparisonCaveat]:
    """Duets that are too short for the times in which only one of their targets is slow."""
    lengths = [len(each.requests.seconds) for each in candidates]
    times = [time for time, length in zip(correlation_times, lengths, strict=True) if time * MIN_SLOW_TIMES > length]
    if times:
        needed = format_duration(math.ceil(max(times)) * MIN_SLOW_TIMES)
        yield ComparisonCaveat(
            f"The two targets were slow at different times, for about {format_duration(math.ceil(max(times)))} each time. A duet that "
            "has few of these times shows only large changes, and equal versions may differ in more than 5 % of comparisons.",
            f"Make duets of {needed} or longer, or more of them.",
        )


def _order(
    design: Design, candidates: Sequence[LoadSummary], baselines: Sequence[LoadSummary]
) -> Iterable[ComparisonCaveat]:
    """Sides that were measured one after the other."""
    if design is not Design.INDEPENDENT:
        return
    starts = [sorted(each.run.manifest.started for each in side) for side in (candidates, baselines)]
    if starts[0][0] > starts[1][-1] or starts[1][0] > starts[0][-1]:
        yield ComparisonCaveat(
            "All runs of one side were made before those of the other, so whatever else changed in between counts as a change.",
            "If both versions run at the same time, use --interleave or --duet.",
        )
