"""Counts and histograms of some requests of a load run, and their JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from chainproof.contract.errors import Responsible
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.intervals.stalls import StalledRequests, StalledRequestsData
from chainproof.statistics.histogram import Histogram, HistogramData

TIMED_RESULTS = (Result.OK, Result.FAILED, Result.CENSORED)
"""The results that have times: of complete answers, and of censored requests their age when the run stopped waiting."""


class OutcomeData(TypedDict):
    """An outcome with its count, in JSON."""

    transport: str
    status: int | None
    error_code: str | None
    result: str
    count: int
    responsible: NotRequired[str]
    """Only of an answer that is not ok."""


class RequestStatsData(TypedDict, total=False):
    """Statistics by phase or payload in JSON; zero and empty values are left out."""

    planned: int
    sent: int
    not_sent: dict[str, int]
    outcomes: list[OutcomeData]
    response_time: dict[str, HistogramData]
    service_time: dict[str, HistogramData]
    schedule_lag: HistogramData
    payloads: dict[str, RequestStatsData]
    stalled: StalledRequestsData


@dataclass(slots=True, kw_only=True)
class RequestStats:
    """Counts and histograms of some requests: of one second, phase or payload."""

    planned: int = 0
    sent: int = 0
    not_sent: Counter[NotSent] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    response_time: dict[Result, Histogram] = field(
        default_factory=lambda: {result: Histogram() for result in TIMED_RESULTS}
    )
    """By result: a fast 429 must not improve the times of ok answers. Of censored requests: their age, a lower bound."""
    service_time: dict[Result, Histogram] = field(
        default_factory=lambda: {result: Histogram() for result in TIMED_RESULTS}
    )
    schedule_lag: Histogram = field(default_factory=Histogram)
    """Of every request sent."""
    payloads: dict[str, RequestStats] = field(default_factory=dict)
    """Outcomes and times by payload, if there are several."""
    stalled: StalledRequests | None = None
    """Those of the requests that stalls of the generator affected; None if there were none."""

    def add_counts(self, other: RequestStats) -> None:
        """Add the counts of other requests, without their times and payloads."""
        self.planned += other.planned
        self.sent += other.sent
        self.not_sent.update(other.not_sent)
        self.outcomes.update(other.outcomes)

    def add(self, other: RequestStats) -> None:
        """Add the counts and times of other requests."""
        self.add_counts(other)
        if other.response_time is not NO_TIMES:
            for result in TIMED_RESULTS:
                self.response_time[result].merge(other.response_time[result])
                self.service_time[result].merge(other.service_time[result])
        self.schedule_lag.merge(other.schedule_lag)
        for name, part in other.payloads.items():
            part_named(self.payloads, name).add(part)
        if other.stalled is not None:
            self.stalled = self.stalled if self.stalled is not None else StalledRequests()
            self.stalled.merge(other.stalled)

    def compact(self) -> None:
        """Release unused memory, until something is counted again."""
        for histogram in (*self.response_time.values(), *self.service_time.values(), self.schedule_lag):
            histogram.compact()
        for part in self.payloads.values():
            part.compact()

    def count(self, result: Result) -> int:
        """The number of sent requests with this result."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.result is result)

    @property
    def answered(self) -> int:
        """The number of complete answers, ok or not."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.transport is Transport.ANSWERED)


NO_TIMES: dict[Result, Histogram] = {result: Histogram() for result in TIMED_RESULTS}
"""Shared by the seconds of rolled-up intervals and never changed: a day has 86,400 of them."""


def part_named(parts: dict[str, RequestStats], name: str) -> RequestStats:
    """The statistics with that name, created when first needed because five histograms take memory."""
    part = parts.get(name)
    if part is None:
        part = parts[name] = RequestStats()
    return part


def outcomes_data(outcomes: Counter[Outcome]) -> list[OutcomeData]:
    """Outcomes with their counts as JSON types."""
    rows: list[OutcomeData] = []
    for outcome, count in outcomes.items():
        row: OutcomeData = {
            "transport": outcome.transport.value,
            "status": outcome.status,
            "error_code": outcome.error_code,
            "result": outcome.result.value,
            "count": count,
        }
        if outcome.responsible is not None:
            row["responsible"] = outcome.responsible.value
        rows.append(row)
    return rows


def read_outcomes(rows: Iterable[OutcomeData]) -> Counter[Outcome]:
    """The outcomes that `outcomes_data` wrote."""
    outcomes: Counter[Outcome] = Counter()
    for row in rows:
        outcome = Outcome(
            Transport(row["transport"]),
            row["status"],
            row["error_code"],
            Result(row["result"]),
            Responsible(row["responsible"]) if "responsible" in row else None,
        )
        outcomes[outcome] += row["count"]
    return outcomes


def parts_data(parts: dict[str, RequestStats]) -> dict[str, RequestStatsData]:
    """Statistics by name as JSON types."""
    return {name: _part_data(part) for name, part in parts.items()}


def _part_data(part: RequestStats) -> RequestStatsData:
    """Statistics as JSON types, without zero and empty values."""
    data: RequestStatsData = {}
    if part.planned:
        data["planned"] = part.planned
    if part.sent:
        data["sent"] = part.sent
    if part.not_sent:
        data["not_sent"] = {why.value: count for why, count in part.not_sent.items()}
    if part.outcomes:
        data["outcomes"] = outcomes_data(part.outcomes)
    response, service = times_data(part.response_time), times_data(part.service_time)
    if response:
        data["response_time"] = response
    if service:
        data["service_time"] = service
    if part.schedule_lag.count:
        data["schedule_lag"] = part.schedule_lag.to_json()
    if part.payloads:
        data["payloads"] = parts_data(part.payloads)
    if part.stalled is not None:
        data["stalled"] = part.stalled.to_json()
    return data


def times_data(times: dict[Result, Histogram]) -> dict[str, HistogramData]:
    """Histograms by result as JSON types, without the empty ones."""
    return {result.value: histogram.to_json() for result, histogram in times.items() if histogram.count}


def read_times(
    part: RequestStats, response_time: dict[str, HistogramData], service_time: dict[str, HistogramData]
) -> None:
    """Set the times that `times_data` wrote."""
    for times, data in ((part.response_time, response_time), (part.service_time, service_time)):
        for result, histogram in data.items():
            times[Result(result)] = Histogram.from_json(histogram)


def read_parts(parts: dict[str, RequestStatsData]) -> dict[str, RequestStats]:
    """The statistics that `parts_data` wrote."""
    return {name: _read_part(part) for name, part in parts.items()}


def _read_part(data: RequestStatsData) -> RequestStats:
    """The statistics that `_part_data` wrote."""
    part = RequestStats(
        planned=data.get("planned", 0),
        sent=data.get("sent", 0),
        not_sent=Counter({NotSent(why): count for why, count in data.get("not_sent", {}).items()}),
        outcomes=read_outcomes(data.get("outcomes", ())),
        payloads=read_parts(data.get("payloads", {})),
        stalled=StalledRequests.from_json(data["stalled"]) if "stalled" in data else None,
    )
    read_times(part, data.get("response_time", {}), data.get("service_time", {}))
    if "schedule_lag" in data:
        part.schedule_lag = Histogram.from_json(data["schedule_lag"])
    return part


def merge_stats(parts: Iterable[RequestStats]) -> RequestStats:
    """Several statistics merged into one."""
    merged = RequestStats()
    for part in parts:
        merged.add(part)
    return merged
