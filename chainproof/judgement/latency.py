"""
The times of a load run: of ok answers, of all planned requests, and of rejected ones. Every report shows these figures.

The headline is the response time of ok answers, since a fast refusal is no answer. It says nothing of the requests that were
not answered ok; in the times of all planned requests those count as never answered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from chainproof.clock import Seconds, format_duration
from chainproof.judgement.judged_requests import JudgedRequests, planned_requests, settled_requests
from chainproof.judgement.timing_names import RESPONSE_TIME, SERVICE_TIME, TIMING_NAMES
from chainproof.results.exchange import Result
from chainproof.results.intervals.interval import Interval
from chainproof.results.intervals.request_stats import RequestStats, merge_stats
from chainproof.results.manifest import Manifest
from chainproof.statistics.confidence_intervals import Estimate, quantile
from chainproof.statistics.dependence import independent, stronger
from chainproof.statistics.histogram import Histogram
from chainproof.statistics.time_batches import TimeBatches, time_batches

QUANTILES: tuple[tuple[str, float], ...] = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))
"""The quantiles that every report gives."""

_NEXT_BUCKET = 1.002
"""A time that is longer by this factor is not counted as equal."""
_PER_DECADE = 8
"""Points for each factor of ten in the share of slower answers."""

_SPECTRUM_FRACTIONS = tuple(
    sorted(
        {1 - 10 ** (-step / _PER_DECADE) for step in range(1, 4 * _PER_DECADE)}
        | {fraction for _, fraction in QUANTILES}
        | {0.9999}
    )
)
"""From p25 to p99.99, with the quantiles that every report gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """A distribution of times in a few numbers, in seconds. The time of a request that was never answered is infinite."""

    count: int
    quantiles: Mapping[str, Estimate]
    """By name (`p50` … `p99.9`), each with its 95 % interval; empty if nothing was counted."""
    max: Seconds | None
    min: Seconds | None
    mean: Seconds | None


def timings(stats: RequestStats, seconds: Sequence[RequestStats] = ()) -> dict[str, Timing]:
    """
    Every kind of time of some requests, in the order of `TIMING_NAMES`.

    *seconds* are the requests of each second; without them, intervals count requests as independent.
    """
    never_answered = max(planned_requests(stats) - stats.response_time[Result.OK].count, 0)
    settled = [settled_requests(each) for each in seconds]
    each = (
        _timing_of(stats, seconds, lambda part: part.response_time[Result.OK]),
        _timing_of(stats, seconds, lambda part: part.service_time[Result.OK]),
        timing(
            stats.response_time[Result.OK],
            never_answered,
            time_batches([part.response_time[Result.OK] for part in seconds], settled),
        ),
        _timing_of(stats, seconds, lambda part: part.response_time[Result.FAILED]),
        _timing_of(stats, seconds, lambda part: part.schedule_lag),
    )
    return dict(zip(TIMING_NAMES, each, strict=True))


def response_timing(stats: RequestStats, seconds: Sequence[RequestStats], result: Result) -> Timing:
    """The response times of one result."""
    return _timing_of(stats, seconds, lambda part: part.response_time[result])


def _timing_of(
    stats: RequestStats, seconds: Sequence[RequestStats], times_of: Callable[[RequestStats], Histogram]
) -> Timing:
    """One kind of time, with intervals for the dependence that its seconds show."""
    return timing(times_of(stats), batches=time_batches([times_of(part) for part in seconds]))


def timing(histogram: Histogram, never_answered: int = 0, batches: TimeBatches | None = None) -> Timing:
    """
    A distribution in a few numbers, of the times in a histogram and of requests that were never answered.

    The intervals count the values as independent, unless *batches* have them by time.
    """
    estimates: dict[str, Estimate] = {}
    high: Seconds | None = None
    for name, fraction in reversed(QUANTILES if histogram.count or never_answered else ()):
        estimate = quantile_by_time(histogram, fraction, batches, never_answered)
        if estimate is not None:
            # What bounds p95 also bounds p50, whose requests may depend on each other more.
            high = estimate.high if estimate.high is not None else high
            estimates[name] = replace(estimate, high=high)
    return Timing(
        count=histogram.count + never_answered,
        quantiles=dict(reversed(estimates.items())),
        max=math.inf if never_answered else histogram.max,
        min=histogram.min if histogram.count or not never_answered else math.inf,
        mean=None if never_answered else histogram.mean,
    )


