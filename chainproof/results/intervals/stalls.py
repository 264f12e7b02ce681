"""
Stalls: times in which the load generator stood still, and what they did to the requests of a run.

A process stands still while it is suspended, waits for a CPU or runs other code. Answers wait meanwhile, due requests are
sent late and then all at once. So a stall ends when its event loop runs again, and its effect ends when no request is
overdue and no more requests are in flight than before: then the load generator has *recovered*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from chainproof.clock import Seconds
from chainproof.statistics.histogram import Durations, Histogram, HistogramData


class StallData(TypedDict):
    """A stall, in JSON."""

    start_s: float
    end_s: float
    recovered_s: float


class StalledRequestsData(TypedDict):
    """The requests that stalls affected, in JSON."""

    count: int
    excused: int
    response_time: HistogramData
    response_time_without: HistogramData
    service_time: HistogramData
    service_time_without: HistogramData
    schedule_lag: HistogramData


@dataclass(frozen=True, slots=True, order=True)
class Stall:
    """A time in which one process of the load generator stood still, in seconds of the run."""

    start: Seconds
    end: Seconds
    recovered: Seconds
    """When its effect was over, as far as this process can tell."""

    @property
    def seconds(self) -> Seconds:
        """Its length, without the recovery."""
        return self.end - self.start

    def to_json(self) -> StallData:
        """The stall as JSON types."""
        return {"start_s": self.start, "end_s": self.end, "recovered_s": self.recovered}

    @classmethod
    def from_json(cls, data: StallData) -> Stall:
        """The stall that `to_json` wrote."""
        return cls(data["start_s"], data["end_s"], data["recovered_s"])


_HISTOGRAMS = ("response_time", "response_time_without", "service_time", "service_time_without", "schedule_lag")
"""The histograms of the affected requests."""


@dataclass(slots=True, kw_only=True)
class StalledRequests:
    """
    The requests that were due or in flight during a stall or the recovery from it.

    The histograms named *without* have the times less the part that lies within a stall or a recovery: a lower bound of
    what they would have been.
    """

    count: int = 0
    """Requests answered ok, whose times are in the histograms."""
    excused: int = 0
    """Requests that failed, timed out or found no free slot, and that a long stall may have prevented from being ok."""
    response_time: Histogram = field(default_factory=Histogram)
    response_time_without: Histogram = field(default_factory=Histogram)
    service_time: Histogram = field(default_factory=Histogram)
    service_time_without: Histogram = field(default_factory=Histogram)
    schedule_lag: Histogram = field(default_factory=Histogram)
    """Of all affected requests that were sent, whatever their result. It includes the wait for a free slot."""

    def record_all(self, times: Mapping[str, Durations]) -> None:
        """Count requests answered ok, given their times by the name of each histogram but the schedule lag."""
        self.count += len(times["response_time"])
        for name, durations in times.items():
            getattr(self, name).record_all(durations)

    def merge(self, other: StalledRequests) -> None:
        """Add other requests."""
        self.count += other.count
        self.excused += other.excused
        for name in _HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))

    def to_json(self) -> StalledRequestsData:
        """The requests as JSON types."""
        histograms = {name: getattr(self, name).to_json() for name in _HISTOGRAMS}
        return {"count": self.count, "excused": self.excused, **histograms}  # type: ignore[typeddict-item]  # its other keys

    @classmethod
    def from_json(cls, data: StalledRequestsData) -> StalledRequests:
        """The requests that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        histograms = {name: Histogram.from_json(data[name]) for name in _HISTOGRAMS}  # type: ignore[literal-required]  # its keys
        return cls(count=data["count"], excused=data["excused"], **histograms)
