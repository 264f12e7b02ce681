"""
Counts and histograms of one second of a load run, by worker. Intervals can be merged.

A planned or unsent request counts in the second of its intended start, a sent request and its lag in the second in which
it was sent, an outcome and its times in the second in which it was known. So sums over all intervals are exact.

An interval also has statistics by phase and by payload. A request belongs to the phase of its intended start, whenever it
is answered. Payloads are counted within their phase, so that no percentile mixes a warm-up with what comes after it.

In a long run, older seconds are rolled up (`rollup.py`): one interval has their histograms, and the counts of each second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NotRequired, TypedDict

from chainproof.clock import Seconds
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.intervals.generator_health import GeneratorHealth, GeneratorHealthData
from chainproof.results.intervals.request_stats import (
    NO_TIMES,
    OutcomeData,
    RequestStats,
    RequestStatsData,
    outcomes_data,
    part_named,
    parts_data,
    read_outcomes,
    read_parts,
    read_times,
    times_data,
)
from chainproof.results.intervals.retried_calls import Calls, CallsData
from chainproof.results.intervals.second_columns import (
    HEALTH_NAMES,
    TIME_NAMES,
    SecondsData,
    SecondTimes,
    inconsistency,
)
from chainproof.results.intervals.stalls import Stall, StalledRequests, StalledRequestsData
from chainproof.results.intervals.transport_stats import NetworkStats, NetworkStatsData
from chainproof.statistics.histogram import Durations, Histogram, HistogramData

_TIMED_TRANSPORTS = frozenset({Transport.ANSWERED, Transport.DRAIN_ENDED})
"""Requests with times. A deadline is not a service time, and a lost connection has no answer."""


_MAX_SECOND = 366 * 86_400
"""No run takes a year: reports have one point for each second."""


class IntervalData(TypedDict):
    """One line of `intervals.jsonl`."""

    second: int
    worker: str
    planned: int
    sent: int
    not_sent: dict[str, int]
    in_flight_max: int
    in_flight: int
    in_flight_ns: int
    outcomes: list[OutcomeData]
    response_time: dict[str, HistogramData]
    service_time: dict[str, HistogramData]
    schedule_lag: HistogramData
    payloads: NotRequired[dict[str, RequestStatsData]]
    """By payload name, of requests in no phase; only if the workload has several payloads."""
    calls: NotRequired[CallsData]
    """Calls with retries; only if there were some."""
    network: NotRequired[NetworkStatsData]
    """Network statistics; only if anything was sent."""
    phases: NotRequired[dict[str, RequestStatsData]]
    """By phase name, each with its payloads; only if the workload has phases."""
    generator_health: NotRequired[GeneratorHealthData]
    """Only if the generator was monitored."""
    stalled: NotRequired[StalledRequestsData]
    """Requests affected by stalls of the generator; only if there were some."""
    seconds: NotRequired[SecondsData]
    """Only of a rolled-up interval."""


@dataclass(slots=True, kw_only=True)
class Interval(RequestStats):
    """Counts and histograms of one second, or of several merged."""

    second: int
    """The second since the run began, from 0; of a merged interval, its first."""
    worker: str = "0"
    in_flight_max: int = 0
    """Largest number of requests in flight at once."""
    in_flight: int = 0
    """Requests in flight at the end of the second."""
    in_flight_ns: int = 0
    """The area under the curve of requests in flight, in requests times nanoseconds: an integer, so that sums are exact."""
    calls: Calls = field(default_factory=Calls)
    network: NetworkStats = field(default_factory=NetworkStats)
    phases: dict[str, RequestStats] = field(default_factory=dict)
    """By phase of the intended start, if the workload has phases; their payloads are counted only there."""
    generator_health: GeneratorHealth | None = None
    """None if the generator was not monitored."""
    seconds: SecondsData | None = None
    """The seconds of a rolled-up interval; None of any other."""
    second_times: SecondTimes | None = None
    """For a second that was rolled up: its times, since its histograms are empty."""

    @property
    def workers(self) -> Sequence[str]:
        """The names of the processes that sent its requests."""
        return self.seconds["workers"] if self.seconds is not None and "workers" in self.seconds else (self.worker,)

    def ok_quantile(self, name: str) -> Seconds | None:
        """A quantile of the response time of ok answers, also of a second that was rolled up; None without any."""
        if self.second_times is not None:
            return dict(zip(TIME_NAMES, self.second_times, strict=True))[name] or None
        return self.response_time[Result.OK].quantile(TIME_NAMES[name])

    @property
    def in_flight_s(self) -> Seconds:
        """The area under the curve of requests in flight, in requests times seconds."""
        return self.in_flight_ns / 1e9

    def stalled_parts(self, phase: str | None) -> Iterator[StalledRequests]:
        """The requests affected by stalls: all of them, and those of a phase."""
        for part in [self] if phase is None else [self, part_named(self.phases, phase)]:
            if part.stalled is None:
                part.stalled = StalledRequests()
            yield part.stalled

    def count_planned(self, *, phase: str | None = None, times: int = 1) -> None:
        """Count requests whose intended start lies in this second."""
        self.planned += times
        if phase is not None:
            part_named(self.phases, phase).planned += times

    def count_not_sent(self, why: NotSent, *, phase: str | None = None) -> None:
        """Count a planned request that is not sent."""
        self.not_sent[why] += 1
        if phase is not None:
            part_named(self.phases, phase).not_sent[why] += 1

    def count_all_sent(self, schedule_lags: Sequence[Seconds], *, phase: str | None = None) -> None:
        """Count requests as they are sent, by their schedule lag."""
        parts: list[RequestStats] = [self] if phase is None else [self, part_named(self.phases, phase)]
        for part in parts:
            part.sent += len(schedule_lags)
            part.schedule_lag.record_all(schedule_lags)

    def count_outcomes(
        self,
        outcome: Outcome,
        response_times: Durations,
        service_times: Durations,
        *,
        payload: str | None = None,
        phase: str | None = None,
    ) -> None:
        """
        Count sent requests of the same payload and phase that had the same outcome in this second; their times count if
        they were answered or censored.
        """
        part: RequestStats = self
        parts = [part]
        if phase is not None:
            part = part_named(self.phases, phase)
            parts.append(part)
        if payload is not None:
            parts.append(part_named(part.payloads, payload))
        for part in parts:
            part.outcomes[outcome] += len(response_times)
            if outcome.transport in _TIMED_TRANSPORTS:
                part.response_time[outcome.result].record_all(response_times)
                part.service_time[outcome.result].record_all(service_times)

    def compact(self) -> None:
        """Release unused memory, until something is counted again."""
        RequestStats.compact(self)  # `super()` fails in a dataclass with slots
        for part in self.phases.values():
            part.compact()
        self.network.compact()
        if self.generator_health is not None:
            self.generator_health.loop_lag.compact()

    def merge(self, other: Interval) -> None:
        """
        Add another interval: of the same second by another worker, or of a later second.

        In-flight counts are added for the same second; across seconds the larger one is taken.
        """
        if self.second == other.second:
            self.in_flight_max += other.in_flight_max
            self.in_flight += other.in_flight
        else:
            self.in_flight_max = max(self.in_flight_max, other.in_flight_max)
            self.in_flight = other.in_flight
        self.in_flight_ns += other.in_flight_ns
        self.add(other)
        if other.calls is not _NO_CALLS:
            self.calls.merge(other.calls)
            self.network.merge(other.network)
        if other.generator_health is not None:
            self.generator_health = self.generator_health if self.generator_health is not None else GeneratorHealth()
            self.generator_health.merge(other.generator_health)
        for name, part in other.phases.items():
            part_named(self.phases, name).add(part)

    def merge_counts(self, other: Interval) -> None:
        """Add the counts of another interval, its phases and network, without times: those take longer to add."""
        self.add_counts(other)
        self.network.merge_counts(other.network)
        for name, part in other.phases.items():
            part_named(self.phases, name).add_counts(part)

    def to_json(self) -> IntervalData:
        """The interval as JSON types."""
        data: IntervalData = {
            "second": self.second,
            "worker": self.worker,
            "planned": self.planned,
            "sent": self.sent,
            "not_sent": {why.value: count for why, count in self.not_sent.items()},
            "in_flight_max": self.in_flight_max,
            "in_flight": self.in_flight,
            "in_flight_ns": self.in_flight_ns,
            "outcomes": outcomes_data(self.outcomes),
            "response_time": times_data(self.response_time),
            "service_time": times_data(self.service_time),
            "schedule_lag": self.schedule_lag.to_json(),
        }
        if self.payloads:
            data["payloads"] = parts_data(self.payloads)
        if self.calls:
            data["calls"] = self.calls.to_json()
        if self.network:
            data["network"] = self.network.to_json()
        if self.phases:
            data["phases"] = parts_data(self.phases)
        if self.generator_health is not None:
            data["generator_health"] = self.generator_health.to_json()
        if self.stalled is not None:
            data["stalled"] = self.stalled.to_json()
        if self.seconds is not None:
            data["seconds"] = self.seconds
        return data

    @classmethod
    def from_json(cls, data: IntervalData) -> Interval:
        """The interval that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        if not 0 <= data["second"] < _MAX_SECOND:
            raise ValueError(f"/second: expected 0 to {_MAX_SECOND - 1}, found {data['second']}")
        interval = cls(
            second=data["second"],
            worker=data["worker"],
            planned=data["planned"],
            sent=data["sent"],
            not_sent=Counter({NotSent(why): count for why, count in data["not_sent"].items()}),
            in_flight_max=data["in_flight_max"],
            in_flight=data["in_flight"],
            in_flight_ns=data["in_flight_ns"],
            outcomes=read_outcomes(data["outcomes"]),
            schedule_lag=Histogram.from_json(data["schedule_lag"]),
            payloads=read_parts(data.get("payloads", {})),
            calls=Calls.from_json(data["calls"]) if "calls" in data else Calls(),
            network=NetworkStats.from_json(data.get("network", {})),
            phases=read_parts(data.get("phases", {})),
            generator_health=GeneratorHealth.from_json(data["generator_health"])
            if "generator_health" in data
            else None,
            stalled=StalledRequests.from_json(data["stalled"]) if "stalled" in data else None,
            seconds=data.get("seconds"),
        )
        read_times(interval, data["response_time"], data["service_time"])
        _check_seconds(interval)
        return interval


