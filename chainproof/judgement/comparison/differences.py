"""The difference of every metric between the runs of two sides, by how the runs were made."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from statistics import fmean

from chainproof.judgement.comparison.change import MetricDifference
from chainproof.judgement.comparison.metrics import METRIC_KINDS, Measurements, Metric
from chainproof.statistics.change_points import segments
from chainproof.statistics.measurements import Measurement, duet_difference
from chainproof.statistics.run_differences import Difference, difference, mean_of_duets, paired_difference


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
    return [_difference(metric, candidates, baselines, design, history) for metric in metrics]


def _difference(
    metric: Metric,
    candidates: Sequence[Measurements],
    baselines: Sequence[Measurements],
    design: Design,
    history: Sequence[Measurements],
) -> MetricDifference:
    """The difference of one metric."""
    candidate, baseline, earlier = (_known(metric, runs) for runs in (candidates, baselines, history))
    complete = len(candidate) == len(candidates) and len(baseline) == len(baselines)
    return MetricDifference(
        metric=metric,
        difference=_DESIGNS[design](candidate, baseline, earlier) if complete else None,
        candidate=fmean(run.value for run in candidate) if candidate else None,
        baseline=fmean(run.value for run in baseline) if baseline else None,
        never_varies=not any(run.parts.any() for run in (*candidate, *baseline)),
    )


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
    candidate: Sequence[Measurement], baseline: Sequence[Measurement], history: Sequence[Measurement]
) -> Difference:
    """Of duets."""
    del history
    return mean_of_duets([duet_difference(*pair) for pair in zip(candidate, baseline, strict=True)])


_DESIGNS = {
    Design.INDEPENDENT: _independent,
    Design.PAIRS: _pairs,
    Design.DUETS: _duets,
    Design.SEARCHES: _independent,
}
