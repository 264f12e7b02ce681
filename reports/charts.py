"""
The charts of a load run: Altair describes them, vl-convert draws them as SVG, nothing is left for a browser to compute.

Colours are variables of the page's style sheet (`var(--ok)`), so that one drawing serves light, dark and paper. No text
of the target's enters a drawing: series go by our own names here, and the page puts its legend beside the chart.
Every chart is drawn twice, for wide and for narrow pages, because text that shrinks with a drawing cannot be read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import altair as alt
import vl_convert

from chainproof.clock import Seconds
from chainproof.judgement.load_summary import LoadSummary
from chainproof.results.exchange import Outcome, Result
from chainproof.results.interval import RequestStats
from chainproof.results.settings import PhaseSpan
from chainproof.statistics.histogram import Histogram

from .formats import formatting
from .time_series import Bin, Span, bins, spans

WIDE, NARROW = 940, 300
"""Widths of the plotting area in pixels, axes not counted."""

MAX_SPANS = 300
"""Points along the time axis; a longer run is merged into as many."""

MAX_SERIES = 7
"""Outcomes that get a colour of their own; beyond that colours cannot be told apart, and the rest share one."""

OTHER = "other"

Row = dict[str, float | str | None]
Drawing = alt.Chart | alt.LayerChart | alt.FacetChart | alt.VConcatChart


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """
    One entry of a legend.
    """

    colour: str
    """A variable of the style sheet, without `--`."""
    label: str
    shape: str = "area"
    """`area`, `line`, `dashes` or `dots`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SvgDrawing:
    """
    What is inside an SVG element, and the box it is drawn in.
    """

    view_box: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """
    A chart as the page takes it.
    """

    name: str
    title: str
    description: str
    """What there is to see, in words: for whoever cannot see it, and for whoever wants to be sure."""
    legend: tuple[LegendEntry, ...]
    wide: SvgDrawing
    narrow: SvgDrawing


Palette = dict[Outcome, str]
"""The colour of every outcome, the same in all charts of a page."""


def palette(outcomes: Iterable[Outcome]) -> Palette:
    """
    Colours for outcomes, given the most frequent first: ok has its own, the others take theirs in order.
    """
    colours: Palette = {}
    for outcome in outcomes:
        if outcome.result is Result.OK:
            colours[outcome] = "ok"
        elif outcome not in colours:
            taken = len(set(colours.values()) - {"ok", OTHER})
            colours[outcome] = f"c{taken + 1}" if taken < MAX_SERIES else OTHER
    return colours


def charts(summary: LoadSummary, colours: Palette) -> list[Chart]:
    """
    Every chart that the run has something to show in.
    """
    if not summary.seconds:
        return []
    over_time = spans(summary.seconds, MAX_SPANS)
    phases = [found.phase for found in summary.phases]
    drawn = (
        latency_over_time(over_time, phases),
        distribution(summary.judged, formatting.judged_phases_note(summary)),
        throughput(over_time, phases),
        outcomes_over_time(over_time, summary, colours, phases),
    )
    return [chart for chart in drawn if chart is not None]


# ------------------------------------------------------------------ response time over time

PERCENTILES: tuple[tuple[str, float, str, list[int]], ...] = (
    ("p50", 0.5, "line", [1, 0]),
    ("p95", 0.95, "dashes", [6, 2]),
    ("p99", 0.99, "dots", [2, 2]),
)
"""Name, fraction, and how the line is drawn: in a legend, and in pixels on and off."""

_FEW_SPANS = 60
"""Up to here every point is marked; beyond, only those without a neighbour, which no line would show."""


def latency_over_time(over_time: Sequence[Span], phases: Sequence[PhaseSpan] = ()) -> Chart | None:
    """
    Percentiles of the ok answers' response time, span by span.
    """
    times = [span.interval.response_time[Result.OK] for span in over_time]
    highest = [value for each in times if (value := each.quantile(0.99)) is not None]
    if not highest:
        return None
    unit = _unit(max(highest))
    timeline = _timeline(over_time, phases)
    rows = [
        row
        for name, fraction, *_ in PERCENTILES
        for row in _percentile_rows(name, fraction, over_time, unit, timeline.clock)
    ]
    description = (
        f"p50, p95 and p99 response time of ok answers{_grain(over_time)}. The p99 lies between "
        f"{formatting.time(min(highest))} and {formatting.time(max(highest))}."
    )
    legend = tuple(LegendEntry(colour=name, label=name, shape=shape) for name, _, shape, _ in PERCENTILES)
    return _chart(
        "latency",
        "Response time over time",
        description,
        legend,
        lambda width: _latency_drawing(rows, unit, timeline, width),
        timeline=timeline,
    )


