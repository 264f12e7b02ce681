"""The comparison of searches: whether the saturation rate has changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, combinations
from statistics import fmean

from chainproof.errors import UsageError
from chainproof.judgement.comparison.change import MetricDifference, Tolerance, judge_changes
from chainproof.judgement.comparison.comparability import ComparisonCaveat, forced_caveat, same_run
from chainproof.judgement.comparison.comparison import Comparison, compare, runs_of_kind
from chainproof.judgement.comparison.differences import Design
from chainproof.judgement.comparison.load_comparison import conclude
from chainproof.judgement.comparison.metrics import Metric
from chainproof.judgement.conformance_summary import ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.summary import Summary
from chainproof.results.search_record import SearchRecord
from chainproof.statistics.run_differences import RunValue, difference

_ERRORS_OF_INTERVAL = 3.92
"""Standard errors between the ends of a 95 % interval."""
_UNKNOWN_ERROR = 0.06
"""The standard error that is assumed if a search does not know an end of its interval: its resolution."""

Side = tuple[Sequence[SearchRecord], Sequence[Summary]]
"""Searches, and the runs that verified their results."""


def compare_searches(
    candidate: Side,
    baseline: Side,
    tolerance: Tolerance,
    *,
    deciding: Iterable[Metric] = tuple(Metric),
    force: bool = False,
) -> Comparison:
    """
    The change of the saturation rate, and the comparison of conformance runs if both sides have some.

    Raises UsageError if the searches or the conformance runs differ, unless *force* makes that a caveat.
    """
    obstacles = list(dict.fromkeys(_obstacles([*baseline[0], *candidate[0]])))
    if obstacles and not force:
        raise UsageError(
            f"the searches cannot be compared: {'; '.join(obstacles)}. Search with the same options, or use --force."
        )
    changes = judge_changes([_rate_difference(candidate[0], baseline[0])], tolerance, deciding)
    candidates, baselines = (_verifications(side) for side in (candidate, baseline))
    conformance = runs_of_kind(ConformanceSummary, candidate[1], baseline[1])
    caveats = list(map(forced_caveat, obstacles))
    caveats += [
        ComparisonCaveat(f"The search {search.path.name} has no result: {search.summary}", "Search again.")
        for search in (*candidate[0], *baseline[0])
        if search.saturation_rate is None
    ]
    caveats += _not_compared((*candidate[1], *baseline[1]), (*candidates, *baselines, *chain(*(conformance or ()))))
    part = conclude(candidates, baselines, changes, tolerance=tolerance, design=Design.SEARCHES, caveats=caveats)
    found = Comparison(
        candidates=tuple(candidate[1]),
        baselines=tuple(baseline[1]),
        load=part,
        conformance=None,
        caveats=part.caveats,
        is_forced=bool(obstacles),
    )
    return (
        found
        if conformance is None
        else _with_conformance(found, compare(*conformance, tolerance=tolerance, force=force))
    )


def _rate_difference(candidate: Sequence[SearchRecord], baseline: Sequence[SearchRecord]) -> MetricDifference:
    """The difference of the saturation rates; unknown if a search has no result."""
    values = [[_value(search) for search in side] for side in (candidate, baseline)]
    rates = [[value for value in side if value is not None] for side in values]
    complete = all(value is not None for side in values for value in side)
    return MetricDifference(
        metric=Metric.THROUGHPUT,
        difference=difference(rates[0], rates[1]) if complete else None,
        candidate=fmean(each.value for each in rates[0]) if rates[0] else None,
        baseline=fmean(each.value for each in rates[1]) if rates[1] else None,
    )


def _with_conformance(found: Comparison, other: Comparison) -> Comparison:
    """The comparison of searches with that of conformance runs."""
    return replace(
        found,
        load=None if other.invalid else found.load,
        conformance=other.conformance,
        caveats=(*found.caveats, *other.caveats),
        invalid=other.invalid,
        is_forced=found.is_forced or other.is_forced,
    )


def _not_compared(summaries: Iterable[Summary], compared: Iterable[Summary]) -> Iterator[ComparisonCaveat]:
    """Runs that are neither part of a search nor conformance runs of both sides."""
    used = {id(each) for each in compared}
    names = [each.run.name for each in summaries if id(each) not in used]
    if names:
        text = f"These runs were not compared, since they are no searches: {', '.join(names)}."
        yield ComparisonCaveat(text, "Name them in a comparison of their own.")


def _verifications(side: Side) -> list[LoadSummary]:
    """The runs that verified the results of the searches of a side."""
    searches, summaries = side
    folders = {search.path for search in searches}
    return [each for each in summaries if isinstance(each, LoadSummary) and each.run.path.parent in folders]


def _value(search: SearchRecord) -> RunValue | None:
    """The logarithm of the saturation rate with its standard error; None without a result."""
    if not search.saturation_rate:
        return None
    low, high = search.interval
    error = math.log(high / low) / _ERRORS_OF_INTERVAL if low and high else _UNKNOWN_ERROR
    return RunValue(math.log(search.saturation_rate), error)


def _obstacles(searches: Sequence[SearchRecord]) -> Iterator[str]:
    """What must be equal and is not, and what must not be equal."""
    for one, other in combinations(searches, 2):
        if one.probes and (one.target, one.probes) == (other.target, other.probes):
            yield same_run(one.path, other.path)
    first = searches[0]
    for other in searches[1:]:
        if other.workload != first.workload:
            yield f"the workloads differ: {first.workload} and {other.workload}"
        if other.objectives != first.objectives:
            yield f"the objectives differ: {', '.join(first.objectives)} and {', '.join(other.objectives)}"
