"""
One second of a load run, as one worker saw it: what the run folder holds, and what merges into everything else.

A planned or unsent request counts in the second of its intended start, a sent one and its lag in the second it was
sent, an outcome and its times in the second it was decided. Hence any sum over all intervals is exact, and a single
interval is what happened in that second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypedDict

from chainproof.clock import Seconds
from chainproof.results.exchange import Fate, NotSent, Outcome, Transport
from chainproof.statistics.histogram import Histogram, HistogramData

ANSWERED_FATES = (Fate.OK, Fate.FAILED)
"""The fates whose times are known. A deadline is not a latency, and a censored request has none."""


class OutcomeData(TypedDict):
    """
    An outcome with its count, in JSON.
    """

    transport: str
    status: int | None
    error_code: str | None
    fate: str
    count: int


class IntervalData(TypedDict):
    """
    One line of `intervals.jsonl`.
    """

    second: int
    worker: str
    planned: int
    sent: int
    not_sent: dict[str, int]
    in_flight_max: int
    in_flight: int
    outcomes: list[OutcomeData]
    response_time: dict[str, HistogramData]
    service_time: dict[str, HistogramData]
    schedule_lag: HistogramData


@dataclass(slots=True, kw_only=True)
class Interval:
    """
    Counts and histograms of one second, or of several merged.
    """

    second: int
    """The second since the run began, from 0; of a merged interval, its first."""
    worker: str = "0"
    planned: int = 0
    sent: int = 0
    not_sent: Counter[NotSent] = field(default_factory=Counter)
    in_flight_max: int = 0
    """The most requests in flight at once."""
    in_flight: int = 0
    """Requests in flight as the second ended."""
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    response_time: dict[Fate, Histogram] = field(default_factory=lambda: {fate: Histogram() for fate in ANSWERED_FATES})
    """Times of complete answers, apart by fate: a fast 429 must not flatter the ok ones."""
    service_time: dict[Fate, Histogram] = field(default_factory=lambda: {fate: Histogram() for fate in ANSWERED_FATES})
    schedule_lag: Histogram = field(default_factory=Histogram)
    """Of every request sent, whatever became of it."""

    def plan(self) -> None:
        """Count a request whose intended start lies in this second."""
        self.planned += 1

    def leave_out(self, why: NotSent) -> None:
        """Count a planned request that is not sent."""
        self.not_sent[why] += 1

    def send(self, schedule_lag: Seconds) -> None:
        """Count a request as it is sent."""
        self.sent += 1
        self.schedule_lag.record(schedule_lag)

    def settle(self, outcome: Outcome, response_time: Seconds, service_time: Seconds) -> None:
        """
        Count what became of a sent request; its times count where an answer came back complete.
        """
        self.outcomes[outcome] += 1
        if outcome.transport is Transport.ANSWERED:
            self.response_time[outcome.fate].record(response_time)
            self.service_time[outcome.fate].record(service_time)

    def merge(self, other: Interval) -> None:
        """
        Add another interval: of the same second by another worker, or of a later second.

        In-flight figures add up for the same second and take the greater one across seconds.
        """
        if self.second == other.second:
            self.in_flight_max += other.in_flight_max
            self.in_flight += other.in_flight
        else:
            self.in_flight_max = max(self.in_flight_max, other.in_flight_max)
            self.in_flight = other.in_flight
        self.planned += other.planned
        self.sent += other.sent
        self.not_sent.update(other.not_sent)
        self.outcomes.update(other.outcomes)
        for fate in ANSWERED_FATES:
            self.response_time[fate].merge(other.response_time[fate])
            self.service_time[fate].merge(other.service_time[fate])
        self.schedule_lag.merge(other.schedule_lag)

    def count(self, fate: Fate) -> int:
        """How many sent requests met this fate."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.fate is fate)

    def to_json(self) -> IntervalData:
        """The interval as JSON types."""
        return {
            "second": self.second,
            "worker": self.worker,
            "planned": self.planned,
            "sent": self.sent,
            "not_sent": {why.value: count for why, count in self.not_sent.items()},
            "in_flight_max": self.in_flight_max,
            "in_flight": self.in_flight,
            "outcomes": [
                {
                    "transport": outcome.transport.value,
                    "status": outcome.status,
                    "error_code": outcome.error_code,
                    "fate": outcome.fate.value,
                    "count": count,
                }
                for outcome, count in self.outcomes.items()
            ],
            "response_time": {fate.value: histogram.to_json() for fate, histogram in self.response_time.items()},
            "service_time": {fate.value: histogram.to_json() for fate, histogram in self.service_time.items()},
            "schedule_lag": self.schedule_lag.to_json(),
        }

    @classmethod
    def from_json(cls, data: IntervalData) -> Interval:
        """The interval that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        interval = cls(
            second=data["second"],
            worker=data["worker"],
            planned=data["planned"],
            sent=data["sent"],
            not_sent=Counter({NotSent(why): count for why, count in data["not_sent"].items()}),
            in_flight_max=data["in_flight_max"],
            in_flight=data["in_flight"],
        )
        for row in data["outcomes"]:
            outcome = Outcome(Transport(row["transport"]), row["status"], row["error_code"], Fate(row["fate"]))
            interval.outcomes[outcome] += row["count"]
        for fate in ANSWERED_FATES:
            interval.response_time[fate] = Histogram.from_json(data["response_time"][fate.value])
            interval.service_time[fate] = Histogram.from_json(data["service_time"][fate.value])
        interval.schedule_lag = Histogram.from_json(data["schedule_lag"])
        return interval


def by_second(intervals: Iterable[Interval]) -> list[Interval]:
    """
    One interval a second, the workers' merged, ascending.
    """
    seconds: dict[int, Interval] = {}
    for interval in intervals:
        seconds.setdefault(interval.second, Interval(second=interval.second)).merge(interval)
    return [seconds[second] for second in sorted(seconds)]


def total(intervals: Iterable[Interval]) -> Interval:
    """
    All intervals as one.
    """
    seconds = by_second(intervals)
    whole = Interval(second=seconds[0].second if seconds else 0)
    for interval in seconds:
        whole.merge(interval)
    return whole
