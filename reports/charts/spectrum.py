"""Chart: the response time at every percentile that the sample supports, with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainproof.clock import Seconds
from chainproof.judgement.latency import SpectrumPoint

from ..formatting import quantities
from .axis_ticks import MIN_TIME, log_ticks
from .chart import Chart, LegendEntry, build_chart
from .plot import NARROW, WIDE, ChartSeries, Panel, Scale, Shape, XAxis, YAxis
from .readout import Readout, ReadoutRow

_TICKS = {WIDE: (1.0, 2.0, 4.0, 10.0, 20.0, 100.0, 1000.0, 10000.0), NARROW: (2.0, 10.0, 100.0, 1000.0, 10000.0)}


def percentile_spectrum(points: Sequence[SpectrumPoint], count: int, scope: str = "") -> Chart | None:
    """
    The chart of *count* ok answers, or None for a sample that supports fewer than two percentiles.

    *scope* says which requests are counted, to follow "ok answers".
    """
    if len(points) < 2:
        return None
    last = points[-1]
    description = (
        f"Response time of ok answers{scope} by percentile; each step to the right has fewer slower answers. The band is the "
        f"95 % interval. It ends at {percentile_name(last.fraction)}, which rests on the {quantities.count(last.slower)} slowest "
        "answers: beyond it, the run has too few answers for an interval."
    )
    return build_chart(
        "spectrum",
        "Percentile spectrum",
        description,
        (
            LegendEntry(colour="response", label="response time of ok answers", shape="line"),
            LegendEntry(colour="interval", label="95 % interval"),
        ),
        lambda width: [_panel(points, _axis(last, count, width))],
        readout=_readout(points, _axis(last, count, WIDE)),
    )


def _axis(last: SpectrumPoint, count: int, width: int) -> XAxis:
    """The axis up to the last percentile, with the number of slower answers below each label."""
    high = _place(last) * 1.05
    ticks = tuple(tick for tick in _TICKS[width] if tick <= high)
    return XAxis(
        title="percentile, and the number of slower answers",
        low=1.0,
        high=high,
        scale=Scale.PERCENTILE,
        ticks=ticks,
        notes=tuple(quantities.count(count - math.ceil((1 - 1 / tick) * count - 1e-9)) for tick in ticks),
    )


def percentile_name(fraction: float) -> str:
    """
    The name of a percentile.

    >>> [percentile_name(fraction) for fraction in (0.5, 0.999, 0.9999, 0.98222)]
    ['p50', 'p99.9', 'p99.99', 'p98.22']
    """
    return f"p{float(f'{100 * fraction:.2f}'):g}"


def _place(point: SpectrumPoint) -> float:
    """Where a percentile is on the axis."""
    return 1 / (1 - point.fraction)


def _milliseconds(time: Seconds) -> float:
    """A time as it is drawn."""
    return max(time, MIN_TIME) * 1e3


def _panel(points: Sequence[SpectrumPoint], axis: XAxis) -> Panel:
    """The interval as a ribbon, the percentiles as a line."""
    low = _milliseconds(min(point.low for point in points)) / 1.1
    high = _milliseconds(max(point.high for point in points)) * 1.1
    ribbon = ChartSeries(
        shape=Shape.RIBBON,
        colour="interval",
        points=tuple((_place(point), _milliseconds(point.high)) for point in points),
        base=tuple(_milliseconds(point.low) for point in points),
    )
    line = tuple((_place(point), _milliseconds(point.value)) for point in points)
    return Panel(
        height=240,
        x=axis,
        y=YAxis(
            title="response time (logarithmic)",
            low=low,
            high=high,
            scale=Scale.TIME,
            ticks=tuple(log_ticks(low, high, 8)),
        ),
        series=(ribbon, ChartSeries(shape=Shape.LINE, colour="response", points=line, width=2)),
    )


def _readout(points: Sequence[SpectrumPoint], axis: XAxis) -> Readout:
    """Value, interval and count of every percentile."""
    return Readout(
        axis=axis,
        places=tuple(map(_place, points)),
        labels=tuple(percentile_name(point.fraction) for point in points),
        rows=(
            ReadoutRow(
                label="response time", colour="response", values=tuple(quantities.time(point.value) for point in points)
            ),
            ReadoutRow(
                label="95 % interval",
                colour="interval",
                values=tuple(f"{quantities.time(point.low)} – {quantities.time(point.high)}" for point in points),
            ),
            ReadoutRow(label="slower answers", values=tuple(quantities.count(point.slower) for point in points)),
        ),
    )