def quantile_by_time(
    histogram: Histogram, fraction: float, batches: TimeBatches | None, never_answered: int = 0
) -> Estimate | None:
    """
    A quantile with its 95 % interval, for the dependence of the requests in *batches*.

    A target in two states has few times between the fast and the slow ones, and all slow ones come in few spells. So the
    requests beyond an end of the interval may depend on each other more than those at the quantile. Then they decide
    where the interval ends.
    """
    dependence = independent() if batches is None else batches.dependence_of_quantile(fraction)
    estimate = quantile(histogram, fraction, dependence=dependence, beyond=never_answered)
    if batches is None or estimate is None:
        return estimate

    def with_ends_at(limit: Seconds | None) -> Estimate:
        """The quantile, if requests depend on each other as the share within *limit* does."""
        if limit is None or not math.isfinite(limit):
            return estimate
        at_end = stronger(dependence, batches.dependence_at(limit))
        return quantile(histogram, fraction, dependence=at_end, beyond=never_answered) or estimate

    low = None if estimate.low is None else with_ends_at(estimate.low / _NEXT_BUCKET).low
    high = None if estimate.high is None else with_ends_at(estimate.high * _NEXT_BUCKET).high
    return replace(estimate, low=low, high=high)


def judged_requests(manifest: Manifest, totals: Interval) -> RequestStats:
    """The requests of the judged phases; all requests if no phase is judged or recorded."""
    judged = dict.fromkeys(phase.name for phase in manifest.phases if phase.judged)
    if judged and totals.phases:
        return merge_stats(totals.phases[name] for name in judged if name in totals.phases)
    everything = merge_stats([totals])
    for stats in totals.phases.values():
        everything.add(RequestStats(payloads=stats.payloads))
    return everything


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrumPoint:
    """One percentile with its 95 % interval."""

    fraction: float
    value: Seconds
    low: Seconds
    high: Seconds
    slower: int
    """The number of answers above the percentile, which is what its value rests on."""


def spectrum(requests: JudgedRequests) -> tuple[SpectrumPoint, ...]:
    """
    The percentiles of the response time of ok answers whose interval has both ends.

    As in every table, the intervals take into account that requests depend on each other.
    """
    times = requests.stats.response_time[Result.OK]
    batches = time_batches([part.response_time[Result.OK] for part in requests.seconds])
    points = []
    for fraction in _SPECTRUM_FRACTIONS if times.count else ():
        estimate = quantile_by_time(times, fraction, batches)
        if estimate is not None and estimate.low is not None and estimate.high is not None:
            slower = times.count - max(1, math.ceil(fraction * times.count - 1e-9))
            points.append(
                SpectrumPoint(
                    fraction=fraction, value=estimate.value, low=estimate.low, high=estimate.high, slower=slower
                )
            )
    return tuple(points)


NOT_ANSWERED = "not answered"
NEVER = "never"
"""Shown for an end of an interval that is the time of a request that was not answered."""
TOO_FEW = "too few"
"""Shown where there are too few answers for a confidence bound."""


def time_text(seconds: Seconds | None) -> str:
    """A time with its unit; "not answered" if it is infinite, a dash for None."""
    if seconds is None:
        return "–"
    return NOT_ANSWERED if math.isinf(seconds) else format_duration(seconds)


def columns(timing: Timing) -> dict[str, Seconds | None]:
    """Values by name: p50 … p99.9, max."""
    return {name: estimate.value for name, estimate in timing.quantiles.items()} | {"max": timing.max}


def too_few(timing: Timing, name: str) -> bool:
    """True if a quantile has no upper confidence bound, so that the true value may be much higher."""
    estimate = timing.quantiles.get(name)
    return estimate is not None and estimate.high is None


def interval_text(timing: Timing, name: str) -> str:
    """The 95 % interval of a quantile, "too few" for a missing bound; empty where nothing was counted or answered."""
    estimate = timing.quantiles.get(name)
    if estimate is None or estimate.low == math.inf:
        return ""
    if estimate.low is None and estimate.high is None:
        return TOO_FEW
    return " – ".join(map(_bound_text, (estimate.low, estimate.high)))


def interval_notes(each: Mapping[str, Timing]) -> list[str]:
    """What the intervals of a table need to be understood: its words, and a part of a time with a wider interval than the whole."""
    texts = " ".join(interval_text(timing, name) for timing in each.values() for name in timing.quantiles)
    notes = []
    if TOO_FEW in texts:
        notes.append(f"{TOO_FEW}: there are too few independent answers to bound the true value at this end")
    if NEVER in texts:
        notes.append(f"{NEVER}: the true value may be that of a request that was not answered")
    response, service = each[RESPONSE_TIME].quantiles, each[SERVICE_TIME].quantiles
    highs = [(response[name].high, service[name].high) for name in response.keys() & service.keys()]
    if any(whole is not None and (part is None or part > whole * _NEXT_BUCKET) for whole, part in highs):
        notes.append(
            "Each interval follows from how much the values of its own column vary over time, so that of the service time can "
            "be wider than that of the response time."
        )
    return notes


def text_with_interval(timing: Timing, name: str) -> str:
    """A quantile with its 95 % interval in brackets."""
    value, interval = time_text(columns(timing).get(name)), interval_text(timing, name)
    return f"{value} ({interval})" if interval else value


def _bound_text(bound: Seconds | None) -> str:
    """One end of an interval."""
    if bound is None:
        return TOO_FEW
    return NEVER if math.isinf(bound) else format_duration(bound)
