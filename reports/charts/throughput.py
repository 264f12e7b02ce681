"""Chart: requests planned, sent and answered ok per second, and requests in flight."""

from __future__ import annotations

from collections.abc import Sequence

from chainproof.results.exchange import Result
from chainproof.results.settings import PhaseSpan

from ..formatting import quantities
from ..time_series import Span
from .chart import Chart, LegendEntry, build_chart
from .plot import ChartSeries, Panel, Shape, YAxis
from .readout import ReadoutRow
from .timeline import Timeline, build_timeline, resolution_note, time_readout


def throughput(over_time: Sequence[Span], phases: Sequence[PhaseSpan] = ()) -> Chart:
    """The chart: rates in the upper panel, requests in flight in the lower one."""
    timeline = build_timeline(over_time, phases)
    rates: tuple[tuple[str, tuple[int, int], list[float]], ...] = (
        ("sent", (1, 0), [span.rate(span.counts.sent) for span in over_time]),
        ("ok", (1, 0), [span.rate(span.counts.count(Result.OK)) for span in over_time]),
        # Drawn last and dashed, so that the sent rate stays visible where both are equal.
        ("planned", (5, 3), [span.rate(span.counts.planned) for span in over_time]),
    )
    series = _extremes(over_time, timeline) + tuple(
        ChartSeries(shape=Shape.STEPS, colour=name, dash=dash, points=timeline.steps(values, over_time))
        for name, dash, values in rates
    )
    merged = over_time[0].seconds > 1
    in_flight = [float(span.in_flight_max) for span in over_time]
    area = ChartSeries(shape=Shape.AREA, colour="in-flight", opacity=0.6, points=timeline.steps(in_flight, over_time))
    description = (
        f"Requests planned, sent and answered ok per second{resolution_note(over_time)}. Below: the largest number of "
        f"requests in flight at once, {quantities.count(round(max(in_flight)))} at its peak."
        + (" Light: ok answers of the seconds with the fewest and the most of each span." if merged else "")
    )
    return build_chart(
        "throughput",
        "Throughput and requests in flight",
        description,
        _legend(merged=merged),
        lambda width: [
            Panel(
                height=170,
                x=timeline.axis(labelled=False),
                y=YAxis(title="requests per second"),
                series=series,
                bands=timeline.bands(width),
            ),
            Panel(
                height=80,
                x=timeline.axis(),
                y=YAxis(title="requests in flight", few_ticks=True),
                series=(area,),
                bands=timeline.bands(width, labelled=False),
            ),
        ],
        timeline=timeline,
        readout=time_readout(over_time, timeline, _readout_rows(rates, in_flight)),
    )


def _legend(*, merged: bool) -> tuple[LegendEntry, ...]:
    """The legend, with an entry for single seconds where they are merged."""
    return (
        LegendEntry(colour="planned", label="planned", shape="dashes"),
        LegendEntry(colour="sent", label="sent", shape="line"),
        LegendEntry(colour="ok", label="ok answers", shape="line"),
        *([LegendEntry(colour="ok", label="ok answers of single seconds")] if merged else []),
        LegendEntry(colour="in-flight", label="in flight (below)"),
    )


def _extremes(over_time: Sequence[Span], timeline: Timeline) -> tuple[ChartSeries, ...]:
    """The ok answers from the worst to the best second of each span; no area if no seconds are merged."""
    if over_time[0].seconds == 1:
        return ()
    found = [span.extremes(lambda each: float(each.count(Result.OK))) or (0.0, 0.0) for span in over_time]
    lowest = [0.0 if len(span.parts) < span.seconds else low for span, (low, _) in zip(over_time, found, strict=True)]
    points = timeline.steps([high for _, high in found], over_time)
    return (ChartSeries(shape=Shape.AREA, colour="ok", opacity=0.2, points=points, base=(*lowest, lowest[-1])),)


def _readout_rows(
    rates: Sequence[tuple[str, tuple[int, int], list[float]]], in_flight: Sequence[float]
) -> tuple[ReadoutRow, ...]:
    """The rates, and the requests in flight."""
    rows = [ReadoutRow(label=name, colour=name, values=tuple(map(quantities.rate, each))) for name, _, each in rates]
    peaks = tuple(quantities.count(round(each)) for each in in_flight)
    return (*rows, ReadoutRow(label="in flight", colour="in-flight", values=peaks))
