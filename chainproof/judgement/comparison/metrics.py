"""The figures of a load run that are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from chainproof.judgement.judged_requests import JudgedRequests
from chainproof.results.exchange import NotSent, Result
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.statistics.measurements import Measurement, log_quantile, log_rate, share


class Metric(StrEnum):
    """A figure of a load run."""

    P50 = "p50"
    P95 = "p95"
    P99 = "p99"
    ERROR_RATE = "error_rate"
    """Failed and timed out, of the requests with a result."""
    OK_OF_PLANNED = "ok_of_planned"
    THROUGHPUT = "throughput"
    """Ok answers per second, of the closed model and of searches: in the open model the plan decides it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricKind:
    """What a metric is called, and how its changes are measured."""

    title: str
    meaning: str
    is_share: bool = False
    """Whether changes are differences of shares; otherwise they are ratios."""
    higher_is_better: bool = False

    def value(self, measured: float) -> float:
        """The figure in its own unit: seconds, a share, or per second."""
        return measured if self.is_share else math.exp(measured)

    def change(self, difference: float) -> float:
        """
        The change that a difference of measurements is: of shares the difference, else candidate ÷ baseline − 1.

        Shares differ by at most 1, also at the end of an interval.
        """
        return min(max(difference, -1.0), 1.0) if self.is_share else math.expm1(min(difference, 700.0))


METRIC_KINDS: dict[Metric, MetricKind] = {
    Metric.P50: MetricKind(title="p50", meaning="median response time of ok answers"),
    Metric.P95: MetricKind(title="p95", meaning="95th percentile of the response time of ok answers"),
    Metric.P99: MetricKind(title="p99", meaning="99th percentile of the response time of ok answers"),
    Metric.ERROR_RATE: MetricKind(
        title="error rate", meaning="failed and timed out, of the requests with a result", is_share=True
    ),
    Metric.OK_OF_PLANNED: MetricKind(
        title="ok of planned", meaning="ok answers, of all planned requests", is_share=True, higher_is_better=True
    ),
    Metric.THROUGHPUT: MetricKind(
        title="throughput",
        meaning="ok answers per second in the closed model; the saturation rate of a search",
        higher_is_better=True,
    ),
}
"""Every metric, in the order of every report."""

QUANTILES = {Metric.P50: 0.5, Metric.P95: 0.95, Metric.P99: 0.99}

Measurements = Mapping[Metric, Measurement | None]
"""The metrics of one run; None where it has too few requests."""


def measure(requests: JudgedRequests, *, is_closed: bool) -> Measurements:
    """Every metric of a run."""
    seconds = requests.seconds
    times = [each.response_time[Result.OK] for each in seconds]
    found: dict[Metric, Measurement | None] = {
        metric: log_quantile(times, fraction) for metric, fraction in QUANTILES.items()
    }
    ok, failed, timed_out = (
        [each.count(result) for each in seconds] for result in (Result.OK, Result.FAILED, Result.TIMED_OUT)
    )
    errors = list(map(sum, zip(failed, timed_out, strict=True)))
    found[Metric.ERROR_RATE] = share(errors, list(map(sum, zip(ok, errors, strict=True))))
    found[Metric.OK_OF_PLANNED] = share(ok, list(map(_settled, seconds)))
    if is_closed:
        found[Metric.THROUGHPUT] = log_rate(requests.ok_by_second)
    return found


def _settled(second: RequestStats) -> int:
    """
    The planned requests whose result was known in this second, or that were not sent in it. Over a run these are all.

    They are not counted by their intended start: requests in flight between two seconds would look like changes of the share.
    """
    return second.outcomes.total() + second.not_sent[NotSent.MAX_IN_FLIGHT]