_NO_LAG = Histogram()
_NO_CALLS = Calls()
_NONE_UNSENT: Counter[NotSent] = Counter()
_NO_STALLS: list[Stall] = []
_NO_NETWORK = NetworkStats()
_NO_PARTS: dict[str, RequestStats] = {}


def _check_seconds(interval: Interval) -> None:
    """Raise ValueError if the seconds of a rolled-up interval contradict it."""
    if interval.seconds is None:
        return
    totals = {"planned": interval.planned, "sent": interval.sent}
    totals |= {why.value: count for why, count in interval.not_sent.items()}
    contradiction = inconsistency(interval.seconds, totals, list(interval.outcomes.values()))
    numbers = interval.seconds["numbers"]
    if contradiction is None and not 0 <= numbers[0] == interval.second <= numbers[-1] < _MAX_SECOND:
        contradiction = "/seconds/numbers: expected seconds from `second` on"
    phases = [interval.seconds["phase"]] if "phase" in interval.seconds else []
    if contradiction is None and list(interval.phases) != phases:
        contradiction = "/seconds/phase: expected the only phase of the interval"
    if contradiction is not None:
        raise ValueError(contradiction)


_SharedOutcomes = dict[tuple[Outcome, ...], dict[tuple[int, ...], Counter[Outcome]]]
"""The counts of seconds with the same outcomes, by their counts."""


