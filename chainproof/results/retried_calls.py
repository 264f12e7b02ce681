"""
What callers met who try again: from their first attempt to their last.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypedDict

from chainproof.clock import Seconds
from chainproof.results.exchange import Fate
from chainproof.statistics.histogram import Histogram, HistogramData


class EndedData(TypedDict):
    """
    How many calls ended like this, in JSON.
    """

    attempts: int
    fate: str
    count: int


class CallsData(TypedDict):
    """
    The `calls` of an interval's line.
    """

    ended: list[EndedData]
    total_time: dict[str, HistogramData]


@dataclass(slots=True, kw_only=True)
class Calls:
    """
    Calls by how many attempts they took and what became of the last one.
    """

    ended: Counter[tuple[int, Fate]] = field(default_factory=Counter)
    total_time: dict[Fate, Histogram] = field(default_factory=dict)
    """From the intended start of the first attempt to the end of the last, the waits between included, by the last one's fate."""

    def __bool__(self) -> bool:
        """Whether any call has ended."""
        return bool(self.ended)

    def end(self, attempts: int, fate: Fate, total_time: Seconds) -> None:
        """Count a call that has ended."""
        self.ended[attempts, fate] += 1
        self.total_time.setdefault(fate, Histogram()).record(total_time)

    def merge(self, other: Calls) -> None:
        """Add other calls to these."""
        self.ended.update(other.ended)
        for fate, times in other.total_time.items():
            self.total_time.setdefault(fate, Histogram()).merge(times)

    def to_json(self) -> CallsData:
        """The calls as JSON types."""
        rows = sorted(self.ended.items())
        return {
            "ended": [{"attempts": each, "fate": fate.value, "count": count} for (each, fate), count in rows],
            "total_time": {fate.value: times.to_json() for fate, times in self.total_time.items()},
        }

    @classmethod
    def from_json(cls, data: CallsData) -> Calls:
        """The calls that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        calls = cls()
        for row in data["ended"]:
            calls.ended[row["attempts"], Fate(row["fate"])] += row["count"]
        for fate, times in data["total_time"].items():
            calls.total_time[Fate(fate)] = Histogram.from_json(times)
        return calls
