"""Changes of metrics in words and numbers, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from chainproof.judgement.comparison.change import Change, MetricChange, Tolerance, change_text, interval_text
from chainproof.judgement.comparison.differences import Design
from chainproof.judgement.comparison.load_comparison import LoadComparison
from chainproof.judgement.comparison.metrics import Metric, MetricKind
from chainproof.judgement.summary import Summary

from ..formatting import quantities, runs, safe_text

COLUMNS = ("metric", "result", "change", "95 % interval", "baseline", "candidate", "detectable", "runs")
"""The columns of `row`."""

LEGEND = (
    "p50, p95, p99: the response time within which 50, 95 and 99 % of the ok answers came. Result: the change, compared with the tolerance. 95 % interval: the true change is in it, except in one comparison of 20. "
    "Detectable: the smallest change that such runs detect with a probability of 80 %. Runs: how many runs of each version (or "
    "pairs of runs) detect a change as large as the tolerance with that probability."
)
UNKNOWN = "unknown"


def row(change: MetricChange, tolerance: Tolerance) -> tuple[str, ...]:
    """The cells of one metric."""
    title = change.kind.title + ("" if change.decides else " †")
    return (
        title,
        result(change),
        amount(change.size, change.kind),
        interval(change),
        figure(change.metric, change.kind, change.baseline),
        figure(change.metric, change.kind, change.candidate),
        detectable(change),
        runs_needed(change, tolerance),
    )


def figure(metric: Metric, kind: MetricKind, value: float | None) -> str:
    """A figure in its own unit."""
    if value is None or kind.is_share:
        return quantities.NOTHING if value is None else quantities.percent(value)
    return quantities.rate(value) if metric is Metric.THROUGHPUT else quantities.time(value)


def amount(size: float | None, kind: MetricKind) -> str:
    """A change with its sign; a dash for None."""
    return quantities.NOTHING if size is None else change_text(size, kind)


def interval(change: MetricChange) -> str:
    """The 95 % interval of a change."""
    return interval_text(change) or (UNKNOWN if change.size is not None else quantities.NOTHING)


def result(change: MetricChange) -> str:
    """The class of a change; if it is inconclusive, what is known nevertheless."""
    if change.change is not Change.INCONCLUSIVE:
        return change.change.value
    if change.size is None:
        return "too few"
    return "not worse" if change.excludes_regression else change.change.value


def detectable(change: MetricChange) -> str:
    """The smallest detectable change."""
    if change.smallest_detectable is None:
        return quantities.NOTHING
    least = "" if change.low is not None else "> "
    return least + amount(change.smallest_detectable, change.kind).lstrip("+")


def runs_needed(change: MetricChange, tolerance: Tolerance) -> str:
    """The number of runs that detect a change as large as the tolerance."""
    if change.size is None or not tolerance.size(change.kind):
        return quantities.NOTHING
    if change.runs_needed is None:
        return "> 1,000"
    least = "" if change.low is not None else "≥ "
    return f"{least}{quantities.count(change.runs_needed)}"


def sentence(change: MetricChange, tolerance: Tolerance) -> str:
    """What became of a metric and how certain it is, in a sentence; empty if nothing is known but the ratio."""
    limit = tolerance.text(change.kind)
    if change.size is None:
        return f"{change.kind.title}: a run has too few requests for it."
    found = f"{change.kind.title} changed by {amount(change.size, change.kind)}"
    if change.low is None:
        return ""
    certain = f"{found}, with 95 % certainty between {interval(change).replace(' to ', ' and ')}"
    endings = {
        Change.REGRESSED: f"it is worse by more than {limit}.",
        Change.IMPROVED: f"it is better by more than {limit}.",
        Change.UNCHANGED: f"this is within the tolerance of {limit}.",
    }
    if change.jointly:
        worse = "worse" if change.is_worse else "better"
        return (
            f"{found}, with 95 % certainty for all {change.jointly} metrics together between "
            f"{interval(change).replace(' to ', ' and ')}. Alone it would be {worse} by more than {limit}: `--metric "
            f"{change.metric}`, chosen before the runs, lets it decide alone."
        )
    if change.change in endings:
        return f"{certain}: {endings[change.change]}"
    if change.excludes_regression:
        return f"{certain}: it is not worse by more than {limit}."
    if change.differs and change.is_worse:
        known = "It is worse, but"
    elif change.low <= 0 <= (change.high or 0.0):
        known = "It may be no change, and"
    else:
        known = "Among several metrics one such interval may be chance, and"
    return f"{certain}. {known} whether it is worse by more than {limit} is open."


def sentences(comparison: LoadComparison) -> list[str]:
    """A sentence about each metric that is not unchanged."""
    changes = [each for each in comparison.changes if each.change is not Change.UNCHANGED]
    return [text for each in changes if (text := sentence(each, comparison.tolerance))]


def design(comparison: LoadComparison) -> str:
    """How the runs were compared."""
    history = max((change.history for change in comparison.changes), default=0)
    words = {
        Design.INDEPENDENT: f"independent runs, with {quantities.count(history)} earlier runs for the variance"
        if history
        else "independent runs",
        Design.PAIRS: "pairs of runs",
        Design.SEARCHES: "searches for the saturation rate",
        Design.DUETS: "duets: both targets received the same requests in the same seconds",
    }
    return words[comparison.design]


def tolerance_text(tolerance: Tolerance) -> str:
    """Both tolerances."""
    return (
        f"tolerance {100 * tolerance.relative:g} %, for the error rate and ok of planned {100 * tolerance.share:g} percentage "
        "points (pp)"
    )


def side(summaries: Sequence[Summary]) -> str:
    """The runs of one side in a line: number, target, labels and times."""
    manifests = [each.run.manifest for each in summaries]
    targets = dict.fromkeys("chainproof's emulator" if each.emulated else each.target for each in manifests)
    labels = dict.fromkeys(each.label for each in manifests if each.label)
    first, last = (pick(summaries, key=lambda each: each.run.manifest.started) for pick in (min, max))
    times = dict.fromkeys(runs.started(each.run) for each in (first, last))
    count = f"{len(summaries)} run{'s' * (len(summaries) != 1)}"
    names = "".join(f' "{safe_text.escape_unprintable(text)}"' for text in labels)
    return f"{count}{names}, {' to '.join(times)}, {', '.join(map(safe_text.escape_unprintable, targets))}"
