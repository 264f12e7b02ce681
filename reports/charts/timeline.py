"""The time axis of a run: its unit, its end and its phases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chainproof.clock import Seconds
from chainproof.results.settings import PhaseSpan

from ..time_series import Span
from .plot import Band, Point, XAxis
from .readout import Readout, ReadoutRow


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """A unit of time for an axis."""

    name: str
    seconds: Seconds


def axis_unit(highest: Seconds) -> TimeUnit:
    """The unit in which the highest value of an axis is easy to read."""
    return TimeUnit("s", 1.0) if highest >= 2 else TimeUnit("ms", 1e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The time since the start of a run as an axis."""

    unit: TimeUnit
    end: float
    """Where the axis ends, in its unit."""
    phases: tuple[PhaseSpan, ...]

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Names of the phases that are not judged."""
        return tuple(phase.name for phase in self.phases if not phase.judged)

    def axis(self, *, labelled: bool = True) -> XAxis:
        """The axis from the start of the run to its end."""
        title = f"time since the start of the run ({self.unit.name})" if labelled else None
        return XAxis(title=title, low=0, high=self.end)

    def steps(self, values: Sequence[float], over_time: Sequence[Span]) -> tuple[Point, ...]:
        """One value per span as the points of a step line, which ends where the last span ends."""
        points = [(span.start / self.unit.seconds, value) for span, value in zip(over_time, values, strict=True)]
        return (*points, (over_time[-1].end / self.unit.seconds, values[-1]))

    def bands(self, width: int, *, labelled: bool = True) -> tuple[Band, ...]:
        """The phases within the axis, in a plot of *width* pixels, each labelled where its name fits."""
        return tuple(
            Band(
                start=phase.start / self.unit.seconds,
                end=min(phase.end / self.unit.seconds, self.end),
                shaded=not phase.judged,
                label=phase.name if labelled and self._fits(phase, width) else "",
            )
            for phase in self.phases
            if phase.start / self.unit.seconds < self.end
        )

    def _fits(self, phase: PhaseSpan, width: int) -> bool:
        """True if a phase's name can be drawn above its part of the axis."""
        visible = min(phase.end / self.unit.seconds, self.end) - phase.start / self.unit.seconds
        room = visible / self.end * width
        return _PLAIN_NAME.fullmatch(phase.name) is not None and len(phase.name) * _LETTER + 6 <= room


_PLAIN_NAME = re.compile(r"[\w .+-]{1,24}")
"""Names that are drawn. Any other appears in the page's table only."""

_LETTER = 6.5
"""Width of a letter in pixels."""


def build_timeline(over_time: Sequence[Span], phases: Sequence[PhaseSpan]) -> Timeline:
    """The time axis of a run, in minutes if it lasted more than five."""
    unit = TimeUnit("min", 60.0) if over_time[-1].end > 300 else TimeUnit("s", 1.0)
    return Timeline(unit=unit, end=over_time[-1].end / unit.seconds, phases=tuple(phases))


def resolution_note(over_time: Sequence[Span]) -> str:
    """How much of the run one point covers, to follow a noun."""
    width = over_time[0].seconds
    return ", second by second" if width == 1 else f", merged over spans of {width} s"


def time_readout(over_time: Sequence[Span], timeline: Timeline, rows: tuple[ReadoutRow, ...]) -> Readout:
    """The values of every span."""
    return Readout(
        axis=timeline.axis(),
        places=tuple((span.start + span.end) / 2 / timeline.unit.seconds for span in over_time),
        labels=tuple(f"{span.start:,}–{span.end:,} s" for span in over_time),
        rows=rows,
        is_time=True,
    )