def _percentile_rows(name: str, fraction: float, over_time: Sequence[Span], unit: Unit, clock: Unit) -> list[Row]:
    """
    One percentile at the middle of every span, None where there was no ok answer.
    """
    values = [span.interval.response_time[Result.OK].quantile(fraction) for span in over_time]
    rows: list[Row] = []
    for place, (span, value) in enumerate(zip(over_time, values, strict=True)):
        alone = all(
            near is None for near in (values[place - 1 : place] or [None]) + (values[place + 1 : place + 2] or [None])
        )
        marked = value is not None and (alone or len(over_time) <= _FEW_SPANS)
        rows.append(
            {
                "x": (span.start + span.end) / 2 / clock.seconds,
                "y": None if value is None else value / unit.seconds,
                "series": name,
                "marked": 1 if marked else 0,
            }
        )
    return rows


def _latency_drawing(rows: list[Row], unit: Unit, timeline: Timeline, width: int) -> Drawing:
    """
    Three lines from zero.
    """
    names = [name for name, *_ in PERCENTILES]
    x = _time_axis(timeline)
    encoding = {
        "x": x,
        "y": alt.Y("y:Q", title=f"response time ({unit.name})", scale=alt.Scale(zero=True)),
        "color": _colour("series", {name: name for name in names}),
    }
    dashes = alt.StrokeDash(
        "series:N", scale=alt.Scale(domain=names, range=[dash for *_, dash in PERCENTILES]), legend=None
    )
    base = alt.Chart(_inline(rows))
    lines = base.mark_line(strokeWidth=2).encode(strokeDash=dashes, **encoding)
    points = base.transform_filter("datum.marked == 1").mark_point(size=22, filled=True, opacity=1).encode(**encoding)
    return _phased([lines, points], x, timeline, width).properties(width=width, height=_height(width, 240))


# ------------------------------------------------------------------ distribution

_MOST_BINS = {WIDE: 80, NARROW: 40}
_LEAST_BINS = 16
_MARKS: tuple[tuple[str, float], ...] = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def distribution(whole: RequestStats, where: str = "") -> Chart | None:
    """
    How the times of ok answers are spread, on a logarithmic axis.
    """
    response, service = whole.response_time[Result.OK], whole.service_time[Result.OK]
    if not response.count or not service.count:
        return None
    description = (
        f"How {formatting.count(response.count)} ok answers{where} are spread over a logarithmic axis, from "
        f"{formatting.time(service.min)} to {formatting.time(response.max)}. Where response time lies to the right of service "
        "time, requests were sent late. The rules mark percentiles of the response time."
    )
    legend = (
        LegendEntry(colour="response", label="response time, from the intended start", shape="line"),
        LegendEntry(colour="service", label="service time, from the actual start"),
    )
    return _chart(
        "distribution",
        "Distribution of times",
        description,
        legend,
        lambda width: _distribution_drawing(response, service, width),
    )


_LEAST: Seconds = 1e-6
"""The left end of a logarithmic axis at the earliest: it has no zero."""


def _distribution_drawing(response: Histogram, service: Histogram, width: int) -> Drawing:
    """
    Service time as an area, response time as a line, percentiles as rules.
    """
    low = max(min(response.min_value, service.min_value), _LEAST)
    high = max(response.max_value, service.max_value, low)
    # A few per cent of air at both ends; a constant time would otherwise leave no axis at all.
    low, high = low / 1.03, high * 1.03
    x = alt.X(
        "x:Q",
        title="time (logarithmic)",
        scale=alt.Scale(type="log", domain=[low * 1e3, high * 1e3], nice=False),
        axis=alt.Axis(values=_log_ticks(low * 1e3, high * 1e3, width), labelExpr=_MILLISECONDS, grid=False),
    )
    number = min(_MOST_BINS[width], max(_LEAST_BINS, math.isqrt(response.count)))
    area = _steps(bins(service, low, high, number), service.count)
    line = _steps(bins(response, low, high, number), response.count)
    # Room above the highest step for the names of the percentiles.
    ceiling = 1.3 * 100 * max(each.count / response.count for each in bins(response, low, high, number))
    y = alt.Y("y:Q", title="share of ok answers (%)", scale=alt.Scale(domain=[0, ceiling], nice=False))
    layers = (
        alt.Chart(_inline(area))
        .mark_area(interpolate="step-after", color="var(--service)", opacity=0.35)
        .encode(x=x, y=y),
        alt.Chart(_inline(line))
        .mark_line(interpolate="step-after", color="var(--response)", strokeWidth=1.75)
        .encode(x=x, y=y),
        *_percentile_rules(response, low, high, x),
    )
    return alt.layer(*layers).properties(width=width, height=_height(width, 220))


