"""A chart as the page shows it: title, description, legend, and a drawing for wide and for narrow windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..formatting import safe_text
from .drawing import SvgDrawing, draw
from .plot import NARROW, WIDE, Panel
from .readout import Readout
from .timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """One entry of a legend. Legends are text on the page, not part of the drawing."""

    colour: str
    """A variable of the style sheet, without `--`."""
    label: str
    shape: str = "area"
    """`area`, `line`, `dashes` or `dots`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with its legend and description."""

    name: str
    title: str
    description: str
    """What the chart shows, in words, also for readers who cannot see it."""
    legend: tuple[LegendEntry, ...]
    wide: SvgDrawing
    narrow: SvgDrawing
    readout: Readout | None = None
    """The values at the cursor; None for a chart without a cursor."""


def build_chart(
    name: str,
    title: str,
    description: str,
    legend: tuple[LegendEntry, ...],
    panels: Callable[[int], Sequence[Panel]],
    *,
    timeline: Timeline | None = None,
    readout: Readout | None = None,
) -> Chart:
    """A chart whose *panels* are drawn for both widths. With a timeline, legend and description say what is shaded."""
    unjudged = [safe_text.escape_unprintable(name) for name in (timeline.unjudged if timeline is not None else ())]
    shaded = f" Shaded: phases that are not judged ({safe_text.shorten(', '.join(unjudged), 200)})." if unjudged else ""
    return Chart(
        name=name,
        title=title,
        description=description + shaded,
        legend=(*legend, LegendEntry(colour="band", label="not judged")) if unjudged else legend,
        wide=draw(panels(WIDE), WIDE),
        narrow=draw(panels(NARROW), NARROW),
        readout=readout,
    )
