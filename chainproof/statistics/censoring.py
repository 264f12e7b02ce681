"""
The distribution of times, some of which are only known to be longer than an age.

Sources: Kaplan and Meier, "Nonparametric Estimation from Incomplete Observations", JASA 53 (1958); for requests that fail
instead, Aalen and Johansen, "An Empirical Transition Matrix", Scandinavian Journal of Statistics 5 (1978). Requests are
censored because the run stopped waiting, which does not depend on how long they take: that is what the estimate assumes.
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


def kaplan_meier(answered: Histogram, ages: Histogram, total: int, failed: Histogram, lost: int = 0) -> KaplanMeier:
    """
    The estimate for *total* requests: some *answered* or *failed* after a time, some in flight at an age.

    *lost* requests failed at once; all others are never answered. With n at risk and d answered at a time, the share
    answered grows by d/n of those still in flight; without failures this is one minus the product of all (1 - d/n).
    """
    sources = ((answered, _ANSWERED), (failed, _FAILED), (ages, _CENSORED))
    # At the same time, a censored request comes last: it was not answered yet.
    steps = sorted((index, kind, count) for source, kind in sources for index, count in source.buckets.items())
    in_flight, at_risk, share = (1.0 - lost / total if total else 0.0), total - lost, 0.0
    times, shares = [], []
    for index, kind, count in steps:
        ended = in_flight * count / max(at_risk, count)  # a damaged record may have more answers than requests
        at_risk -= count
        if kind == _CENSORED:
            continue
        in_flight -= ended
        if kind == _ANSWERED:
            share += ended
            times.append(_value(answered, index))
            shares.append(share)
    return KaplanMeier(times=tuple(times), shares=tuple(shares))


_ANSWERED, _FAILED, _CENSORED = range(3)


def _value(histogram: Histogram, index: int) -> Seconds:
    """The time of a bucket, as `Histogram.value_at_rank` reports it."""
    return min(max(bucket_midpoint(index), histogram.min_value), histogram.max_value)
