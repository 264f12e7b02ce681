"""
How much the requests of a run depend on each other: design effect and correlation time.

Requests share queues, replicas and stalls, so neighbours are alike, and *n* of them tell less than *n* independent ones.
The design effect says how much less: the variance of a share, divided by the variance for independent requests (Kish,
Survey Sampling, 1965). Intervals count n / design effect requests (Korn and Graubard, Survey Methodology 24(2), 1998).

The method is that of batch means. The run is cut into equal batches of time, and for each one *z* is the number of good
requests minus the number expected at the share of the whole run. Independent requests have Σz² ≈ n·p·(1 − p).

1. Batches of every length from one second are tried, each twice as long as the one before, down to ten batches. If no
   length has a sum that is significantly too large (chi-square, 5 %), the requests count as independent.
2. Otherwise the shortest batches are taken that are not correlated with their neighbours, and what correlation is left is
   corrected by (1 + r) / (1 − r), r being the lag-1 autocorrelation with its bias removed. This is the choice of N-Skart
   (Tafazzoli, Steiger and Wilson, IEEE Transactions on Automatic Control 56(2), 2011). So independent requests are
   judged from up to 200 batches and lose little power, and slow waves are judged from few long ones.
3. The variance is known only as well as so many batches tell it, so intervals multiply by (t / z)² for as many degrees of
   freedom.

The correlation time τ is that of a correlation that decays as exp(−t / τ). It follows from how much of the excess variance
shows within batches of a given length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from chainproof.clock import Seconds

MAX_BATCHES = 200
"""More batches do not make the variance noticeably more certain."""
MIN_BATCHES = 10
"""Fewer batches make intervals more than twice as wide as necessary."""
MIN_LOOKS = 10
"""Correlation times in a run below which it saw too few independent states of the target."""
_SIGNIFICANCE = 0.05
_BEYOND_DOUBT = 0.01
_SHORTEST: Seconds = 1e-3
"""The correlation time of requests that depend on each other, but not noticeably within any batch."""
_MAX_CORRELATION = 0.9
"""Lag-1 autocorrelation up to which it is corrected: beyond, a run is too short for any method."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependence:
    """How much the requests of a run depend on each other."""

    design_effect: float
    """Variance of a share, divided by the variance if the requests were independent; at least 1."""
    degrees_of_freedom: float
    """How certain the variance is: the number of batches minus one. Infinite if no dependence was found."""
    correlation_time: Seconds
    """After this time the correlation of requests has fallen to 1/e. 0 if no dependence was found."""
    seconds: Seconds
    """The time over which it was measured."""

    def effective_size(self, count: float, tail: float) -> float:
        """The number of independent requests that tell as much as *count* do, for a bound with this error on one side."""
        if self.design_effect <= 1.0:
            return float(count)
        t = 1.0
        if math.isfinite(self.degrees_of_freedom):
            t = float(scipy.special.stdtrit(self.degrees_of_freedom, 1.0 - tail) / scipy.special.ndtri(1.0 - tail))
        return min(float(count), max(count / (self.design_effect * t * t), 1.0))

    @property
    def too_short(self) -> bool:
        """True if the correlation time exceeds a tenth of the run, so that no method knows the variance."""
        return self.correlation_time * MIN_LOOKS > self.seconds

    @property
    def seconds_needed(self) -> Seconds:
        """How long a run must be for its variance to be known."""
        return MIN_LOOKS * self.correlation_time


def independent(seconds: Seconds = 0.0) -> Dependence:
    """Requests that do not depend on each other."""
    return Dependence(design_effect=1.0, degrees_of_freedom=math.inf, correlation_time=0.0, seconds=seconds)


def stronger(first: Dependence, *others: Dependence) -> Dependence:
    """The dependence that leaves the fewest effective requests."""
    return min((first, *others), key=lambda each: each.effective_size(1e9, 0.05))


def measure_dependence(good: Sequence[int], of: Sequence[int], *, seconds: Seconds = 1.0) -> Dependence:
    """
    The dependence of a share, from the number of good requests and of all requests in consecutive spans of time.

    *seconds* is the length of a span. Where all or none are good, nothing can be measured, and the requests count as
    independent.
    """
    numbers = np.asarray(of, dtype=np.float64)
    used = np.flatnonzero(numbers)
    if not len(used):
        return independent()
    inside = slice(int(used[0]), int(used[-1]) + 1)
    numbers, goods = numbers[inside], np.asarray(good, dtype=np.float64)[inside]
    total = float(numbers.sum())
    share = float(goods.sum()) / total
    expected, duration = total * share * (1.0 - share), len(numbers) * seconds
    if expected <= 0.0:
        return independent(duration)
    scales = _scales(goods - share * numbers, numbers, duration)
    if not any(scale.is_dependent(expected) for scale in scales):
        return independent(duration)
    scale = _first_uncorrelated(scales)
    variance = scale.variance * scale.correction
    return Dependence(
        design_effect=max(variance / expected, 1.0),
        degrees_of_freedom=scale.degrees_of_freedom,
        correlation_time=_correlation_time(scales, scale, variance - expected, expected),
        seconds=duration,
    )


