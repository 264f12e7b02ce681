"""The comparison of searches: whether the saturation rate has changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import fmean

from chainproof.errors import UsageError
from chainproof.judgement.comparison.change import MetricDifference, Tolerance, judge_changes
from chainproof.judgement.comparison.comparability import ComparisonCaveat, forced_caveat, same_run
from chainproof.judgement.comparison.comparison import Comparison
from chainproof.judgement.comparison.differences import Design
from chainproof.judgement.comparison.load_comparison import conclude
from chainproof.judgement.comparison.metrics import Metric
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


def compare_searches(candidate: Side, baseline: Side, tolerance: Tolerance, *, force: bool = False) -> Comparison:
    """The change of the saturation rate. Raises UsageError if the searches differ, unless *force* makes that a caveat."""
    obstacles = list(dict.fromkeys(_obstacles([*baseline[0], *candidate[0]])))
    if obstacles and not force:
        raise UsageError(
            f"the searches cannot be compared: {'; '.join(obstacles)}. Search with the same options, or use --force."
        )
    values = [[_value(search) for search in side] for side in (candidate[0], baseline[0])]
    rates = [[value for value in side if value is not None] for side in values]
    complete = all(value is not None for side in values for value in side)
    changes = judge_changes(
        [
            MetricDifference(
                metric=Metric.THROUGHPUT,
                difference=difference(rates[0], rates[1]) if complete else None,
                candidate=fmean(each.value for each in rates[0]) if rates[0] else None,
                baseline=fmean(each.value for each in rates[1]) if rates[1] else None,
            )
        ],
        tolerance,
    )
    candidates, baselines = (
        [each for each in side[1] if isinstance(each, LoadSummary)] for side in (candidate, baseline)
    )
    caveats = list(map(forced_caveat, obstacles))
    caveats += [
        ComparisonCaveat(f"The search {search.path.name} has no result: {search.summary}", "Search again.")
        for search in (*candidate[0], *baseline[0])
        if search.saturation_rate is None
    ]
    part = conclude(candidates, baselines, changes, tolerance=tolerance, design=Design.SEARCHES, caveats=caveats)
    return Comparison(
        candidates=tuple(candidate[1]),
        baselines=tuple(baseline[1]),
        load=part,
        conformance=None,
        caveats=part.caveats,
        is_forced=bool(obstacles),
    )


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
