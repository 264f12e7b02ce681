"""Chart: the figures of the runs of a workload over time, with their levels."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from chainproof.judgement.comparison.history import LevelChange, WorkloadHistory
from chainproof.judgement.comparison.metrics import METRIC_KINDS, QUANTILES, Metric

from ..formatting import quantities, safe_text
from .chart import Chart, LegendEntry, build_chart
from .plot import ChartSeries, Panel, Point, Rule, Shape, XAxis, YAxis
from .readout import Readout, ReadoutRow
from .timeline import axis_unit

_TIMES = tuple(QUANTILES)


def history_chart(found: WorkloadHistory) -> Chart | None:
    """The chart, or None for fewer than two runs with a figure."""
    numbers = [place for place, run in enumerate(found.runs) if run.values.get(Metric.P50) is not None]
    if len(numbers) < 2:
        return None
    description = (
        f"p50, p95 and p99 of the response time and the error rate of {len(found.runs)} runs, numbered from the oldest one. Lines are "
        "the medians between changes of level; a vertical line marks a change. Invalid runs are drawn and do not count."
    )
    legend = (
        *(LegendEntry(colour=metric.value, label=METRIC_KINDS[metric].title, shape="dots") for metric in _TIMES),
        LegendEntry(colour="failed", label="error rate (below)", shape="dots"),
    )
    panels = _panels(found)
    return build_chart(
        "history", "Runs over time", description, legend, lambda _: panels, readout=_readout(found, panels[-1].x)
    )


def _readout(found: WorkloadHistory, axis: XAxis) -> Readout:
    """The figures of each run."""
    times = tuple(
        ReadoutRow(
            label=METRIC_KINDS[metric].title,
            colour=metric.value,
            values=tuple(quantities.time(run.values.get(metric)) for run in found.runs),
        )
        for metric in _TIMES
    )
    errors = (run.values.get(Metric.ERROR_RATE) for run in found.runs)
    shares = tuple(quantities.NOTHING if share is None else quantities.percent(share) for share in errors)
    started = (run.started[:16].replace("T", " ") for run in found.runs)
    return Readout(
        axis=axis,
        places=tuple(place + 1.0 for place in range(len(found.runs))),
        labels=tuple(
            safe_text.escape_unprintable(f"run {number}, {start}") for number, start in enumerate(started, start=1)
        ),
        rows=(*times, ReadoutRow(label="error rate", colour="failed", values=shares)),
    )


def _panels(found: WorkloadHistory) -> list[Panel]:
    """Response times, and the error rate below them."""
    highest = max((run.values.get(metric) or 0.0 for run in found.runs for metric in _TIMES), default=0.0)
    unit = axis_unit(highest)
    rows = (
        (260, f"response time ({unit.name})", [(metric, metric.value, 1.0 / unit.seconds) for metric in _TIMES], None),
        (110, "error rate (%)", [(Metric.ERROR_RATE, "failed", 100.0)], "run"),
    )
    panels = []
    for height, axis, metrics, title in rows:
        rules = _rules(found.changes, [metric for metric, _, _ in metrics])
        panels.append(
            Panel(
                height=height,
                x=XAxis(title=title, low=0.5, high=len(found.runs) + 0.5),
                y=YAxis(title=axis, few_ticks=height < 200, high=_end_of_axis(found, metrics, is_labelled=bool(rules))),
                series=tuple(
                    each for metric, colour, scale in metrics for each in _series(found, metric, colour, scale)
                ),
                rules=rules,
            )
        )
    return panels


def _end_of_axis(
    found: WorkloadHistory, metrics: Sequence[tuple[Metric, str, float]], *, is_labelled: bool
) -> float | None:
    """The end of the axis: with room for labels above the values; None: the values decide."""
    highest = max((scale * (run.values.get(metric) or 0.0) for run in found.runs for metric, _, scale in metrics))
    if not highest:
        return 1.0  # an axis must not end where it starts
    return 1.25 * highest if is_labelled else None


def _series(found: WorkloadHistory, metric: Metric, colour: str, scale: float) -> list[ChartSeries]:
    """A dot for each run, and the levels; without a change of level, the median of the runs that count."""
    values = [(place + 1.0, run.values.get(metric)) for place, run in enumerate(found.runs)]
    dots: list[Point] = [(place, value * scale) for place, value in values if value is not None]
    changes = sorted((each for each in found.changes if each.metric is metric), key=lambda each: each.place)
    starts = [0.5, *(each.place + 0.5 for each in changes), len(found.runs) + 0.5]
    levels = [changes[0].before, *(each.after for each in changes)] if changes else _median(found, metric)
    line = [(start, level * scale) for start, level in zip(starts, [*levels, *levels[-1:]], strict=False)]
    return [ChartSeries(shape=Shape.STEPS, colour=colour, points=tuple(line), width=1.5, dots=tuple(dots))]


def _median(found: WorkloadHistory, metric: Metric) -> list[float]:
    """The median of the runs that count; empty if none has the metric."""
    values = [value for run in found.runs if run.counts and (value := run.values.get(metric)) is not None]
    return [median(values)] if values else []


def _rules(changes: Sequence[LevelChange], metrics: Sequence[Metric]) -> tuple[Rule, ...]:
    """A line at each place where one of the metrics changes."""
    places = sorted({each.place for each in changes if each.metric in metrics})
    return tuple(Rule(x=place + 0.5, label=f"run {place + 1}") for place in places)
