"""The difference of every metric between the runs of two sides, by how the runs were made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from statistics import fmean

from chainproof.clock import Seconds
from chainproof.judgement.comparison.change import MetricDifference
from chainproof.judgement.comparison.metrics import METRIC_KINDS, Measurements, Metric
from chainproof.statistics.change_points import segments
from chainproof.statistics.measurements import Measurement, duet_correlation_time, duet_difference
from chainproof.statistics.run_differences import Difference, difference, mean_of_duets, paired_difference

_Combine = Callable[[Sequence[Measurement], Sequence[Measurement], Sequence[Measurement]], Difference]
"""The difference of the measurements of candidates and baselines, given those of earlier runs."""


class Design(StrEnum):
    """How the runs of the two sides belong together."""

    INDEPENDENT = "independent"
    """They do not."""
    PAIRS = "pairs"
    """Each candidate run has a baseline run that was made next to it."""
    DUETS = "duets"
    """Each candidate run has a baseline run that received the same plan in the same seconds."""
    SEARCHES = "searches"
    """They are the results of searches for the saturation rate, independent of each other."""


def metric_differences(
    candidates: Sequence[Measurements],
    baselines: Sequence[Measurements],
    *,
    design: Design = Design.INDEPENDENT,
    history: Sequence[Measurements] = (),
) -> list[MetricDifference]:
    """
    The difference of every metric that the runs have.

    With pairs and duets, runs at the same place belong together. *history* are earlier runs, the oldest first.
    """
    metrics = [metric for metric in METRIC_KINDS if all(metric in run for run in (*candidates, *baselines))]
    combine = _combination(design, candidates, baselines)
    return [_difference(metric, candidates, baselines, combine, history) for metric in metrics]


def _difference(
    metric: Metric,
    candidates: Sequence[Measurements],
    baselines: Sequence[Measurements],
    combine: _Combine,
    history: Sequence[Measurements],
) -> MetricDifference:
    """The difference of one metric."""
    candidate, baseline, earlier = (_known(metric, runs) for runs in (candidates, baselines, history))
    complete = len(candidate) == len(candidates) and len(baseline) == len(baselines)
    return MetricDifference(
        metric=metric,
        difference=combine(candidate, baseline, earlier) if complete else None,
        candidate=fmean(run.value for run in candidate) if candidate else None,
        baseline=fmean(run.value for run in baseline) if baseline else None,
        never_varies=_never_varies((*candidate, *baseline)),
    )


def _never_varies(runs: Sequence[Measurement]) -> bool:
    """True if a figure is the same in all runs, and in every second of them."""
    return len({run.value for run in runs}) == 1 and not any(run.parts.any() for run in runs)


def _known(metric: Metric, runs: Sequence[Measurements]) -> list[Measurement]:
    """The measurements of one metric, without those of runs with too few requests."""
    return [found for run in runs for found in [run.get(metric)] if found is not None]


def _independent(
    candidate: Sequence[Measurement], baseline: Sequence[Measurement], history: Sequence[Measurement]
) -> Difference:
    """Of independent runs. Where the history changes its level, the runs before and after are groups of their own."""
    return difference(candidate, baseline, segments([run.value for run in history]))


def _pairs(
    candidate: Sequence[Measurement], baseline: Sequence[Measurement], history: Sequence[Measurement]
) -> Difference:
    """Of pairs."""
    del history  # what pairs share is not in their differences
    return paired_difference(list(zip(candidate, baseline, strict=True)))


def _duets(
    candidate: Sequence[Measurement],
    baseline: Sequence[Measurement],
    history: Sequence[Measurement],
    *,
    correlation_times: Sequence[Seconds],
) -> Difference:
    """Of duets, each with its correlation time."""
    del history
    duets = zip(candidate, baseline, correlation_times, strict=True)
    return mean_of_duets([duet_difference(one, other, correlation_time=time) for one, other, time in duets])


def correlation_times_of_duets(candidates: Sequence[Measurements], baselines: Sequence[Measurements]) -> list[Seconds]:
    """For how long a target of each duet is slow while the other is not."""
    return list(map(_correlation_time, candidates, baselines))


def _correlation_time(candidate: Measurements, baseline: Measurements) -> Seconds:
    """The correlation time of one duet."""
    pairs = [(found, baseline.get(metric)) for metric, found in candidate.items()]
    return duet_correlation_time([(one, other) for one, other in pairs if one is not None and other is not None])


def _combination(design: Design, candidates: Sequence[Measurements], baselines: Sequence[Measurements]) -> _Combine:
    """What makes a difference of the measurements of one metric."""
    if design is Design.PAIRS:
        return _pairs
    if design is Design.DUETS:
        return partial(_duets, correlation_times=correlation_times_of_duets(candidates, baselines))
    return _independent
