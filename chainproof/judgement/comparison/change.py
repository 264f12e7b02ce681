"""
What a difference between a candidate and a baseline means, relative to the change that does not matter.

An interval beyond the tolerated band is a change, one inside it is none, and one that overlaps an edge leaves it open. Over all
metrics together a change is claimed wrongly with a probability of at most 2.5 % in each direction (Holm 1979). That there is no
regression needs no correction, since every metric must show it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chainproof.judgement.comparison.metrics import METRIC_KINDS, Metric, MetricKind
from chainproof.statistics.multiple_tests import holm_errors
from chainproof.statistics.run_differences import ERROR, Difference

TOLERANCE = 0.1
"""The relative change of a time or a rate that does not matter, by default."""
SHARE_TOLERANCE = 0.005
"""The change of a share that does not matter, by default: half a percentage point."""
_MOST_PERCENT = 100_000
"""The largest change that is written as a number: runs that tell nearly nothing have intervals up to any number."""


class Change(StrEnum):
    """What became of a metric."""

    IMPROVED = "improved"
    """Better by more than the tolerance."""
    REGRESSED = "regressed"
    """Worse by more than the tolerance."""
    UNCHANGED = "unchanged"
    """Neither better nor worse by more than the tolerance."""
    INCONCLUSIVE = "inconclusive"
    """The runs do not decide which of these it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """The changes that do not matter."""

    relative: float = TOLERANCE
    """Of times and rates; from 0, and less than 1."""
    share: float = SHARE_TOLERANCE
    """Of shares, as a difference."""

    def band(self, kind: MetricKind) -> tuple[float, float]:
        """The differences of measurements between which a change does not matter."""
        if kind.is_share:
            return -self.share, self.share
        return math.log1p(-self.relative), math.log1p(self.relative)

    def size(self, kind: MetricKind) -> float:
        """The size of the smallest change that matters, in the units of `MetricKind.change`."""
        return self.share if kind.is_share else self.relative

    def text(self, kind: MetricKind) -> str:
        """The size of the smallest change that matters: `10 %`, of shares `0.5 pp`."""
        return f"{100 * self.size(kind):g} {'pp' if kind.is_share else '%'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """The change of one metric, in the units of `MetricKind.change`."""

    metric: Metric
    change: Change
    candidate: float | None
    """The figure of the candidate, in its own unit: the mean over its runs, of times and rates the geometric one."""
    baseline: float | None
    size: float | None = None
    """None if a side has too few requests."""
    low: float | None = None
    """The ends of the 95 % interval, see `jointly`; None if the variance from run to run is unknown."""
    high: float | None = None
    jointly: int = 0
    """
    The number of metrics that are judged together, if this leaves open what the metric alone would show. The interval is
    then the wider one that decides.
    """
    differs: bool = False
    """Whether there is a change at all, of whatever size."""
    excludes_regression: bool = False
    """Whether it is not worse by more than the tolerance."""
    smallest_detectable: float | None = None
    """
    The change that would be detected with a probability of 80 %; if the interval is unknown, at least this. None if there
    is none.
    """
    runs_needed: int | None = None
    """Runs per side, or pairs, with which a change as large as the tolerance would be; None: no practical number."""
    history: int = 0
    """Earlier runs that made the interval more precise."""
    decides: bool = True
    """Whether the verdict depends on it."""

    @property
    def kind(self) -> MetricKind:
        """The metric's name and unit."""
        return METRIC_KINDS[self.metric]

    @property
    def is_worse(self) -> bool:
        """Whether the candidate's figure is the worse one."""
        return self.size is not None and (self.size > 0) is not self.kind.higher_is_better


def change_text(size: float, kind: MetricKind) -> str:
    """
    A change with its sign: in per cent, of shares in percentage points.

    >>> change_text(0.1234, METRIC_KINDS[Metric.P50]), change_text(-0.001, METRIC_KINDS[Metric.ERROR_RATE])
    ('+12.3 %', '-0.10 pp')
    >>> change_text(1e9, METRIC_KINDS[Metric.P99])
    '>100,000 %'
    """
    percent = 100 * size
    if kind.is_share:
        return f"{percent:+.2f} pp"
    if abs(percent) < 0.05:
        return "±0 %"
    if percent > _MOST_PERCENT:
        return f">{_MOST_PERCENT:,} %"
    return f"{percent:+.1f} %" if abs(percent) < 99.95 else f"{percent:+,.0f} %"


def interval_text(change: MetricChange) -> str:
    """The 95 % interval of a change, `-1.0 to +2.3 %`; empty if it is unknown."""
    if change.low is None or change.high is None:
        return ""
    low, high = (change_text(end, change.kind) for end in (change.low, change.high))
    return f"{low.rpartition(' ')[0]} to {high}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """A metric with the difference of its measurements; None if a side has too few requests."""

    metric: Metric
    difference: Difference | None
    candidate: float | None = None
    """The mean measurement of the candidate's runs."""
    baseline: float | None = None
    never_varies: bool = False
    """Whether it is the same for every request, such as an error rate without errors: then there is nothing to test."""