def split(interval: Interval, shared: _SharedOutcomes | None = None) -> Iterator[Interval]:
    """
    The seconds of a rolled-up interval. Any other interval is returned unchanged.

    Each has its counts. The first one also has everything that is known for all of them together, so that sums are exact.
    Seconds with equal outcomes share them, with those of other intervals too if *shared* is passed: they are not changed.
    """
    seconds = interval.seconds
    if seconds is None:
        yield interval
        return
    outcomes = list(interval.outcomes)
    reasons = [NotSent(why) for why in seconds["not_sent"]]
    same_outcomes = ({} if shared is None else shared).setdefault(tuple(outcomes), {})
    by_outcome = zip(*seconds["outcomes"], strict=True) if outcomes else ((),) * len(seconds["numbers"])
    by_reason = zip(*seconds["not_sent"].values(), strict=True) if reasons else ((),) * len(seconds["numbers"])
    by_time = zip(*(seconds["ok_response_time_s"][name] for name in TIME_NAMES), strict=True)
    for place, (ended, unsent, kept) in enumerate(zip(by_outcome, by_reason, by_time, strict=True)):
        counts = RequestStats(
            planned=seconds["planned"][place],
            sent=seconds["sent"][place],
            not_sent=Counter({why: count for why, count in zip(reasons, unsent, strict=True) if count})
            if any(unsent)
            else _NONE_UNSENT,
            outcomes=same_outcomes.setdefault(ended, _counter(outcomes, ended)),
            response_time=NO_TIMES,
            service_time=NO_TIMES,
            schedule_lag=_NO_LAG,
            payloads=_NO_PARTS,
        )
        second = _split_second(interval, seconds, place, counts)
        second.second_times = kept
        yield _first_second(second, interval) if place == 0 else second


