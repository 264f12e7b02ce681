"""Chart: percentiles of the response time of ok answers over time."""

from __future__ import annotations

from collections.abc import Sequence

from chainproof.results.settings import PhaseSpan

from ..formatting import quantities
from ..time_series import Span
from .chart import Chart, LegendEntry, build_chart
from .plot import ChartSeries, Panel, Point, Shape, YAxis
from .readout import ReadoutRow
from .timeline import Timeline, TimeUnit, axis_unit, build_timeline, resolution_note, time_readout

PERCENTILES: tuple[tuple[str, float, str, tuple[int, int]], ...] = (
    ("p50", 0.5, "line", (1, 0)),
    ("p95", 0.95, "dashes", (6, 2)),
    ("p99", 0.99, "dots", (2, 2)),
)
"""Name, fraction, shape in the legend, pixels on and off."""

_FEW_SPANS = 60
"""Up to here every point is marked; beyond, only points without a neighbour, which a line would not show."""


def latency_over_time(over_time: Sequence[Span], phases: Sequence[PhaseSpan] = ()) -> Chart | None:
    """The chart, or None for a run without ok answers."""
    times = [span.ok_times for span in over_time]
    highest = [value for each in times if (value := each.quantile(0.99)) is not None]
    if not highest:
        return None
    unit, timeline = axis_unit(max(highest)), build_timeline(over_time, phases)
    series = _extremes(over_time, timeline, unit) + tuple(
        _percentile(name, fraction, over_time, dash=dash, unit=unit, x_unit=timeline.unit)
        for name, fraction, _, dash in PERCENTILES
    )
    description = (
        f"p50, p95 and p99 response time of ok answers{resolution_note(over_time)}. The p99 lies between "
        f"{quantities.time(min(highest))} and {quantities.time(max(highest))}."
        + (" Light: p99 of the fastest and of the slowest second of each span." if over_time[0].seconds > 1 else "")
    )
    legend = tuple(LegendEntry(colour=name, label=name, shape=shape) for name, _, shape, _ in PERCENTILES)
    return build_chart(
        "latency",
        "Response time over time",
        description,
        (*legend, LegendEntry(colour="p99", label="p99 of single seconds")) if over_time[0].seconds > 1 else legend,
        lambda width: [
            Panel(
                height=240,
                x=timeline.axis(),
                y=YAxis(title=f"response time ({unit.name})"),
                series=series,
                bands=timeline.bands(width),
            )
        ],
        timeline=timeline,
        readout=time_readout(
            over_time,
            timeline,
            tuple(
                ReadoutRow(
                    label=name, colour=name, values=tuple(quantities.time(each.quantile(fraction)) for each in times)
                )
                for name, fraction, _, _ in PERCENTILES
            ),
        ),
    )


def _extremes(over_time: Sequence[Span], timeline: Timeline, unit: TimeUnit) -> tuple[ChartSeries, ...]:
    """The p99 from the fastest to the slowest second of each span, so that merging seconds hides none; no area without merging."""
    if over_time[0].seconds == 1:
        return ()
    found = [span.extremes(lambda each: each.ok_quantile("p99")) or (0.0, 0.0) for span in over_time]
    base = [low / unit.seconds for low, _ in found]
    points = timeline.steps([high / unit.seconds for _, high in found], over_time)
    return (ChartSeries(shape=Shape.AREA, colour="p99", opacity=0.2, points=points, base=(*base, base[-1])),)


def _percentile(
    name: str, fraction: float, over_time: Sequence[Span], *, dash: tuple[int, int], unit: TimeUnit, x_unit: TimeUnit
) -> ChartSeries:
    """One percentile at the middle of every span, with a gap where there was no ok answer."""
    values = [span.ok_times.quantile(fraction) for span in over_time]
    points: list[Point] = [
        ((span.start + span.end) / 2 / x_unit.seconds, None if value is None else value / unit.seconds)
        for span, value in zip(over_time, values, strict=True)
    ]
    dots = tuple(
        point
        for place, point in enumerate(points)
        if point[1] is not None and (len(points) <= _FEW_SPANS or _is_isolated(values, place))
    )
    return ChartSeries(shape=Shape.LINE, colour=name, points=tuple(points), dash=dash, width=2, dots=dots)


def _is_isolated(values: Sequence[float | None], place: int) -> bool:
    """True if neither neighbour of a point has a value."""
    neighbours = (*values[max(place - 1, 0) : place], *values[place + 1 : place + 2])
    return all(value is None for value in neighbours)
