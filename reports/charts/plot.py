"""Descriptions of plots: panels of series over two axes, independent of any drawing library."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WIDE, NARROW = 940, 300
"""Widths of the plotting area in pixels, axes not counted. Every chart is drawn for both, because text that shrinks
with a drawing cannot be read."""

Point = tuple[float, float | None]
"""x and y; y is None where a line has a gap."""


class Scale(StrEnum):
    """What the values of an axis are, and how they are placed."""

    LINEAR = "linear"
    TIME = "time"
    """Milliseconds on a logarithmic axis."""
    PERCENTILE = "percentile"
    """1 ÷ the share of larger values, on a logarithmic axis: 100 is p99."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XAxis:
    """A horizontal axis."""

    title: str | None
    """None: neither title nor labels, because the panel below has them."""
    low: float
    high: float
    scale: Scale = Scale.LINEAR
    ticks: tuple[float, ...] | None = None
    """None: whole numbers, chosen by the drawing library."""
    notes: tuple[str, ...] = ()
    """A second line below each tick; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YAxis:
    """A vertical axis. A linear one starts at zero."""

    title: str
    high: float | None = None
    """None: as high as the values need."""
    low: float = 0.0
    scale: Scale = Scale.LINEAR
    ticks: tuple[float, ...] | None = None
    """None: chosen by the drawing library."""
    few_ticks: bool = False
    """For low panels."""


class Shape(StrEnum):
    """How a series is drawn."""

    LINE = "line"
    STEPS = "steps"
    """A line that keeps each value until the next point."""
    AREA = "area"
    """Filled steps."""
    RIBBON = "ribbon"
    """The space between two lines, filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSeries:
    """One series of a panel."""

    shape: Shape
    colour: str
    """A variable of the style sheet, without `--`."""
    points: tuple[Point, ...]
    base: tuple[float, ...] = ()
    """Lower edge of an area at each point; empty: zero."""
    dash: tuple[int, int] = (1, 0)
    """Pixels on and off."""
    width: float = 1.75
    opacity: float = 1.0
    dots: tuple[Point, ...] = ()
    """Points that are marked as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A vertical line with a label beside it."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One phase of the run on the time axis."""

    start: float
    end: float
    shaded: bool
    label: str
    """Empty where there is no room for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A rectangle of a heat map."""

    x: tuple[float, float]
    y: tuple[float, float]
    colour: str
    """A variable of the style sheet, without `--`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plotting area."""

    height: int
    """In pixels, in a wide drawing."""
    x: XAxis
    y: YAxis
    series: tuple[ChartSeries, ...]
    rules: tuple[Rule, ...] = ()
    bands: tuple[Band, ...] = ()
    cells: tuple[Cell, ...] = ()