def _split_second(interval: Interval, seconds: SecondsData, place: int, counts: RequestStats) -> Interval:
    """One second of a rolled-up interval."""
    phase, health = seconds.get("phase"), seconds.get("generator_health")
    return Interval(
        second=seconds["numbers"][place],
        worker=interval.worker,
        planned=counts.planned,
        sent=counts.sent,
        not_sent=counts.not_sent,
        outcomes=counts.outcomes,
        in_flight_max=seconds["in_flight_max"][place],
        in_flight=seconds["in_flight"][place],
        response_time=NO_TIMES,
        service_time=NO_TIMES,
        schedule_lag=_NO_LAG,
        payloads=_NO_PARTS,
        calls=_NO_CALLS,
        network=_NO_NETWORK,
        phases=_NO_PARTS if phase is None else {phase: counts},
        generator_health=None
        if health is None
        else GeneratorHealth(
            **{name: health[name][place] for name in HEALTH_NAMES}, loop_lag=_NO_LAG, stalls=_NO_STALLS
        ),
    )


def _counter(outcomes: Sequence[Outcome], counts: Sequence[int]) -> Counter[Outcome]:
    """The outcomes that occurred, with their counts."""
    return Counter({outcome: count for outcome, count in zip(outcomes, counts, strict=True) if count})


def _first_second(second: Interval, interval: Interval) -> Interval:
    """The first second of a rolled-up interval, with everything that is known for all of its seconds together."""
    health = interval.generator_health
    if health is not None and second.generator_health is not None:
        own = {name: getattr(second.generator_health, name) for name in HEALTH_NAMES}
        health = replace(health, **own)
    return replace(
        second,
        response_time=interval.response_time,
        service_time=interval.service_time,
        schedule_lag=interval.schedule_lag,
        payloads=interval.payloads,
        calls=interval.calls,
        network=interval.network,
        in_flight_ns=interval.in_flight_ns,
        stalled=interval.stalled,
        generator_health=health,
        phases={
            name: replace(
                part, planned=second.planned, sent=second.sent, not_sent=second.not_sent, outcomes=second.outcomes
            )
            for name, part in interval.phases.items()
        },
    )


def by_second(intervals: Iterable[Interval]) -> list[Interval]:
    """
    One interval per second, workers merged and rolled-up ones split, ascending.

    A single interval of a second is returned unchanged.
    """
    seconds: dict[int, list[Interval]] = {}
    shared: _SharedOutcomes = {}
    for interval in intervals:
        for each in split(interval, shared):
            seconds.setdefault(each.second, []).append(each)
    return [_merged(seconds[second]) for second in sorted(seconds)]


def _merged(intervals: Sequence[Interval]) -> Interval:
    """The intervals of several workers in one second, merged."""
    if len(intervals) == 1:
        return intervals[0]
    merged = Interval(second=intervals[0].second)
    for interval in intervals:
        merged.merge(interval)
    merged.compact()
    # Late counts of a second that was rolled up have no times: its times are those that were kept.
    rolled_up = [each for each in intervals if each.second_times is not None]
    if rolled_up:
        merged.second_times = max(rolled_up, key=lambda each: each.count(Result.OK)).second_times
    return merged


def total(intervals: Iterable[Interval]) -> Interval:
    """All intervals merged into one."""
    seconds = by_second(intervals)
    merged = Interval(second=seconds[0].second if seconds else 0)
    for interval in seconds:
        merged.merge(interval)
    return merged
