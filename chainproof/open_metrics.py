"""
Counts and times of requests in the OpenMetrics text format, which Prometheus reads: after a run, and while it goes on.

The source is the specification "OpenMetrics 1.0" (https://github.com/prometheus/OpenMetrics). A bucket has the requests
that took at most its bound, within the resolution of the histogram; counts and sums are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from chainproof.clock import Seconds
from chainproof.judgement.accounting import accounting
from chainproof.results.exchange import Result
from chainproof.results.intervals.request_stats import TIMED_RESULTS, RequestStats
from chainproof.statistics.histogram import Histogram
from chainproof.stored_text import escape_unprintable

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

BOUNDS: tuple[Seconds, ...] = tuple(
    round(digit * 10.0**power, 3) for power in range(-3, 3) for digit in (1, 2, 5) if digit * 10**power <= 100
)
"""Upper bounds of the buckets, from 1 ms to 100 s."""

Labels = Mapping[str, str]


@dataclass(slots=True)
class Family:
    """One metric: its samples share name, type and description."""

    name: str
    kind: str
    """`counter`, `gauge`, `histogram` or `info`."""
    help: str
    samples: list[tuple[Labels, float | Histogram]] = field(default_factory=list)

    def add(self, value: float | Histogram, labels: Labels) -> None:
        """Add a sample."""
        self.samples.append((labels, value))


_SUFFIXES = {"counter": "_total", "info": "_info", "gauge": ""}
"""What the name of a sample ends with, by the kind of its metric."""


def bucket_counts(histogram: Histogram) -> list[int]:
    """The number of values up to each of `BOUNDS`, and the number of all."""
    return [*map(histogram.count_at_most, BOUNDS), histogram.count]


def exposition(families: Iterable[Family]) -> str:
    """The text of metrics that have samples."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += [f"# TYPE {family.name} {family.kind}", f"# HELP {family.name} {family.help}"]
            lines += [line for labels, value in family.samples for line in _lines(family, labels, value)]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _lines(family: Family, labels: Labels, value: float | Histogram) -> Iterator[str]:
    """The lines of a sample."""
    if not isinstance(value, Histogram):
        yield _line(family.name + _SUFFIXES[family.kind], labels, value)
        return
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), bucket_counts(value), strict=True):
        yield _line(f"{family.name}_bucket", {**labels, "le": bound}, count)
    yield _line(f"{family.name}_count", labels, value.count)
    yield _line(f"{family.name}_sum", labels, value.total)


def _line(name: str, labels: Labels, value: float) -> str:
    """One line with a value."""
    text = ",".join(f'{name}="{_escaped(each)}"' for name, each in labels.items())
    number = "+Inf" if value == math.inf else repr(value)
    return f"{name}{{{text}}} {number}"


def _escaped(text: str) -> str:
    """The value of a label. A control character would end a line for some readers, and control a terminal."""
    text = "\n".join(map(escape_unprintable, text.split("\n")))
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def request_metrics(runs: Iterable[tuple[Labels, RequestStats]]) -> Iterator[Family]:
    """The metrics of the requests of some runs, each with its labels."""
    planned = Family("chainproof_requests_planned", "counter", "Requests that were planned.")
    not_sent = Family("chainproof_requests_not_sent", "counter", "Planned requests that were not sent, by reason.")
    sent = Family("chainproof_requests_sent", "counter", "Requests that were sent.")
    results = Family("chainproof_requests", "counter", "Sent requests by result.")
    outcomes = Family("chainproof_outcomes", "counter", "Sent requests by transport, HTTP status and error code.")
    response = Family(
        "chainproof_response_time_seconds", "histogram", "Time from the intended start to the end, by result."
    )
    service = Family(
        "chainproof_service_time_seconds", "histogram", "Time from the actual start to the end, by result."
    )
    lag = Family("chainproof_schedule_lag_seconds", "histogram", "How late requests were sent.")
    for labels, stats in runs:
        counts = accounting(stats)
        planned.add(counts.planned, labels)
        sent.add(counts.sent, labels)
        for why, count in stats.not_sent.items():
            not_sent.add(count, {**labels, "reason": why.value})
        for result in Result:
            results.add(stats.count(result), {**labels, "result": result.value})
        for outcome, count in stats.outcomes.items():
            parts = {
                "transport": outcome.transport.value,
                "status": str(outcome.status or ""),
                "error_code": outcome.error_code or "",
                "result": outcome.result.value,
                "responsible": outcome.responsible.value if outcome.responsible is not None else "",
            }
            outcomes.add(count, {**labels, **parts})
        for result in TIMED_RESULTS:
            response.add(stats.response_time[result], {**labels, "result": result.value})
            service.add(stats.service_time[result], {**labels, "result": result.value})
        lag.add(stats.schedule_lag, labels)
    yield from (planned, not_sent, sent, results, outcomes, response, service, lag)