def _steps(bars: Sequence[Bin], total: int) -> list[Row]:
    """
    Bins as the corners of a staircase, in milliseconds and per cent.
    """
    rows: list[Row] = [{"x": each.low * 1e3, "y": 100 * each.count / total} for each in bars]
    return [*rows, {"x": bars[-1].high * 1e3, "y": 0.0}]


def _percentile_rules(response: Histogram, low: Seconds, high: Seconds, x: alt.X) -> list[alt.Chart]:
    """
    A dashed rule at each percentile, its name beside it, one below the other so that near ones stay readable.
    """
    layers: list[alt.Chart] = []
    for place, (name, fraction) in enumerate(_MARKS):
        value = max(response.quantile(fraction) or 0.0, _LEAST)
        rule = alt.Chart(_inline([{"x": value * 1e3, "label": f"{name} {formatting.time(value)}"}]))
        # In the right half of the axis a name stands to the left of its rule, or it would run out of the picture.
        right = value * value > low * high
        name_mark = rule.mark_text(
            align="right" if right else "left",
            dx=-4 if right else 4,
            y=6 + 14 * place,
            color="var(--ink)",
            fontSize=11,
        )
        layers += [
            rule.mark_rule(color="var(--muted)", strokeDash=[3, 3]).encode(x=x),
            name_mark.encode(x=x, text="label:N"),
        ]
    return layers


_MILLISECONDS = (
    "datum.value < 0.9995 ? format(datum.value * 1000, '.3~g') + ' µs' : "
    "datum.value < 999.5 ? format(datum.value, '.3~g') + ' ms' : format(datum.value / 1000, '.3~g') + ' s'"
)


