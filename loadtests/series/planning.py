"""Which runs a series has, in which order, and how long they take. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.clock import Seconds, format_duration
from chainproof.results.manifest import SeriesKind, Side

DEFAULT_PAIRS = 6
"""Pairs of `--interleave`: five runs a side find a change of 10 % in most cases, and an even number balances the order."""
_OVERHEAD: Seconds = 3.0
"""Time for a step beyond its duration: starting a process, waiting for the last answers, and judging. For each run of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """The runs that a series has."""

    kind: SeriesKind
    count: int
    """Runs of each side."""
    pause: Seconds
    """Time between two steps."""
    duration: Seconds
    """Planned duration of a run."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, in order."""
        return tuple(
            Step(number=number, index=index, sides=sides)
            for number, (index, sides) in enumerate(_order(self.kind, self.count), 1)
        )

    def time_left(self, number: int, elapsed: Seconds = 0.0) -> Seconds:
        """About how long the series goes on, *elapsed* seconds after the begin of a step."""
        step = self.duration + _OVERHEAD * len(self.steps[0].sides)
        later = len(self.steps) - number
        return max(step - elapsed, 0.0) + later * (self.pause + step)

    def folder_name(self, step: Step, side: Side) -> str:
        """The name of a run folder; names sort in the order of the runs."""
        number = f"{step.number:0{max(len(str(len(self.steps))), 2)}}"
        return number if self.kind is SeriesKind.REPEAT else f"{number}_{side}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Runs that are made at the same time: one, or in a duet two."""

    number: int
    """Counted from 1."""
    index: int
    """The index of the runs on their side."""
    sides: tuple[Side, ...]


def _order(kind: SeriesKind, count: int) -> list[tuple[int, tuple[Side, ...]]]:
    """The index and the sides of each step."""
    pair = (Side.BASELINE, Side.CANDIDATE)
    match kind:
        case SeriesKind.REPEAT:
            return [(index, (Side.CANDIDATE,)) for index in range(count)]
        case SeriesKind.DUET:
            return [(index, pair) for index in range(count)]
        case SeriesKind.INTERLEAVE:
            # ABBA: a steady drift of the target or the network favours neither side.
            return [(index, (side,)) for index in range(count) for side in (pair, pair[::-1])[index % 2]]


def forecast(plan: SeriesPlan) -> str:
    """What a series is going to do, as a sentence."""
    length = format_duration(plan.duration)
    runs, pairs = ("run", "pair") if plan.count == 1 else ("runs", "pairs")
    what = {
        SeriesKind.REPEAT: f"{plan.count} {runs} of {length}, one after the other",
        SeriesKind.INTERLEAVE: f"{plan.count} {pairs} of runs of {length}, one after the other in the order ABBA",
        SeriesKind.DUET: f"{plan.count} {pairs} of runs of {length}, both runs of a pair at the same time",
    }[plan.kind]
    pauses = f", with pauses of {format_duration(plan.pause)}" if len(plan.steps) > 1 and plan.pause else ""
    return f"{what}{pauses}: about {rounded(plan.time_left(1))}"


def rounded(seconds: Seconds) -> str:
    """A duration as text, to 10 s from one minute on."""
    unit = 10 if seconds >= 60 else 1
    return format_duration(float(unit * round(seconds / unit)))
