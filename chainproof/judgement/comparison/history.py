"""The history of workloads: the figures of their runs over time, and where their level changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from chainproof.judgement.comparison.comparability import is_same_workload
from chainproof.judgement.comparison.load_comparison import measured, target_of
from chainproof.judgement.comparison.metrics import METRIC_KINDS, QUANTILES, Measurements, Metric
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.verdict import Verdict
from chainproof.results.manifest import Manifest
from chainproof.results.settings import KnownSettings
from chainproof.statistics.change_points import change_points, detectable_shift

MIN_CHANGE = 0.01
"""A change of level by less than this share is not shown: it is certain only because the runs agree so well."""
MIN_SHARE_CHANGE = 0.0005
"""The same for shares, as a difference."""
MIN_LEFT = 0.25
"""A change of level lasts as long as at least this part of it is left: medians of few runs differ by chance."""
MAX_DISTANCE = 3
"""Changes of several metrics within so many runs are shown as one: the run of a change is known only to about so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRun:
    """One run of a history."""

    path: Path
    """Of the run folder."""
    name: str
    """What the run is called."""
    label: str
    started: str
    verdict: Verdict
    counts: bool
    """Whether its figures count; those of an invalid run do not."""
    values: dict[Metric, float | None]
    """Its figures in their own units; None where it has too few requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChange:
    """A run at which a metric changes to another level."""

    metric: Metric
    place: int
    """The index of the run in the history."""
    before: float
    """The median before, back to the previous change."""
    after: float
    """The median from then on, up to the next change."""
    change: float
    """In the units of `MetricKind.change`."""
    undone: int | None
    """The index of the run from which less than `MIN_LEFT` of the change is left; None if it lasts."""
    latest: float
    """The median since the last change of this metric."""
    left: float
    """The change from *before* to *latest*."""

    @property
    def is_worse(self) -> bool:
        """Whether the new level is the worse one."""
        return (self.change > 0) is not METRIC_KINDS[self.metric].higher_is_better


@dataclass(frozen=True, slots=True, kw_only=True)
class JointChange:
    """Changes of level of several metrics at about the same run, all for the worse or all for the better."""

    changes: tuple[LevelChange, ...]

    @property
    def place(self) -> int:
        """The index of the first run at which a metric changes."""
        return min(each.place for each in self.changes)

    @property
    def is_worse(self) -> bool:
        """Whether the metrics became worse."""
        return self.changes[0].is_worse

    @property
    def undone(self) -> int | None:
        """The index of the run from which it no longer lasts; None if it does."""
        return max((each.undone for each in self.changes if each.undone is not None), default=None)

    @property
    def is_regression(self) -> bool:
        """Whether the metrics became worse and still are."""
        return self.is_worse and self.undone is None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadHistory:
    """The runs of one workload on one target, the oldest first."""

    workload: str
    settings: KnownSettings
    """Of the first run."""
    target: str
    emulated: bool
    runs: tuple[HistoryRun, ...]
    changes: tuple[LevelChange, ...]
    """The latest first."""
    detectable: dict[Metric, float] = field(default_factory=dict)
    """The smallest change of each percentile that would probably have been found: after ÷ before − 1."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that any run has."""
        return tuple(metric for metric in METRIC_KINDS if any(run.values.get(metric) is not None for run in self.runs))

    @property
    def joint_changes(self) -> tuple[JointChange, ...]:
        """The changes of level, those at about the same run together: regressions that last first, then the latest first."""
        groups: list[list[LevelChange]] = []
        for change in sorted(self.changes, key=lambda each: each.place):
            group = next((group for group in groups if _is_joint(group[0], change)), None)
            if group is None:
                groups.append([change])
            else:
                group.append(change)
        order = list(METRIC_KINDS)
        found = [
            JointChange(changes=tuple(sorted(group, key=lambda each: order.index(each.metric)))) for group in groups
        ]
        return tuple(sorted(found, key=lambda each: (not each.is_regression, -each.place)))


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The histories of all workloads in a folder."""

    workloads: tuple[WorkloadHistory, ...]
    """The one with the latest run first."""
    left_out: tuple[str, ...] = ()
    """Runs that are not shown, each with the reason."""


def _is_joint(first: LevelChange, other: LevelChange) -> bool:
    """True if two changes are shown as one."""
    return (
        other.metric is not first.metric
        and other.is_worse is first.is_worse
        and (other.undone is None) is (first.undone is None)
        and other.place - first.place <= MAX_DISTANCE
    )


@dataclass(slots=True)
class _Group:
    """The runs of one workload on one target, with what was measured."""

    manifest: Manifest
    """Of the first run."""
    target: str
    runs: list[tuple[HistoryRun, Measurements]]


def history(summaries: Iterable[LoadSummary], left_out: Sequence[str] = ()) -> History:
    """The history of runs, grouped by plan, machine and target. Summaries are read one at a time and not kept."""
    groups: list[_Group] = []
    for summary in summaries:
        manifest, target = summary.run.manifest, target_of(summary)
        group = next((g for g in groups if g.target == target and is_same_workload(g.manifest, manifest)), None)
        if group is None:
            group = _Group(manifest, target, [])
            groups.append(group)
        group.runs.append(_run(summary))
    for group in groups:
        group.runs.sort(key=lambda pair: pair[0].started)
    groups.sort(key=lambda group: group.runs[-1][0].started, reverse=True)
    return History(workloads=tuple(map(_workload, groups)), left_out=tuple(left_out))


def _run(summary: LoadSummary) -> tuple[HistoryRun, Measurements]:
    """A run with its measurements."""
    manifest, found = summary.run.manifest, measured(summary)
    run = HistoryRun(
        path=summary.run.path,
        name=summary.run.name,
        label=manifest.label,
        started=manifest.started,
        verdict=summary.verdict,
        counts=summary.verdict not in (Verdict.INVALID, Verdict.ERROR),
        values={
            metric: None if each is None else METRIC_KINDS[metric].value(each.value) for metric, each in found.items()
        },
    )
    return run, found


def _workload(group: _Group) -> WorkloadHistory:
    """The history of one workload."""
    changes = [change for metric in METRIC_KINDS for change in _changes(metric, group.runs)]
    return WorkloadHistory(
        workload=group.manifest.name,
        settings=group.manifest.known_settings,
        target=group.manifest.target,
        emulated=group.manifest.emulated,
        runs=tuple(run for run, _ in group.runs),
        changes=tuple(sorted(changes, key=lambda each: -each.place)),
        detectable=dict(_detectable(group.runs)),
    )


def _detectable(runs: Sequence[tuple[HistoryRun, Measurements]]) -> Iterator[tuple[Metric, float]]:
    """The smallest change of each percentile that would probably have been found."""
    for metric in QUANTILES:
        values = [each.value for run, found in runs if run.counts and (each := found.get(metric)) is not None]
        shift = detectable_shift(values)
        if shift is not None:
            yield metric, METRIC_KINDS[metric].change(max(shift, math.log1p(MIN_CHANGE)))


def _changes(metric: Metric, runs: Sequence[tuple[HistoryRun, Measurements]]) -> Iterator[LevelChange]:
    """Where the level of a metric changes noticeably."""
    values = [
        (place, each.value)
        for place, (run, found) in enumerate(runs)
        if run.counts and (each := found.get(metric)) is not None
    ]
    numbers = [value for _, value in values]
    points = [0, *change_points(numbers)]
    levels = [median(numbers[start:end]) for start, end in pairwise([*points, len(numbers)])] if numbers else []
    kind = METRIC_KINDS[metric]
    least = MIN_SHARE_CHANGE if kind.is_share else math.log1p(MIN_CHANGE)
    for number, (before, after) in enumerate(pairwise(levels), start=1):
        if abs(after - before) < least:
            continue
        left = [(level - before) / (after - before) for level in levels[number:]]
        undone = next((place for place, part in enumerate(left, start=number) if part < MIN_LEFT), None)
        yield LevelChange(
            metric=metric,
            place=values[points[number]][0],
            before=kind.value(before),
            after=kind.value(after),
            change=kind.change(after - before),
            undone=None if undone is None else values[points[undone]][0],
            latest=kind.value(levels[-1]),
            left=kind.change(levels[-1] - before),
        )