def _log_ticks(low: float, high: float, width: int) -> list[float]:
    """
    Round numbers between two ends of a logarithmic axis: 1, 2 and 5 times powers of ten, or what is left of them.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    found = [tick for tick in ticks if low <= tick <= high]
    if len(found) < 3:
        found = [float(f"{low + (high - low) * part / 4:.3g}") for part in range(1, 4)]
    most = 12 if width == WIDE else 6
    return found if len(found) <= most else [tick for tick in found if f"{tick:e}".startswith("1")]


# ------------------------------------------------------------------ throughput and requests in flight


def throughput(over_time: Sequence[Span], phases: Sequence[PhaseSpan] = ()) -> Chart:
    """
    What was planned, sent and answered ok per second, and how many requests were in flight.
    """
    timeline = _timeline(over_time, phases)
    rates = {
        "sent": [span.rate(span.interval.sent) for span in over_time],
        "ok": [span.rate(span.interval.count(Result.OK)) for span in over_time],
        # Drawn last, dashed: what was sent shows through wherever the two are the same.
        "planned": [span.rate(span.interval.planned) for span in over_time],
    }
    rows = [row for name, values in rates.items() for row in _staircase(name, values, over_time, timeline.clock)]
    flying = [float(span.interval.in_flight_max) for span in over_time]
    below = _staircase("in-flight", flying, over_time, timeline.clock)
    description = (
        f"Requests planned, sent and answered ok per second{_grain(over_time)}; below, the most requests in flight at "
        f"once, {formatting.count(round(max(flying)))} at the highest."
    )
    legend = (
        LegendEntry(colour="planned", label="planned", shape="dashes"),
        LegendEntry(colour="sent", label="sent", shape="line"),
        LegendEntry(colour="ok", label="ok answers", shape="line"),
        LegendEntry(colour="in-flight", label="in flight (below)"),
    )
    return _chart(
        "throughput",
        "Throughput and requests in flight",
        description,
        legend,
        lambda width: _throughput_drawing(rows, below, timeline, width),
        timeline=timeline,
    )


def _throughput_drawing(rows: list[Row], below: list[Row], timeline: Timeline, width: int) -> Drawing:
    """
    Three rates above, requests in flight below, one time axis.
    """
    names = ["sent", "ok", "planned"]
    dashes = alt.StrokeDash("series:N", scale=alt.Scale(domain=names, range=[[1, 0], [1, 0], [5, 3]]), legend=None)
    bare, labelled = _time_axis(timeline, labelled=False), _time_axis(timeline)
    above = (
        alt.Chart(_inline(rows))
        .mark_line(interpolate="step-after", strokeWidth=1.75)
        .encode(
            x=bare,
            y=alt.Y("y:Q", title="requests per second", scale=alt.Scale(zero=True)),
            color=_colour("series", {name: name for name in names}),
            strokeDash=dashes,
        )
    )
    in_flight = (
        alt.Chart(_inline(below))
        .mark_area(interpolate="step-after", color="var(--in-flight)", opacity=0.6)
        .encode(x=labelled, y=alt.Y("y:Q", title="requests in flight", axis=_few_ticks()))
    )
    top = _phased([above], bare, timeline, width)
    bottom = _phased([in_flight], labelled, timeline, width, named=False)
    return alt.vconcat(
        top.properties(width=width, height=_height(width, 170)),
        bottom.properties(width=width, height=_height(width, 80)),
        spacing=24,
    )


# ------------------------------------------------------------------ outcomes over time


def outcomes_over_time(
    over_time: Sequence[Span], summary: LoadSummary, colours: Palette, phases: Sequence[PhaseSpan] = ()
) -> Chart | None:
    """
    Outcomes per second stacked: all of them above, those that are not ok below on an axis of their own.
    """
    ordered = list(dict.fromkeys(colours[row.outcome] for row in summary.outcomes))
    if not ordered:
        return None
    ordered.sort(key=lambda colour: (colour != "ok", colour == OTHER))
    timeline = _timeline(over_time, phases)
    layers = {colour: _rates_of(colour, over_time, colours) for colour in ordered}
    everything = _stacked(layers, over_time, timeline.clock)
    amiss = {colour: rates for colour, rates in layers.items() if colour != "ok"}
    below = _stacked(amiss, over_time, timeline.clock)
    lost = sum(row.count for row in summary.outcomes if row.outcome.result is not Result.OK)
    description = f"Requests by outcome per second{_grain(over_time)}, stacked. " + (
        f"Below, the {formatting.count(lost)} that did not end ok, on an axis of their own."
        if lost
        else "All ended ok."
    )
    return _chart(
        "outcomes",
        "Outcomes over time",
        description,
        _outcome_legend(summary, colours),
        lambda width: _outcomes_drawing(everything, below, ordered, timeline, width),
        timeline=timeline,
    )


def _rates_of(colour: str, over_time: Sequence[Span], colours: Palette) -> list[float]:
    """
    How often per second the outcomes of one colour came up, span by span.
    """
    return [
        span.rate(sum(count for outcome, count in span.interval.outcomes.items() if colours[outcome] == colour))
        for span in over_time
    ]


def _outcome_legend(summary: LoadSummary, colours: Palette) -> tuple[LegendEntry, ...]:
    """
    A colour and what it stands for, the most frequent first.
    """
    labels: dict[str, str] = {}
    for row in summary.outcomes:
        colour = colours[row.outcome]
        labels.setdefault(colour, "ok" if colour == "ok" else formatting.shortened(formatting.outcome(row.outcome), 60))
    if OTHER in labels:
        labels[OTHER] = "other outcomes"
    return tuple(LegendEntry(colour=colour, label=label) for colour, label in labels.items())


def _stacked(layers: dict[str, list[float]], over_time: Sequence[Span], clock: Unit) -> list[Row]:
    """
    Rates on top of each other, as corners of staircases.
    """
    floor = [0.0] * len(over_time)
    rows: list[Row] = []
    for name, rates in layers.items():
        top = [low + rate for low, rate in zip(floor, rates, strict=True)]
        lows = _staircase(name, floor, over_time, clock)
        rows += [row | {"y0": low["y"]} for row, low in zip(_staircase(name, top, over_time, clock), lows, strict=True)]
        floor = top
    return rows


def _outcomes_drawing(
    everything: list[Row], below: list[Row], colours: list[str], timeline: Timeline, width: int
) -> Drawing:
    """
    The whole above; below, where anything went wrong, the part that is not ok.
    """
    colour = _colour("series", {name: name for name in colours})

    def panel(rows: list[Row], title: str, height: int, *, last: bool, first: bool) -> Drawing:
        x = _time_axis(timeline, labelled=last)
        drawn = _phased([_areas(rows, title, colour, x)], x, timeline, width, named=first)
        return drawn.properties(width=width, height=_height(width, height))

    if not below:
        return panel(everything, "requests per second", 170, first=True, last=True)
    return alt.vconcat(
        panel(everything, "all, per second", 130, first=True, last=False),
        panel(below, "not ok, per second", 110, first=False, last=True),
        spacing=24,
    )


def _areas(rows: list[Row], title: str, colour: alt.Color, x: alt.X) -> alt.Chart:
    """
    Stacked staircases.
    """
    y = alt.Y("y:Q", title=title, scale=alt.Scale(zero=True), axis=_few_ticks())
    areas: alt.Chart = alt.Chart(_inline(rows)).mark_area(interpolate="step-after", line=False)
    return areas.encode(x=x, y=y, y2="y0:Q", color=colour)


# ------------------------------------------------------------------ phases

_DRAWN = re.compile(r"[\w .+-]{1,24}")
"""A phase name that is drawn: a plain word. Any other stands in the page's table alone."""

