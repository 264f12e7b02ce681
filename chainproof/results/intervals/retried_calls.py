"""Calls of callers that retry: attempts, results and total times."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypedDict

from chainproof.clock import Seconds
from chainproof.results.exchange import Result
from chainproof.statistics.histogram import Histogram, HistogramData


class CallCountData(TypedDict):
    """The number of calls with these attempts and this result, in JSON."""

    attempts: int
    result: str
    count: int


class CallsData(TypedDict):
    """The `calls` of an interval."""

    counts: list[CallCountData]
    total_time: dict[str, HistogramData]


@dataclass(slots=True, kw_only=True)
class Calls:
    """Calls by number of attempts and by result of the last attempt."""

    counts: Counter[tuple[int, Result]] = field(default_factory=Counter)
    total_time: dict[Result, Histogram] = field(default_factory=dict)
    """From the intended start of the first attempt to the end of the last, waits included, by the last result."""

    def __bool__(self) -> bool:
        """True if a call has ended."""
        return bool(self.counts)

    def end(self, attempts: int, result: Result, total_time: Seconds) -> None:
        """Count a call that has ended."""
        self.counts[attempts, result] += 1
        self.total_time.setdefault(result, Histogram()).record(total_time)

    def merge(self, other: Calls) -> None:
        """Add other calls."""
        self.counts.update(other.counts)
        for result, times in other.total_time.items():
            self.total_time.setdefault(result, Histogram()).merge(times)

    def to_json(self) -> CallsData:
        """The calls as JSON types."""
        rows = sorted(self.counts.items())
        return {
            "counts": [{"attempts": each, "result": result.value, "count": count} for (each, result), count in rows],
            "total_time": {result.value: times.to_json() for result, times in self.total_time.items()},
        }

    @classmethod
    def from_json(cls, data: CallsData) -> Calls:
        """The calls that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        calls = cls()
        for row in data["counts"]:
            calls.counts[row["attempts"], Result(row["result"])] += row["count"]
        for result, times in data["total_time"].items():
            calls.total_time[Result(result)] = Histogram.from_json(times)
        return calls
