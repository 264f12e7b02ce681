"""Chart: how many ok answers took how long, over time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chainproof.clock import PerSecond, Seconds
from chainproof.results.settings import PhaseSpan
from chainproof.statistics.histogram import Histogram, merge_histograms

from ..formatting import quantities
from ..time_series import Span, bins
from .axis_ticks import log_ticks, range_of
from .chart import Chart, LegendEntry, build_chart
from .plot import NARROW, WIDE, Cell, Panel, Scale, YAxis
from .readout import Readout, ReadoutRow
from .timeline import Timeline, build_timeline, time_readout

_COLUMNS = {WIDE: 120, NARROW: 50}
_ROWS = 28
_COLOURS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """A cell with answers."""

    start: int
    end: int
    times: tuple[Seconds, Seconds]
    rate: PerSecond


def heat_map(over_time: Sequence[Span], phases: Sequence[PhaseSpan] = ()) -> Chart | None:
    """The chart, or None for a run with fewer than two spans or without ok answers."""
    times = [span.ok_times for span in over_time]
    total = merge_histograms(times)
    if len(over_time) < 2 or not total.count:
        return None
    low, high = range_of([total])
    timeline = build_timeline(over_time, phases)
    limits = _limits(_filled(over_time, low, high, WIDE))
    description = (
        f"Ok answers per second by response time, from {quantities.time(total.min)} to {quantities.time(total.max)}. The "
        "stronger a colour, the more answers. Two separate bands are two kinds of answers, which a percentile does not show."
    )
    return build_chart(
        "heat-map",
        "All response times over time",
        description,
        tuple(
            LegendEntry(colour=f"heat-{level}", label=f"up to {quantities.rate(limit)}")
            for level, limit in zip(_levels(limits), limits, strict=True)
        ),
        lambda width: [_panel(_filled(over_time, low, high, width), limits, timeline, (low, high), width)],
        timeline=timeline,
        readout=_readout(over_time, times, timeline),
    )


def _filled(over_time: Sequence[Span], low: Seconds, high: Seconds, width: int) -> list[_Filled]:
    """The cells with answers, row by row."""
    step = -(-len(over_time) // _COLUMNS[width])
    rows: list[list[_Filled]] = [[] for _ in range(_ROWS)]
    for first in range(0, len(over_time), step):
        column = over_time[first : first + step]
        start, end = column[0].start, column[-1].end
        for row, each in zip(
            rows, bins(merge_histograms(span.ok_times for span in column), low, high, _ROWS), strict=True
        ):
            if each.count:
                rate = each.count / (end - start)
                row.append(_Filled(start=start, end=end, times=(each.low, each.high), rate=rate))
    return [cell for row in rows for cell in row]


def _limits(cells: Sequence[_Filled]) -> list[PerSecond]:
    """The upper limits of the levels: the highest rates below equal steps on a logarithmic scale."""
    rates = sorted({cell.rate for cell in cells})
    least, most = rates[0], rates[-1]
    number = min(_COLOURS, int(most / least + 1e-9))
    steps = [most * (least / most) ** ((number - level) / number) for level in range(1, number + 1)]
    return sorted({rates[max(bisect_right(rates, step * (1 + 1e-9)) - 1, 0)] for step in steps})


def _levels(limits: Sequence[PerSecond]) -> range:
    """The numbers of the colours; the last limit has the strongest."""
    return range(_COLOURS - len(limits) + 1, _COLOURS + 1)


def _panel(
    cells: Sequence[_Filled],
    limits: Sequence[PerSecond],
    timeline: Timeline,
    times: tuple[Seconds, Seconds],
    width: int,
) -> Panel:
    """The cells, with the times on a logarithmic axis."""
    low, high = (1e3 * time for time in times)
    ticks = tuple(log_ticks(low, high, 8))
    return Panel(
        height=220,
        x=timeline.axis(),
        y=YAxis(title="response time (logarithmic)", low=low, high=high, scale=Scale.TIME, ticks=ticks),
        series=(),
        bands=timeline.bands(width),
        cells=tuple(_cells(cells, limits, timeline)),
    )


def _cells(cells: Sequence[_Filled], limits: Sequence[PerSecond], timeline: Timeline) -> Iterator[Cell]:
    """The cells as they are drawn: neighbours in time of one colour are one rectangle."""
    levels, unit, drawn = _levels(limits), timeline.unit.seconds, None
    for cell in cells:
        level = min(bisect_left(limits, cell.rate * (1 - 1e-9)), len(limits) - 1)
        x, y = (cell.start / unit, cell.end / unit), (1e3 * cell.times[0], 1e3 * cell.times[1])
        colour = f"heat-{levels[level]}"
        if drawn is not None and (drawn.x[1], drawn.y, drawn.colour) == (x[0], y, colour):
            drawn = Cell(x=(drawn.x[0], x[1]), y=y, colour=colour)
            continue
        if drawn is not None:
            yield drawn
        drawn = Cell(x=x, y=y, colour=colour)
    if drawn is not None:
        yield drawn


def _readout(over_time: Sequence[Span], times: Sequence[Histogram], timeline: Timeline) -> Readout:
    """The number of answers of every span, and their range."""
    rows = (
        ReadoutRow(label="ok answers", values=tuple(quantities.count(each.count) for each in times)),
        ReadoutRow(label="fastest", values=tuple(quantities.time(each.min) for each in times)),
        ReadoutRow(label="median", values=tuple(quantities.time(each.quantile(0.5)) for each in times)),
        ReadoutRow(label="slowest", values=tuple(quantities.time(each.max) for each in times)),
    )
    return time_readout(over_time, timeline, rows)
