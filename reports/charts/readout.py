"""The values that a chart shows at the cursor, where the page may run its script."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.json_text import JSON

from .plot import XAxis


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutRow:
    """One value at every place of the horizontal axis, written as in the tables."""

    label: str
    values: tuple[str, ...]
    colour: str = ""
    """A variable of the style sheet, without `--`; empty for a value that has none in the chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """The values of a chart along its horizontal axis."""

    axis: XAxis
    places: tuple[float, ...]
    """Ascending, in the unit of the axis."""
    labels: tuple[str, ...]
    """What each place is, such as a second of the run."""
    rows: tuple[ReadoutRow, ...]
    is_time: bool = False
    """True if the axis is the time of the run: these charts share their cursor and their zoom."""

    def to_json(self) -> JSON:
        """What the script of the page reads."""
        return {
            "scale": self.axis.scale.value,
            "low": self.axis.low,
            "high": self.axis.high,
            "time": self.is_time,
            "places": [float(f"{place:.7g}") for place in self.places],
            "labels": list(self.labels),
            "rows": [{"label": row.label, "colour": row.colour, "values": list(row.values)} for row in self.rows],
        }
