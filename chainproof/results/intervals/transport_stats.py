"""Network statistics of one second: bytes, connections, and how late the generator read answers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypedDict

from chainproof.clock import Seconds
from chainproof.statistics.histogram import Durations, Histogram, HistogramData


class NetworkStatsData(TypedDict, total=False):
    """The `network` of an interval; zero and empty values are left out."""

    read_delay: HistogramData
    time_to_first_byte: HistogramData
    slot_wait: HistogramData
    connect_time: HistogramData
    tls_time: HistogramData
    sent_bytes: int
    received_bytes: int
    kernel_timestamps: int
    own_timestamps: int
    replaced_connections: int


TIME_FIELDS = ("read_delay", "time_to_first_byte", "slot_wait", "connect_time", "tls_time")
COUNT_FIELDS = ("sent_bytes", "received_bytes", "kernel_timestamps", "own_timestamps", "replaced_connections")


@dataclass(slots=True, kw_only=True)
class NetworkStats:
    """Times and counts of requests and their connections."""

    read_delay: Histogram = field(default_factory=Histogram)
    """Read delay: from the end of an answer by its kernel timestamp until the generator had read it."""
    time_to_first_byte: Histogram = field(default_factory=Histogram)
    """From the actual start to the first read of the answer."""
    slot_wait: Histogram = field(default_factory=Histogram)
    """Time that requests waited for a free slot because --max-in-flight requests were in flight."""
    connect_time: Histogram = field(default_factory=Histogram)
    """Of every connection that was opened."""
    tls_time: Histogram = field(default_factory=Histogram)
    sent_bytes: int = 0
    """Of requests, before any TLS."""
    received_bytes: int = 0
    """Of answers, after any TLS."""
    kernel_timestamps: int = 0
    """Answers whose end comes from a kernel timestamp."""
    own_timestamps: int = 0
    """Answers whose end is the time of reading, because there was no valid kernel timestamp."""
    replaced_connections: int = 0
    """Idle connections that the target had closed, which were replaced before anything was sent."""

    def __bool__(self) -> bool:
        """True if anything was counted."""
        return any(getattr(self, name) for name in COUNT_FIELDS) or any(
            getattr(self, name).count for name in TIME_FIELDS
        )

    def record_answers(self, first_bytes: Durations, read_delays: list[Seconds]) -> None:
        """Count complete answers, with their times to first byte and their read delays (0 without a kernel timestamp)."""
        self.time_to_first_byte.record_all(first_bytes)
        self.read_delay.record_all(read_delays)
        stamped = len(read_delays) - read_delays.count(0.0)
        self.kernel_timestamps += stamped
        self.own_timestamps += len(read_delays) - stamped

    def record_connection(self, connect_time: Seconds | None, tls_time: Seconds | None, replaced: int) -> None:
        """Count a new connection, and how many closed ones it replaced."""
        if connect_time is not None:
            self.connect_time.record(connect_time)
        if tls_time is not None:
            self.tls_time.record(tls_time)
        self.replaced_connections += replaced

    def merge(self, other: NetworkStats) -> None:
        """Add other times and counts."""
        for name in TIME_FIELDS:
            getattr(self, name).merge(getattr(other, name))
        self.merge_counts(other)

    def merge_counts(self, other: NetworkStats) -> None:
        """Add other counts."""
        for name in COUNT_FIELDS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def compact(self) -> None:
        """Release unused memory, until something is counted again."""
        for name in TIME_FIELDS:
            getattr(self, name).compact()

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in COUNT_FIELDS}

    def to_json(self) -> NetworkStatsData:
        """Times and counts as JSON types."""
        data: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Histogram):
                if value.count:
                    data[each.name] = value.to_json()
            elif value:
                data[each.name] = value
        return data  # type: ignore[return-value]  # the names are those of the fields

    @classmethod
    def from_json(cls, data: NetworkStatsData) -> NetworkStats:
        """What `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        stats = cls()
        for name in NetworkStatsData.__annotations__.keys() & data.keys():
            value: object = data[name]  # type: ignore[literal-required]  # one of its keys
            setattr(stats, name, Histogram.from_json(value) if name in TIME_FIELDS else value)  # type: ignore[arg-type]  # as above
        return stats