def judge_changes(
    differences: Sequence[MetricDifference], tolerance: Tolerance, deciding: Iterable[Metric] = tuple(Metric)
) -> tuple[MetricChange, ...]:
    """The changes of some metrics, judged together. Only the *deciding* ones count for the verdict."""
    decides = frozenset(deciding)
    tested = [each for each in differences if _is_tested(each) and each.metric in decides]
    errors = _errors(tested, tolerance)
    alone = (ERROR / 2, ERROR / 2, ERROR)
    return tuple(
        _change(each, tolerance, errors.get(each.metric, alone), len(tested), decides=each.metric in decides)
        for each in differences
    )


def _is_tested(each: MetricDifference) -> bool:
    """True if a change could be claimed."""
    return each.difference is not None and each.difference.is_known and not each.never_varies


_Errors = tuple[float, float, float]
"""The probabilities of error of the claims that a metric is higher, lower, or different."""


def _errors(tested: Sequence[MetricDifference], tolerance: Tolerance) -> Mapping[Metric, _Errors]:
    """The probabilities of error for each metric, so that all together have `ERROR`."""
    above, below, apart = [], [], []
    for each in tested:
        low, high = tolerance.band(METRIC_KINDS[each.metric])
        found = each.difference
        assert found is not None
        above.append(found.p_value_above(high))
        below.append(found.p_value_below(low))
        apart.append(found.p_value)
    columns = (holm_errors(above, ERROR / 2), holm_errors(below, ERROR / 2), holm_errors(apart, ERROR))
    return dict(zip((each.metric for each in tested), zip(*columns, strict=True), strict=True))


def _change(
    each: MetricDifference, tolerance: Tolerance, errors: _Errors, tests: int, *, decides: bool
) -> MetricChange:
    """The change of one metric."""
    kind, found = METRIC_KINDS[each.metric], each.difference
    candidate, baseline = (None if value is None else kind.value(value) for value in (each.candidate, each.baseline))
    if found is None:
        return MetricChange(
            metric=each.metric,
            change=Change.INCONCLUSIVE,
            candidate=candidate,
            baseline=baseline,
            decides=decides,
        )
    ends = found.interval() if found.is_known else None
    family_error = ERROR / max(tests, 1)
    change, band = _class(kind, found, ends, tolerance.band(kind), errors), tolerance.band(kind)
    excludes_regression = ends is not None and not _reaches_worse(kind, ends, band)
    is_joint = change is Change.INCONCLUSIVE and ends is not None and (ends[0] >= band[1] or ends[1] <= band[0])
    if is_joint:
        ends = found.interval(2 * errors[0])[0], found.interval(2 * errors[1])[1]
    return MetricChange(
        metric=each.metric,
        change=change,
        candidate=candidate,
        baseline=baseline,
        size=kind.change(found.value),
        low=None if ends is None else kind.change(ends[0]),
        high=None if ends is None else kind.change(ends[1]),
        jointly=tests if is_joint else 0,
        differs=found.p_value <= errors[2],
        excludes_regression=excludes_regression,
        smallest_detectable=_smallest_detectable(kind, found, family_error),
        runs_needed=found.runs_needed(band[1], family_error),
        history=found.history,
        decides=decides,
    )


def _smallest_detectable(kind: MetricKind, found: Difference, error: float) -> float | None:
    """The smallest detectable change; None if such runs detect none."""
    size = found.smallest_detectable(error)
    return None if size > (1.0 if kind.is_share else sys.float_info.max) else kind.change(size)


def _class(
    kind: MetricKind,
    found: Difference,
    ends: tuple[float, float] | None,
    band: tuple[float, float],
    errors: _Errors,
) -> Change:
    """The class of a difference with the interval *ends*."""
    if ends is None:
        return Change.INCONCLUSIVE
    if found.p_value_above(band[1]) <= errors[0]:
        return Change.IMPROVED if kind.higher_is_better else Change.REGRESSED
    if found.p_value_below(band[0]) <= errors[1]:
        return Change.REGRESSED if kind.higher_is_better else Change.IMPROVED
    return Change.UNCHANGED if band[0] <= ends[0] and ends[1] <= band[1] else Change.INCONCLUSIVE


def _reaches_worse(kind: MetricKind, ends: tuple[float, float], band: tuple[float, float]) -> bool:
    """True if an interval reaches beyond the worse end of the tolerated band."""
    return ends[0] < band[0] if kind.higher_is_better else ends[1] > band[1]
