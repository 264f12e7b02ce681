"""
What the probes of a search say about each rate. Pure functions: the search and its simulation use the same.

All probes of one rate are one sample, and rates are compared under the assumption that a higher rate is never better
(`chainproof.statistics.isotonic`). Requests depend on each other, so each rate counts as many independent requests as tell
the same (`chainproof.statistics.dependence`). A rate at which the number of requests in flight keeps growing is missed,
whatever the response times are: they would grow without end.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from statistics import NormalDist

from chainproof.clock import PerSecond, Seconds
from chainproof.statistics.confidence_intervals import ShareEstimate
from chainproof.statistics.dependence import Dependence, measure_dependence
from chainproof.statistics.growth import Trend, trend
from chainproof.statistics.isotonic import LevelCounts, falling_shares

CONFIDENCE = 0.98
"""Of the interval of each share. Its ends are 99 % bounds, because a search looks at several rates several times."""
_TAIL = (1.0 - CONFIDENCE) / 2
_POWER = 0.8
"""The probability with which the number of requests that is asked for decides a rate."""


class ProbeVerdict(StrEnum):
    """The verdict of a probe."""

    MET = "met"
    """Every objective was met."""
    MISSED = "missed"
    """At least one objective was missed."""
    INCONCLUSIVE = "inconclusive"
    """Too few requests for a verdict."""
    INVALID = "invalid"
    """The measurement cannot be trusted: the generator does not keep up."""


class ProbePurpose(StrEnum):
    """The step of the search that a probe belongs to."""

    DOUBLING = "doubling"
    APPROACHING = "approaching"
    VERIFYING = "verifying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many requests of a probe were good for one objective."""

    required: float
    """The share of good requests that the objective demands."""
    good: int
    unknown: int = 0
    """Requests that were still in flight at the end and may be good as well."""
    total: int
    good_by_second: tuple[int, ...] = ()
    total_by_second: tuple[int, ...] = ()
    """From these the dependence of requests is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A run at one rate, with its verdict and what the search needs of it."""

    rate: PerSecond
    purpose: ProbePurpose
    verdict: ProbeVerdict
    """Of this run alone."""
    reason: str = ""
    """The reason of the verdict, as a sentence."""
    folder: str = ""
    seconds: Seconds = 0.0
    """Length of the judged phase."""
    elapsed: Seconds = 0.0
    """How long the probe took, with the pause before it, warm-up and drain."""
    planned: int = 0
    ok: int = 0
    response_time: dict[str, Seconds] = field(default_factory=dict)
    """Response time of the ok requests, by percentile."""
    in_flight: tuple[float, ...] = ()
    """Requests without an outcome at the end of each judged second."""
    counts: tuple[Counts, ...] = ()
    """One for each objective that is a share of requests."""
    others: ProbeVerdict = ProbeVerdict.MET
    """The verdict on objectives that are no share of requests, such as a throughput."""


