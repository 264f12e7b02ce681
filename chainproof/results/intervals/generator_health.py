"""
The health of the load generator in one second, or in several merged: whether its figures can be trusted.

Every value is a sum, a maximum, a list or a histogram, so merging is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import NotRequired, TypedDict

from chainproof.clock import Seconds
from chainproof.results.intervals.stalls import Stall, StallData
from chainproof.statistics.histogram import Histogram, HistogramData


class GeneratorHealthData(TypedDict):
    """The generator health of an interval, in JSON."""

    samples: int
    in_flight_sum: int
    in_flight_squares: int
    loop_lag: HistogramData
    cpu_s: float
    process_s: float
    cpu_max: float
    open_files: int
    open_files_limit: int
    ports: int
    ports_limit: int
    stalls: NotRequired[list[StallData]]
    """Only if there were some."""


@dataclass(slots=True, kw_only=True)
class GeneratorHealth:
    """Measurements that a generator process made of itself."""

    samples: int = 0
    """Number of samples, taken at random times."""
    in_flight_sum: int = 0
    """Sum of the in-flight requests over the samples; with their squares it shows whether users move in step."""
    in_flight_squares: int = 0
    loop_lag: Histogram = field(default_factory=Histogram)
    """Event-loop lag, also of the samples that a stall prevented."""
    stalls: list[Stall] = field(default_factory=list)
    """Times in which a process stood still, by their start."""
    cpu_s: Seconds = 0.0
    """CPU time used during `process_s`."""
    process_s: Seconds = 0.0
    """Time observed, summed over the processes."""
    cpu_max: float = 0.0
    """Largest share of one CPU core that one process used in one second."""
    open_files: int = 0
    """Largest number of open files of one process, and its limit."""
    open_files_limit: int = 0
    ports: int = 0
    """Largest number of connections of one process that occupy a port, closed ones included, and the available ports."""
    ports_limit: int = 0

    @classmethod
    def merged(cls, parts: Iterable[GeneratorHealth | None]) -> GeneratorHealth:
        """Several seconds or processes merged."""
        merged = cls()
        for part in parts:
            if part is not None:
                merged.merge(part)
        return merged

    @property
    def cpu(self) -> float:
        """Mean share of one CPU core that a process used."""
        return self.cpu_s / self.process_s if self.process_s else 0.0

    @property
    def longest_stall(self) -> Stall | None:
        """The longest stall; None if there was none."""
        return max(self.stalls, key=lambda stall: (stall.seconds, -stall.start), default=None)

    def add_sample(self, in_flight: int, lag: Seconds, expected_gap: Seconds) -> None:
        """
        Count one sample.

        A process that stands still takes no samples. So those that were due meanwhile, one every *expected_gap*, are
        counted with the lag that they would have had (as `recordValueWithExpectedInterval` of Gil Tene's HdrHistogram does).
        """
        self.samples += 1
        self.in_flight_sum += in_flight
        self.in_flight_squares += in_flight * in_flight
        self.loop_lag.record(lag)
        while (lag := lag - expected_gap) >= expected_gap:
            self.loop_lag.record(lag)

    def add_cpu_time(self, cpu: Seconds, since: Seconds) -> None:
        """Count the CPU time used in the last *since* seconds."""
        self.cpu_s += cpu
        self.process_s += since
        self.cpu_max = max(self.cpu_max, cpu / since if since > 0 else 0.0)

    def merge(self, other: GeneratorHealth) -> None:
        """Add the measurements of another second or process."""
        self.samples += other.samples
        self.in_flight_sum += other.in_flight_sum
        self.in_flight_squares += other.in_flight_squares
        self.loop_lag.merge(other.loop_lag)
        self.stalls = sorted([*self.stalls, *other.stalls])
        self.cpu_s += other.cpu_s
        self.process_s += other.process_s
        self.cpu_max = max(self.cpu_max, other.cpu_max)
        self._merge_maxima(other)

    def _merge_maxima(self, other: GeneratorHealth) -> None:
        if other.open_files > self.open_files:
            self.open_files, self.open_files_limit = other.open_files, other.open_files_limit
        if other.ports > self.ports:
            self.ports, self.ports_limit = other.ports, other.ports_limit

    def to_json(self) -> GeneratorHealthData:
        """The health as JSON types."""
        data: dict[str, object] = {
            each.name: getattr(self, each.name) for each in fields(self) if each.name != "stalls"
        }
        data["loop_lag"] = self.loop_lag.to_json()
        if self.stalls:
            data["stalls"] = [stall.to_json() for stall in self.stalls]
        return data  # type: ignore[return-value]  # the names are those of the fields

    @classmethod
    def from_json(cls, data: GeneratorHealthData) -> GeneratorHealth:
        """The health that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        values: dict[str, object] = {each.name: data[each.name] for each in fields(cls) if each.name != "stalls"}  # type: ignore[literal-required]  # its keys
        values["loop_lag"] = Histogram.from_json(data["loop_lag"])
        values["stalls"] = [Stall.from_json(stall) for stall in data.get("stalls", ())]
        return cls(**values)  # type: ignore[arg-type]  # by name