_LETTER = 6.5
"""Pixels that a letter of a phase's name takes."""


def _phased(
    layers: list[alt.Chart], x: alt.X, timeline: Timeline, width: int, *, named: bool = True
) -> alt.LayerChart | alt.FacetChart:
    """
    Layers over shaded bands where nothing is judged, with a rule where a phase begins and its name where there is room.
    """
    scale = timeline.clock.seconds
    marks: list[Row] = [
        {
            "x": phase.start / scale,
            "x2": min(phase.end / scale, timeline.end),
            "judged": 1 if phase.judged else 0,
            "label": phase.name if named and _fits(phase, timeline, width) else "",
        }
        for phase in timeline.phases
        if phase.start / scale < timeline.end
    ]
    if not marks:
        return alt.layer(*layers)
    base = alt.Chart(_inline(marks))
    bands = base.transform_filter("datum.judged == 0").mark_rect(color="var(--band)").encode(x=x, x2="x2:Q")
    rules = base.transform_filter("datum.x > 0").mark_rule(color="var(--muted)", strokeDash=[2, 3]).encode(x=x)
    names = base.transform_filter("datum.label != ''").mark_text(
        align="left", baseline="bottom", dx=3, y=-1, color="var(--muted)", fontSize=11
    )
    return alt.layer(bands, *layers, rules, names.encode(x=x, text="label:N"))


def _fits(phase: PhaseSpan, timeline: Timeline, width: int) -> bool:
    """
    Whether a phase's name can stand above its stretch of the axis.
    """
    shown = min(phase.end / timeline.clock.seconds, timeline.end) - phase.start / timeline.clock.seconds
    room = shown / timeline.end * width
    return _DRAWN.fullmatch(phase.name) is not None and len(phase.name) * _LETTER + 6 <= room


# ------------------------------------------------------------------ what all charts share


@dataclass(frozen=True, slots=True)
class Unit:
    """
    A unit of time for an axis.
    """

    name: str
    seconds: Seconds