class RateStatus(StrEnum):
    """What all probes together say about a rate."""

    MET = "met"
    """It was shown that the objectives are met."""
    MISSED = "missed"
    """It was shown that an objective is missed, or that requests in flight keep growing."""
    OPEN = "open"
    """Neither was shown yet."""
    GROWING = "growing"
    """Requests in flight grew in the only probe so far: another one has to confirm it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateEvidence:
    """What all probes together say about a rate."""

    rate: PerSecond
    status: RateStatus
    probes: int
    requests: int
    requests_needed: int
    """About how many requests in all would decide it."""
    likely_met: bool
    """True if the best estimate meets every objective."""
    shares: tuple[ShareEstimate, ...]
    """The share of good requests for each objective, with its interval."""


def evidence(probes: Sequence[Probe]) -> list[RateEvidence]:
    """What the valid probes say about each rate, in ascending order."""
    by_rate: dict[PerSecond, list[Probe]] = defaultdict(list)
    for probe in probes:
        if probe.verdict is not ProbeVerdict.INVALID:
            by_rate[probe.rate].append(probe)
    rates = sorted(by_rate)
    number = len(probes[0].counts) if probes else 0
    pooled = [
        [_pooled(tuple(probe.counts[place] for probe in by_rate[rate])) for rate in rates] for place in range(number)
    ]
    shares = [falling_shares([each.counts for each in row], CONFIDENCE) for row in pooled]
    return [
        _rate_evidence(by_rate[rate], [row[place] for row in pooled], [row[place] for row in shares])
        for place, rate in enumerate(rates)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pooled:
    """The requests of all probes of one rate, for one objective."""

    required: float
    counts: LevelCounts
    dependence: Dependence


@lru_cache(maxsize=1000)
def _pooled(counts: tuple[Counts, ...]) -> _Pooled:
    """All probes of one rate as one sample; their seconds follow each other, so differences between probes count too."""
    total = sum(each.total for each in counts)
    dependence = measure_dependence(
        list(chain.from_iterable(each.good_by_second for each in counts)),
        list(chain.from_iterable(each.total_by_second for each in counts)),
    )
    return _Pooled(
        required=counts[0].required,
        counts=LevelCounts(
            good=sum(each.good for each in counts),
            unknown=sum(each.unknown for each in counts),
            total=total,
            effective=dependence.effective_size(total, _TAIL),
        ),
        dependence=dependence,
    )


def _rate_evidence(probes: Sequence[Probe], pooled: Sequence[_Pooled], shares: Sequence[ShareEstimate]) -> RateEvidence:
    in_flight = trend([probe.in_flight for probe in probes])
    likely = probes[-1].others is ProbeVerdict.MET and all(
        share.value >= each.required for share, each in zip(shares, pooled, strict=True)
    )
    return RateEvidence(
        rate=probes[0].rate,
        status=_status(probes, pooled, shares, in_flight=in_flight, likely=likely),
        probes=len(probes),
        requests=sum(probe.planned for probe in probes),
        requests_needed=max((_needed(*pair) for pair in zip(shares, pooled, strict=True)), default=1),
        likely_met=likely,
        shares=tuple(shares),
    )


def _status(
    probes: Sequence[Probe],
    pooled: Sequence[_Pooled],
    shares: Sequence[ShareEstimate],
    *,
    in_flight: Trend,
    likely: bool,
) -> RateStatus:
    others = [probe.others for probe in probes]
    missed = 2 * others.count(ProbeVerdict.MISSED) >= len(others) or any(
        share.high < each.required
        if each.required < 1.0
        else each.counts.good + each.counts.unknown < each.counts.total
        for share, each in zip(shares, pooled, strict=True)
    )
    if missed or (in_flight.grows and (len(probes) > 1 or not likely)):
        return RateStatus.MISSED
    if in_flight.grows:
        return RateStatus.GROWING
    met = others[-1] is ProbeVerdict.MET and all(
        each.counts.good == each.counts.total > 0
        if each.required >= 1.0
        else share.low >= each.required and not each.dependence.too_short
        for share, each in zip(shares, pooled, strict=True)
    )
    return RateStatus.MET if met else RateStatus.OPEN


def _needed(share: ShareEstimate, pooled: _Pooled) -> int:
    """
    The number of requests that shows with `_POWER` that the estimated share differs from the required one.

    It is the sample size of a test of one proportion, times the design effect.
    """
    distance = abs(share.value - pooled.required)
    total, effective = pooled.counts.total, pooled.counts.effective
    if not distance or not total:
        return 1 << 62
    variance = max(share.value * (1.0 - share.value), 0.2 * pooled.required * (1.0 - pooled.required))
    z = NormalDist().inv_cdf(1.0 - _TAIL) + NormalDist().inv_cdf(_POWER)
    per_second = total / max(pooled.dependence.seconds, 1.0)
    return math.ceil(
        max(variance * (z / distance) ** 2 * total / max(effective, 1.0), pooled.dependence.seconds_needed * per_second)
    )
