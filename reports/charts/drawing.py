"""
Draws plots as SVG. The only module that uses the drawing library: vl-convert renders a plot that is described in Vega-Lite.

Colours are variables of the page's style sheet (`var(--ok)`), so that one drawing serves light, dark and print. No text
from the target enters a drawing.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import vl_convert

from chainproof.machine_faults import MachineFault, system_fault
from chainproof.stored_text import shortened

from .plot import WIDE, Band, Cell, ChartSeries, Panel, Rule, Scale, Shape, XAxis, YAxis

Row = dict[str, float | str | None]
Specification = Mapping[str, object]
"""A part of a Vega-Lite specification (https://vega.github.io/vega-lite/docs/), as JSON types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SvgDrawing:
    """
    The content of an SVG element, without the element itself: the page adds it with a title and a description.

    Its classes are those of the page's script, which does not know the drawing library: `panel` is the frame of a plotting
    area, a `rect` with its size whose parent has the rest of the area; `stretched` is a group of marks that zoom stretches,
    `moved` one whose marks have a `transform` each, which zoom moves; `places` is the group of the labels below the panel.
    """

    view_box: str
    body: str


def draw(panels: Sequence[Panel], width: int) -> SvgDrawing:
    """Panels one below the other as SVG, with plotting areas of *width* pixels."""
    data = Datasets({})
    drawings = [_panel(panel, width, data) for panel in panels]
    drawing: Specification = drawings[0] if len(drawings) == 1 else {"vconcat": drawings, "spacing": 24}
    config = _CONFIG | {"axisY": _AXIS_Y | {"titleY": _TITLE_ABOVE_LABELS if panels[0].bands else _TITLE}}
    specification: dict[str, object] = {**drawing, "config": config, "padding": 4, "datasets": data.rows}
    svg = _SVG.fullmatch(_rendered(specification))
    assert svg is not None, "vl-convert writes one svg element with a viewBox"
    return SvgDrawing(view_box=svg["box"], body=_merge_rectangles(_with_own_classes(svg["body"])))


def _rendered(specification: dict[str, object]) -> str:
    """A plot as SVG. Raises MachineFault if the library ends in a panic, as it does without files, memory or threads."""
    _require_files()
    _require_address_space()
    try:
        return vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
    except BaseException as error:
        # The class of a panic is in no module that can be imported, and derives from BaseException alone.
        if type(error).__name__ != "PanicException" and "oneshot canceled" not in str(error):  # its thread ended in one
            raise
        raise MachineFault(
            f"cannot draw a chart ({shortened(' '.join(str(error).split()), 200)}): raise the limits (`ulimit -n`, `ulimit -u` and `ulimit -v`, or those "
            "of the container)"
        ) from None


_FILES = 24
"""Files that the library opens, and some more."""


def _require_files() -> None:
    """Raise MachineFault if few more files can be opened: the library would print a panic, or fail in an internal error."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(_FILES))
    except OSError as error:
        raise MachineFault(system_fault(f"cannot draw a chart: expected {_FILES} more files to open", error)) from None
    finally:
        for each in opened:
            os.close(each)


@cache
def _require_address_space() -> None:
    """
    Raise MachineFault if the library cannot reserve its address space, 64 GiB on most machines: it would end this process.

    If there is a limit, a child process tries, since the number depends on the library and the machine.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            vl_convert.vegalite_to_svg({"mark": "point"}, allowed_base_urls=[])
        finally:
            os._exit(0)
    if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        raise MachineFault(
            "cannot draw a chart: the drawing library reserves about 64 GiB of addresses, without using as much memory; remove the "
            "limit of address space (`ulimit -v unlimited`), or use a format without charts"
        )


_CLASSES: tuple[tuple[re.Pattern[str], str], ...] = (
    # The page names a chart as one picture; a part with a role of its own would need a name.
    (re.compile(r' role="graphics-[a-z]+"| aria-[a-z]+="[^"]*"'), ""),
    (
        re.compile(r'<path class="background" d="M0,0h([1-9][\d.]*)v([1-9][\d.]*)h[^"]*"/>'),
        r'<rect class="panel" width="\1" height="\2"/>',
    ),
    (re.compile(r'<path class="(?:back|fore)ground"[^>]*/>'), ""),
    (re.compile(r'class="mark-(?:line|area|rect) role-mark [^"]*"'), 'class="stretched"'),
    (re.compile(r'class="mark-[a-z]+ role-mark [^"]*"'), 'class="moved"'),
    (re.compile(r'class="mark-text role-axis-label"([^>]*><text text-anchor="middle")'), r'class="places"\1'),
    (re.compile(r' class="mark-[^"]*"'), ""),
)
"""What vl-convert writes, and what replaces it: our classes, and no roles and no parts that show nothing."""


def _with_own_classes(body: str) -> str:
    """The drawing with the classes of the page's script in place of the library's."""
    for pattern, own in _CLASSES:
        body = pattern.sub(own, body)
    return body


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
    """The rows of a drawing by name."""

    rows: dict[str, list[Row]]

    def layer(self, rows: list[Row], kind: str, mark: Specification, **encoding: Specification) -> Specification:
        """A layer of marks of a kind, one for each row, or one through all of them."""
        name = f"rows-{len(self.rows)}"
        self.rows[name] = rows
        return {"data": {"name": name}, "mark": {"type": kind, **mark}, "encoding": encoding}


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


def _panel(panel: Panel, width: int, data: Datasets) -> Specification:
    """One panel: shaded bands at the back, then the series, then rules and labels."""
    x, y = _x_axis(panel.x), _y_axis(panel.y)
    series = [layer for each in panel.series for layer in _series(each, x, y, data)]
    rules = [layer for row in range(len(panel.rules)) for layer in _rule(panel, row, width, x, data=data)]
    behind, front = _bands(panel.bands, x, data) if panel.bands else ([], [])
    height = panel.height if width == WIDE else round(panel.height * 0.85)
    heat = _cells(panel.cells, x, y, data)
    return {"layer": [*behind, *heat, *series, *rules, *front], "width": width, "height": height}


def _x_axis(axis: XAxis) -> Specification:
    """The encoding of a horizontal axis."""
    ticks: Specification = (
        {"labels": axis.title is not None, "tickMinStep": 1}
        if axis.ticks is None
        else {"values": list(axis.ticks), "labelExpr": _label(axis), "grid": False}
    )
    return {"field": "x", "type": "quantitative", "title": axis.title, "scale": _scale(axis), "axis": ticks}


def _scale(axis: XAxis | YAxis) -> Specification:
    """The scale of an axis with two ends."""
    return {"type": _SCALES[axis.scale], "domain": [axis.low, axis.high], "nice": False}


def _label(axis: XAxis) -> str:
    """The expression for the label of a tick, in two lines if there are notes."""
    label = _LABELS[axis.scale]
    if not axis.notes:
        return label
    ticks, notes = list(axis.ticks or ()), list(axis.notes)
    return f"[{label}, {json.dumps(notes)}[indexof({json.dumps(ticks)}, datum.value)]]"


_SCALES = {Scale.LINEAR: "linear", Scale.TIME: "log", Scale.PERCENTILE: "log"}
_MILLISECONDS = (
    "datum.value < 0.9995 ? format(datum.value * 1000, '.3~g') + ' µs' : "
    "datum.value < 999.5 ? format(datum.value, '.3~g') + ' ms' : format(datum.value / 1000, '.3~g') + ' s'"
)
_LABELS = {
    Scale.LINEAR: "datum.label",
    Scale.TIME: _MILLISECONDS,
    Scale.PERCENTILE: "'p' + format(100 - 100 / datum.value, '.4~g')",
}


def _y_axis(axis: YAxis) -> Specification:
    """The encoding of a vertical axis."""
    ticks: Specification = {"tickCount": 4} if axis.few_ticks else {}
    if axis.ticks is not None:
        ticks = {"values": list(axis.ticks), "labelExpr": _LABELS[axis.scale]}
    scale: Specification = {"zero": True} if axis.high is None else _scale(axis)
    return {"field": "y", "type": "quantitative", "title": axis.title, "scale": scale, "axis": ticks}


def _series(series: ChartSeries, x: Specification, y: Specification, data: Datasets) -> Iterator[Specification]:
    """The layers of one series."""
    colour = {"color": f"var(--{series.colour})"}
    rows: list[Row] = [{"x": place, "y": value} for place, value in series.points]
    for row, floor in zip(rows, series.base, strict=False):
        row["y0"] = floor
    if series.shape in (Shape.AREA, Shape.RIBBON):
        steps = "step-after" if series.shape is Shape.AREA else "linear"
        floors = {"y2": {"field": "y0"}} if series.base else {}
        mark = {"interpolate": steps, "opacity": series.opacity, **colour}
        yield data.layer(rows, "area", mark, x=x, y=y, **floors)
        return
    steps = "step-after" if series.shape is Shape.STEPS else "linear"
    mark = {"interpolate": steps, "strokeWidth": series.width, "strokeDash": list(series.dash), **colour}
    yield data.layer(rows, "line", mark, x=x, y=y)
    if series.dots:
        dots: list[Row] = [{"x": place, "y": value} for place, value in series.dots]
        yield data.layer(dots, "point", {"size": 22, "filled": True, "opacity": 1, **colour}, x=x, y=y)


def _cells(cells: Sequence[Cell], x: Specification, y: Specification, data: Datasets) -> Iterator[Specification]:
    """The cells of a heat map, one layer for each colour."""
    for colour in dict.fromkeys(cell.colour for cell in cells):
        rows: list[Row] = [
            {"x": cell.x[0], "x2": cell.x[1], "y": cell.y[0], "y2": cell.y[1]}
            for cell in cells
            if cell.colour == colour
        ]
        mark: Specification = {"color": f"var(--{colour})"}
        yield data.layer(rows, "rect", mark, x=x, x2={"field": "x2"}, y=y, y2={"field": "y2"})


_LABEL: Specification = {"field": "label", "type": "nominal"}


_LETTER = 6.0
"""Width of a letter of a label in pixels."""


def _rule(panel: Panel, row: int, width: int, x: Specification, *, data: Datasets) -> Iterator[Specification]:
    """A dashed rule and its label, each label one row lower so that close ones stay readable."""
    rule = panel.rules[row]
    left = _stands_left(rule, panel, width)
    place = {"align": "right" if left else "left", "dx": -4 if left else 4, "y": 6 + 14 * row}
    yield data.layer([{"x": rule.x}], "rule", {"color": "var(--muted)", "strokeDash": [3, 3]}, x=x)
    text = {"color": "var(--ink)", "fontSize": 11, **place}
    yield data.layer([{"x": rule.x, "label": rule.label}], "text", text, x=x, text=_LABEL)


def _stands_left(rule: Rule, panel: Panel, width: int) -> bool:
    """True if a label to the right of its rule would cross the next one or leave the picture, and there is room to its left."""
    start, *others = (width * _place(each.x, panel.x) for each in (rule, *panel.rules))
    length = _LETTER * len(rule.label) + 4
    return length <= start and start + length > min([each for each in others if each > start], default=width)


def _place(value: float, axis: XAxis) -> float:
    """Where a value is on an axis, from 0 to 1."""
    low, high, value = (each if axis.scale is Scale.LINEAR else math.log(each) for each in (axis.low, axis.high, value))
    return (value - low) / (high - low)


def _bands(bands: Sequence[Band], x: Specification, data: Datasets) -> tuple[list[Specification], list[Specification]]:
    """Shading to draw behind the series; rules where bands start and their labels to draw in front."""
    shaded: list[Row] = [{"x": band.start, "x2": band.end} for band in bands if band.shaded]
    starts: list[Row] = [{"x": band.start} for band in bands if band.start > 0]
    labels: list[Row] = [{"x": band.start, "label": band.label} for band in bands if band.label]
    text = {"align": "left", "baseline": "bottom", "dx": 3, "y": -1, "color": "var(--muted)", "fontSize": 11}
    behind = [data.layer(shaded, "rect", {"color": "var(--band)"}, x=x, x2={"field": "x2"})]
    front = [
        data.layer(starts, "rule", {"color": "var(--muted)", "strokeDash": [2, 3]}, x=x),
        data.layer(labels, "text", text, x=x, text=_LABEL),
    ]
    return behind, front