def _unit(highest: Seconds) -> Unit:
    """
    The unit in which the highest value of an axis is easily read.
    """
    return Unit("s", 1.0) if highest >= 2 else Unit("ms", 1e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """
    The run's own time as an axis: in which unit, how far, and its phases.
    """

    clock: Unit
    end: float
    """Where the axis ends, in the clock's unit."""
    phases: tuple[PhaseSpan, ...]


def _timeline(over_time: Sequence[Span], phases: Sequence[PhaseSpan]) -> Timeline:
    """
    The time axis of a run.
    """
    clock = _clock(over_time)
    return Timeline(clock=clock, end=over_time[-1].end / clock.seconds, phases=tuple(phases))


def _clock(over_time: Sequence[Span]) -> Unit:
    """
    The unit of a run's own time.
    """
    return Unit("min", 60.0) if over_time[-1].end > 300 else Unit("s", 1.0)


def _grain(over_time: Sequence[Span]) -> str:
    """
    How much of the run a point stands for, to be put behind a sentence's subject.
    """
    width = over_time[0].seconds
    return ", second by second" if width == 1 else f", in spans of {width} s whose counts and histograms are merged"


def _staircase(name: str, values: Sequence[float], over_time: Sequence[Span], clock: Unit) -> list[Row]:
    """
    A value for each span as corners of a staircase, which ends where the last span ends.
    """
    rows: list[Row] = [
        {"x": span.start / clock.seconds, "y": value, "series": name}
        for span, value in zip(over_time, values, strict=True)
    ]
    return [*rows, {"x": over_time[-1].end / clock.seconds, "y": values[-1], "series": name}]


def _time_axis(timeline: Timeline, *, labelled: bool = True) -> alt.X:
    """
    The run's own time along the bottom, from its beginning to its end.
    """
    title = f"time since the run began ({timeline.clock.name})" if labelled else None
    return alt.X(
        "x:Q", title=title, scale=alt.Scale(domain=[0, timeline.end], nice=False), axis=_clock_ticks(labelled=labelled)
    )


def _clock_ticks(*, labelled: bool = True) -> alt.Axis:
    """
    Whole seconds or minutes: nothing here is finer.
    """
    return alt.Axis(labels=labelled, tickMinStep=1)


def _few_ticks() -> alt.Axis:
    """
    An axis for a low panel.
    """
    return alt.Axis(tickCount=4)


def _colour(field: str, colours: dict[str, str]) -> alt.Color:
    """
    A colour per series, from the style sheet.
    """
    scale = alt.Scale(domain=list(colours), range=[f"var(--{name})" for name in colours.values()])
    return alt.Color(f"{field}:N", scale=scale, legend=None)


def _inline(rows: list[Row]) -> alt.InlineData:
    """
    Rows as they stand.
    """
    return alt.InlineData(values=rows)


def _height(width: int, wide: int) -> int:
    """
    A little less height where there is less width.
    """
    return wide if width == WIDE else round(wide * 0.85)


def _chart(
    name: str,
    title: str,
    description: str,
    legend: tuple[LegendEntry, ...],
    drawing: Callable[[int], Drawing],
    *,
    timeline: Timeline | None = None,
) -> Chart:
    """
    A chart drawn for both widths; over time, its legend says what is shaded.
    """
    phases = timeline.phases if timeline is not None else ()
    unjudged = [formatting.escape_unprintable(phase.name) for phase in phases if not phase.judged]
    shaded = f" Shaded: what is not judged ({formatting.shortened(', '.join(unjudged), 200)})." if unjudged else ""
    return Chart(
        name=name,
        title=title,
        description=description + shaded,
        legend=(*legend, LegendEntry(colour="band", label="not judged")) if unjudged else legend,
        wide=_picture(drawing(WIDE), _ABOVE_NAMES if phases else _ABOVE),
        narrow=_picture(drawing(NARROW), _ABOVE_NAMES if phases else _ABOVE),
    )


_CONFIG: dict[str, object] = {
    "aria": False,  # the page names and describes each chart as one picture
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": "var(--grid)",
        "labelColor": "var(--muted)",
        "labelFontSize": 11,
        "labelPadding": 6,
        "titleColor": "var(--muted)",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "axisX": {"grid": False, "domain": True, "domainColor": "var(--grid)", "titlePadding": 10, "labelFlush": False},
}

_AXIS_Y: dict[str, object] = {
    # The title of a vertical axis lies above it, where it is read without turning the head.
    "titleAngle": 0,
    "titleAlign": "left",
    "titleAnchor": "end",
    "titleX": 0,
    "titleBaseline": "bottom",
    "tickCount": 5,
    "minExtent": 34,
}


_SVG = re.compile(r'<svg\b[^>]*\bviewBox="(?P<box>[-0-9. ]+)"[^>]*>(?P<body>.*)</svg>\s*', re.DOTALL)


_ABOVE, _ABOVE_NAMES = -12, -26
"""Where the title of a vertical axis stands: above the plot, and above the names of phases."""


def _picture(drawing: Drawing, title: int) -> SvgDrawing:
    """
    A drawing as SVG without its own root: the page gives it one with a name and a description.
    """
    config = _CONFIG | {"axisY": _AXIS_Y | {"titleY": title}}
    specification = drawing.to_dict() | {"config": config, "padding": 4}
    drawn = _SVG.fullmatch(vl_convert.vegalite_to_svg(specification, allowed_base_urls=[]))
    assert drawn is not None, "vl-convert writes one svg element with a viewBox"
    return SvgDrawing(view_box=drawn["box"], body=drawn["body"])
