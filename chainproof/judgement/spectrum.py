"""The percentile spectrum of a load run: response times of ok answers at many percentiles, as far as the sample supports them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chainproof.clock import Seconds
from chainproof.judgement.judged_requests import JudgedRequests
from chainproof.judgement.latency import QUANTILES
from chainproof.results.exchange import Result
from chainproof.statistics.confidence_intervals import quantile
from chainproof.statistics.time_batches import time_batches

_PER_DECADE = 8
"""Points for each factor of ten in the share of slower answers."""

FRACTIONS = tuple(
    sorted(
        {1 - 10 ** (-step / _PER_DECADE) for step in range(1, 4 * _PER_DECADE)}
        | {fraction for _, fraction in QUANTILES}
        | {0.9999}
    )
)
"""From p25 to p99.99, with the quantiles that every report gives."""


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
    for fraction in FRACTIONS if times.count else ():
        estimate = quantile(times, fraction, dependence=batches.dependence_of_quantile(fraction))
        if estimate is not None and estimate.low is not None and estimate.high is not None:
            slower = times.count - max(1, math.ceil(fraction * times.count - 1e-9))
            points.append(
                SpectrumPoint(
                    fraction=fraction, value=estimate.value, low=estimate.low, high=estimate.high, slower=slower
                )
            )
    return tuple(points)
