"""
The distribution of times of which some are known only to be longer than an age.

Source: Kaplan and Meier, "Nonparametric Estimation from Incomplete Observations", JASA 53 (1958). Requests are censored
because the run stopped waiting, which does not depend on how long they take: that is what the estimate assumes.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.clock import Seconds
from chainproof.statistics.histogram import Histogram, bucket_midpoint

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class KaplanMeier:
    """The estimated share of requests that are answered within a time."""

    times: tuple[Seconds, ...]
    """Ascending: the times at which requests were answered."""
    shares: tuple[float, ...]
    """The share answered up to each of these times."""

    def share_within(self, limit: Seconds) -> float:
        """The estimated share answered within *limit*."""
        return max((share for time, share in zip(self.times, self.shares, strict=True) if time <= limit), default=0.0)

    def quantile(self, fraction: float) -> Seconds | None:
        """The time within which this share is answered; None if the estimate never reaches it."""
        pairs = zip(self.times, self.shares, strict=True)
        return next((time for time, share in pairs if share >= fraction - _ROUNDING), None)


def kaplan_meier(answered: Histogram, ages: Histogram, total: int) -> KaplanMeier:
    """
    The estimate for *total* requests: some *answered*, some in flight at an age, and the others never answered.

    With n at risk and d answered at each time, the share still unanswered is the product of (1 - d/n).
    """
    steps = sorted(
        [(index, False, count) for index, count in answered.buckets.items()]
        + [(index, True, count) for index, count in ages.buckets.items()]
    )  # an answer comes before a censored request of the same age
    unanswered, at_risk = 1.0, total
    times, shares = [], []
    for index, is_censored, count in steps:
        if not is_censored:
            unanswered *= 1.0 - count / max(at_risk, count)  # a damaged record may have more answers than requests
            times.append(_value(answered, index))
            shares.append(1.0 - unanswered)
        at_risk -= count
    return KaplanMeier(times=tuple(times), shares=tuple(shares))


def _value(histogram: Histogram, index: int) -> Seconds:
    """The time of a bucket, as `Histogram.value_at_rank` reports it."""
    return min(max(bucket_midpoint(index), histogram.min_value), histogram.max_value)
