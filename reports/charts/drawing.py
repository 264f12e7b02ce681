"""
Draws plots as SVG. The only module that uses the drawing library: Altair describes a plot, vl-convert renders it.

Colours are variables of the page's style sheet (`var(--ok)`), so that one drawing serves light, dark and print. No text
from the target enters a drawing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt
import vl_convert

from .plot import WIDE, Band, Cell, Panel, Rule, Scale, Series, Shape, XAxis, YAxis

Row = dict[str, float | str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SvgDrawing:
    """The content of an SVG element, without the element itself: the page adds it with a title and a description."""

    view_box: str
    body: str


def draw(panels: Sequence[Panel], width: int) -> SvgDrawing:
    """Panels one below the other as SVG, with plotting areas of *width* pixels."""
    data = Datasets({})
    drawings = [_panel(panel, width, data) for panel in panels]
    drawing = drawings[0] if len(drawings) == 1 else alt.vconcat(*drawings, spacing=24)
    config = _CONFIG | {"axisY": _AXIS_Y | {"titleY": _TITLE_ABOVE_LABELS if panels[0].bands else _TITLE}}
    specification = drawing.to_dict() | {"config": config, "padding": 4, "datasets": data.rows}
    svg = _SVG.fullmatch(vl_convert.vegalite_to_svg(specification, allowed_base_urls=[]))
    assert svg is not None, "vl-convert writes one svg element with a viewBox"
    return SvgDrawing(view_box=svg["box"], body=_merge_rectangles(_ROLES.sub("", svg["body"])))


_ROLES = re.compile(r' role="graphics-[a-z]+"| aria-[a-z]+="[^"]*"')
"""The page names a chart as one picture; a part with a role of its own would need a name."""


_RECTANGLES = re.compile(r'(?:<path d="M[^"]*" (fill="[^"]*")/>)(?:<path d="M[^"]*" \1/>)+')
_PATH = re.compile(r'd="([^"]*)"')
_DIGITS = re.compile(r"\.\d{3,}")


def _merge_rectangles(body: str) -> str:
    """The drawing with neighbours of one colour as one path: a heat map has thousands of rectangles."""

    def merged(found: re.Match[str]) -> str:
        paths = "".join(_PATH.findall(found[0]))
        return f'<path d="{_DIGITS.sub(lambda digits: digits[0][:3], paths)}" {found[1]}/>'

    return _RECTANGLES.sub(merged, body)


@dataclass(frozen=True, slots=True)
class Datasets:
    """The rows of a drawing by name. Altair would copy and validate them with every layer, which takes seconds."""

    rows: dict[str, list[Row]]

    def chart(self, rows: list[Row]) -> alt.Chart:
        """A chart over rows."""
        name = f"rows-{len(self.rows)}"
        self.rows[name] = rows
        return alt.Chart(alt.NamedData(name=name))


_SVG = re.compile(r'<svg\b[^>]*\bviewBox="(?P<box>[-0-9. ]+)"[^>]*>(?P<body>.*)</svg>\s*', re.DOTALL)

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
    # The title of a vertical axis stands above it, horizontally, where it is easy to read.
    "titleAngle": 0,
    "titleAlign": "left",
    "titleAnchor": "end",
    "titleX": 0,
    "titleBaseline": "bottom",
    "tickCount": 5,
    "minExtent": 34,
}

_TITLE, _TITLE_ABOVE_LABELS = -12, -26
"""Vertical position of that title: above the plot, and above the labels of phases."""


def _panel(panel: Panel, width: int, data: Datasets) -> alt.LayerChart | alt.FacetChart:
    """One panel: shaded bands at the back, then the series, then rules and labels."""
    x, y = _x_axis(panel.x), _y_axis(panel.y)
    series = [layer for each in panel.series for layer in _series(each, x, y, data)]
    rules = [layer for row, each in enumerate(panel.rules) for layer in _rule(each, panel.x, row, x, data=data)]
    behind, front = _bands(panel.bands, x, data) if panel.bands else ([], [])
    height = panel.height if width == WIDE else round(panel.height * 0.85)
    heat = _cells(panel.cells, x, y, data)
    return alt.layer(*behind, *heat, *series, *rules, *front).properties(width=width, height=height)


def _x_axis(axis: XAxis) -> alt.X:
    """The encoding of a horizontal axis."""
    ticks = (
        alt.Axis(labels=axis.title is not None, tickMinStep=1)
        if axis.ticks is None
        else alt.Axis(values=list(axis.ticks), labelExpr=_label(axis), grid=False)
    )
    scale = alt.Scale(type=_SCALES[axis.scale], domain=[axis.low, axis.high], nice=False)
    return alt.X("x:Q", title=axis.title, scale=scale, axis=ticks)


def _label(axis: XAxis) -> str:
    """The expression for the label of a tick, in two lines if there are notes."""
    label = _LABELS[axis.scale]
    if not axis.notes:
        return label
    ticks, notes = list(axis.ticks or ()), list(axis.notes)
    return f"[{label}, {json.dumps(notes)}[indexof({json.dumps(ticks)}, datum.value)]]"


_SCALES: dict[Scale, Literal["linear", "log"]] = {
    Scale.LINEAR: "linear",
    Scale.TIME: "log",
    Scale.PERCENTILE: "log",
}
_MILLISECONDS = (
    "datum.value < 0.9995 ? format(datum.value * 1000, '.3~g') + ' µs' : "
    "datum.value < 999.5 ? format(datum.value, '.3~g') + ' ms' : format(datum.value / 1000, '.3~g') + ' s'"
)
_LABELS = {
    Scale.LINEAR: "datum.label",
    Scale.TIME: _MILLISECONDS,
    Scale.PERCENTILE: "'p' + format(100 - 100 / datum.value, '.4~g')",
}


def _y_axis(axis: YAxis) -> alt.Y:
    """The encoding of a vertical axis."""
    if axis.high is None:
        scale = alt.Scale(zero=True)
    else:
        scale = alt.Scale(type=_SCALES[axis.scale], domain=[axis.low, axis.high], nice=False)
    if axis.ticks is not None:
        labels = alt.Axis(values=list(axis.ticks), labelExpr=_LABELS[axis.scale])
    else:
        labels = alt.Axis(tickCount=4) if axis.few_ticks else alt.Axis()
    return alt.Y("y:Q", title=axis.title, scale=scale, axis=labels)


def _series(series: Series, x: alt.X, y: alt.Y, data: Datasets) -> Iterator[alt.Chart]:
    """The layers of one series."""
    colour = f"var(--{series.colour})"
    rows: list[Row] = [{"x": place, "y": value} for place, value in series.points]
    for row, floor in zip(rows, series.base, strict=False):
        row["y0"] = floor
    layer = data.chart(rows)
    if series.shape in (Shape.AREA, Shape.RIBBON):
        steps: Literal["step-after", "linear"] = "step-after" if series.shape is Shape.AREA else "linear"
        area = layer.mark_area(interpolate=steps, color=colour, opacity=series.opacity)
        yield area.encode(x=x, y=y, y2="y0:Q") if series.base else area.encode(x=x, y=y)
        return
    line = layer.mark_line(
        interpolate="step-after" if series.shape is Shape.STEPS else "linear",
        color=colour,
        strokeWidth=series.width,
        strokeDash=list(series.dash),
    )
    yield line.encode(x=x, y=y)
    if series.dots:
        dots = data.chart([{"x": place, "y": value} for place, value in series.dots])
        yield dots.mark_point(size=22, filled=True, opacity=1, color=colour).encode(x=x, y=y)


def _cells(cells: Sequence[Cell], x: alt.X, y: alt.Y, data: Datasets) -> Iterator[alt.Chart]:
    """The cells of a heat map, one layer for each colour."""
    for colour in dict.fromkeys(cell.colour for cell in cells):
        rows: list[Row] = [
            {"x": cell.x[0], "x2": cell.x[1], "y": cell.y[0], "y2": cell.y[1]}
            for cell in cells
            if cell.colour == colour
        ]
        yield data.chart(rows).mark_rect(color=f"var(--{colour})").encode(x=x, x2="x2:Q", y=y, y2="y2:Q")


def _rule(rule: Rule, axis: XAxis, row: int, x: alt.X, *, data: Datasets) -> Iterator[alt.Chart]:
    """A dashed rule and its label, each label one row lower so that close ones stay readable."""
    layer = data.chart([{"x": rule.x, "label": rule.label}])
    # In the right half of a logarithmic axis the label stands left of its rule; otherwise it would leave the picture.
    left = rule.x * rule.x > axis.low * axis.high
    label = layer.mark_text(
        align="right" if left else "left", dx=-4 if left else 4, y=6 + 14 * row, color="var(--ink)", fontSize=11
    )
    yield layer.mark_rule(color="var(--muted)", strokeDash=[3, 3]).encode(x=x)
    yield label.encode(x=x, text="label:N")


def _bands(bands: Sequence[Band], x: alt.X, data: Datasets) -> tuple[list[alt.Chart], list[alt.Chart]]:
    """Shading to draw behind the series; rules where bands start and their labels to draw in front."""
    shaded = data.chart([{"x": band.start, "x2": band.end} for band in bands if band.shaded])
    starts = data.chart([{"x": band.start} for band in bands if band.start > 0])
    labels = data.chart([{"x": band.start, "label": band.label} for band in bands if band.label])
    names = labels.mark_text(align="left", baseline="bottom", dx=3, y=-1, color="var(--muted)", fontSize=11)
    behind = [shaded.mark_rect(color="var(--band)").encode(x=x, x2="x2:Q")]
    front = [
        starts.mark_rule(color="var(--muted)", strokeDash=[2, 3]).encode(x=x),
        names.encode(x=x, text="label:N"),
    ]
    return behind, front