def standard_error_of_mean(values: Sequence[float]) -> tuple[float, int]:
    """The standard error of the mean of correlated values, and its degrees of freedom; 0 of them for fewer than two values."""
    if len(values) < 2:
        return 0.0, 0
    scales = _scales_of_values(values)
    scale = _first_uncorrelated(scales)
    return math.sqrt(scale.variance * scale.correction) / len(values), scale.batches - 1


def correlation_time_of_values(values: Sequence[float], variance: float) -> Seconds:
    """
    The correlation time of values, one for each second; 0 if they do not depend on each other beyond doubt (1 %).

    They do if batches of some length vary by significantly more than the *variance* that their sum has if requests are
    independent.
    """
    if len(values) < 2:
        return 0.0
    scales = _scales_of_values(values)
    if not any(scale.is_dependent(variance, _BEYOND_DOUBT) for scale in scales):
        return 0.0
    scale = _first_uncorrelated(scales)
    # It may be estimated as 0 in a run that is too short for it.
    return _correlation_time(scales, scale, scale.variance * scale.correction - variance, variance) or _SHORTEST


def _first_uncorrelated(scales: Sequence[_Scale]) -> _Scale:
    """The shortest batches that are not correlated with their neighbours; the longest if all are."""
    return next((each for each in scales if each.is_uncorrelated), scales[-1])


def _scales_of_values(values: Sequence[float]) -> list[_Scale]:
    """Batches of every length of values, one for each second."""
    numbers = np.asarray(values, dtype=np.float64)
    return _scales(numbers - numbers.mean(), np.ones(len(numbers)), float(len(numbers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """What batches of one length tell."""

    length: Seconds
    batches: int
    degrees_of_freedom: float
    """Batches with few requests count for less (Kish's effective number)."""
    variance: float
    """Of the number of good requests in the run, if batches are uncorrelated."""
    correlation: float
    """Between neighbouring batches."""

    def is_dependent(self, expected: float, significance: float = _SIGNIFICANCE) -> bool:
        """True if the variance is significantly larger than expected for independent requests."""
        df = self.degrees_of_freedom
        return df >= 1.0 and self.variance / expected > float(scipy.special.chdtri(df, significance)) / df

    @property
    def is_uncorrelated(self) -> bool:
        """True if neighbouring batches show no correlation beyond one standard error."""
        return self.correlation * math.sqrt(self.batches) < 1.0

    @property
    def correction(self) -> float:
        """The factor by which correlation between batches increases the variance; its estimate is 1/batches too low."""
        correlation = min(max(self.correlation + 1.0 / self.batches, 0.0), _MAX_CORRELATION)
        return (1.0 + correlation) / (1.0 - correlation)


def _scales(deviations: _Floats, numbers: _Floats, duration: Seconds) -> list[_Scale]:
    """Batches of every length, the shortest first."""
    batches = min(len(deviations), MAX_BATCHES)
    scales: list[_Scale] = []
    while batches >= MIN_BATCHES or not scales:
        starts = np.linspace(0, len(deviations), batches, endpoint=False).round().astype(int)
        scales.append(_scale(np.add.reduceat(deviations, starts), np.add.reduceat(numbers, starts), duration / batches))
        batches //= 2
    return scales


def _scale(sums: _Floats, numbers: _Floats, length: Seconds) -> _Scale:
    """What batches with these sums of deviations and numbers of requests tell."""
    batches = len(sums)
    squares = float(sums @ sums)
    return _Scale(
        length=length,
        batches=batches,
        degrees_of_freedom=float(numbers.sum() ** 2 / (numbers @ numbers)) - 1.0,
        variance=squares * batches / max(batches - 1, 1),
        correlation=float(sums[1:] @ sums[:-1]) / squares if squares else 0.0,
    )


def _correlation_time(scales: Sequence[_Scale], last: _Scale, excess: float, expected: float) -> Seconds:
    """
    The time τ for which batches of some length show the measured part of the excess variance.

    With a correlation exp(−t / τ), batches of length uτ show the fraction (u − 1 + exp(−u)) / u of it. The shortest batches
    that show at least half are used, since shorter ones show mostly noise. The excess was measured with *last*: if those
    batches are uncorrelated they show all of it, whatever τ is, so shorter ones are used. Batches show at
    least their part of the length, or what the correction leaves: if they show less it is by chance.
    """
    if excess <= 0.0:
        return 0.0
    telling = list(scales[: scales.index(last) + (not last.is_uncorrelated)]) or [last]
    scale = next((each for each in telling if each.variance - expected >= excess / 2), telling[-1])
    least = 1.0 / last.correction if scale is last else scale.length / last.length
    fraction = min(max((scale.variance - expected) / excess, least), 1.0)
    low, high = -7.0, 7.0  # logarithms of u
    for _ in range(40):
        middle = (low + high) / 2
        u = math.exp(middle)
        low, high = (middle, high) if (u - 1.0 + math.exp(-u)) / u < fraction else (low, middle)
    return scale.length / math.exp((low + high) / 2)
