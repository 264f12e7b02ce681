"""
Figures of one run that can be compared: a quantile, a share or a rate, with its standard error within the run.

Each deviates from its true value by a sum over the seconds of the run. For a quantile this is the linear part of its error:
(p · n − number of values up to the quantile) · d log q / dp / n, summed over seconds (Bahadur 1966). So two runs that saw the
same seconds can be compared second by second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from chainproof.clock import Seconds
from chainproof.statistics.dependence import correlation_time_of_values, standard_error_of_mean
from chainproof.statistics.histogram import RELATIVE_ERROR, Histogram, bucket_index, merge_histograms
from chainproof.statistics.run_differences import Difference, RunValue

_SLOPE_ERRORS = 3.0
"""Standard errors on either side between which the slope of a quantile is measured: with fewer it is mostly noise."""
_LARGEST_STEP = 0.5
"""The part of the tail that this may use at most."""
CORRELATION_COST = 4.0
"""
Batches that tell as much about a variance as one, if their correlation has to be estimated too.

Three by their variances: that of the logarithm of the correction (1 + r) / (1 − r) is 4 ÷ batches, that of the variance itself
2 ÷ batches. One more, because the length of the batches is chosen from the same values (`benchmarks/simulations/comparing.py`).
"""
MIN_SLOW_TIMES = 15
"""Correlation times in a duet below which it saw too few slow times of its targets (`benchmarks/simulations/comparing.py`)."""
_FREEDOM_OF_SHORT_DUETS = 2.0
"""The degrees of freedom then: only a difference of many standard errors is certain."""


@dataclass(frozen=True, slots=True)
class Measurement(RunValue):
    """A figure of one run, with what each second contributes to its deviation."""

    parts: NDArray[np.float64] = field(compare=False)
    independent_error: float = 0.0
    """The standard error if requests were independent; 0 if it is unknown."""


def log_quantile(seconds: Sequence[Histogram], fraction: float) -> Measurement | None:
    """The logarithm of a quantile of all *seconds* together; None if there are too few values for it."""
    merged = merge_histograms(seconds)
    tail = min(fraction, 1.0 - fraction)
    error = math.sqrt(fraction * (1.0 - fraction) / merged.count) if merged.count else 1.0
    if error >= tail:
        return None
    value, step = merged.quantile(fraction), min(_SLOPE_ERRORS * error, _LARGEST_STEP * tail)
    low, high = merged.quantile(fraction - step), merged.quantile(fraction + step)
    if not (value and low and high):
        return None
    slope = math.log(high / low) / (2 * step)
    counts = np.array([each.count for each in seconds], dtype=np.float64)
    below = np.array([_count_at_most(each, value) for each in seconds], dtype=np.float64)
    share = below.sum() / merged.count  # of whole buckets, so a little more than the fraction
    parts = (share * counts - below) * slope / merged.count
    independent = error * slope
    return Measurement(math.log(value), max(_error(parts), independent, RELATIVE_ERROR), parts, independent)


def share(hits: Sequence[int], of: Sequence[int]) -> Measurement | None:
    """The share of some requests, from the counts of each second; None without requests."""
    some, numbers = np.asarray(hits, dtype=np.float64), np.asarray(of, dtype=np.float64)
    total = float(numbers.sum())
    if not total:
        return None
    value = float(some.sum()) / total
    expected = (value * total + 0.5) / (total + 1.0)  # never 0 or 1, as no share is known exactly
    parts = (some - value * numbers) / total
    independent = math.sqrt(expected * (1.0 - expected) / total)
    return Measurement(value, max(_error(parts), independent), parts, independent)


def log_rate(counts: Sequence[float]) -> Measurement | None:
    """The logarithm of the mean of the counts of each second; None if nothing was counted."""
    numbers = np.asarray(counts, dtype=np.float64)
    mean = float(numbers.mean()) if len(numbers) else 0.0
    if not mean:
        return None
    parts = (numbers / mean - 1.0) / len(numbers)
    return Measurement(math.log(mean), _error(parts), parts)


def duet_correlation_time(figures: Sequence[tuple[Measurement, Measurement]]) -> Seconds:
    """
    For how long a target of a duet is slow while the other is not; 0 if seconds do not depend on each other.

    *figures* are those of both runs. The longest time counts, since all figures come from the same requests.
    """
    variances = [sum(each.independent_error**2 for each in pair) for pair in figures]
    return max(
        (
            correlation_time_of_values(_joint_parts(*pair).tolist(), variance)
            for pair, variance in zip(figures, variances, strict=True)
            if variance
        ),
        default=0.0,
    )


def duet_difference(candidate: Measurement, baseline: Measurement, *, correlation_time: Seconds = 0.0) -> Difference:
    """
    The difference of two runs in the same seconds. What slows both in a second is not in it.

    If seconds depend on each other, the standard error is that of batches of seconds, corrected for the correlation that is left
    between them. That is estimated too, so each batch counts for less.
    """
    parts = _joint_parts(candidate, baseline)
    if correlation_time:
        error, degrees = standard_error_of_mean(parts.tolist())
        freedom = degrees / CORRELATION_COST
        if correlation_time * MIN_SLOW_TIMES > len(parts):
            freedom = min(freedom, _FREEDOM_OF_SHORT_DUETS)
    else:
        freedom = len(parts) - 1.0
        error = float(parts.std(ddof=1)) / math.sqrt(len(parts)) if len(parts) > 1 else 0.0
    error = max(error * len(parts), math.hypot(candidate.independent_error, baseline.independent_error))
    return Difference(
        value=candidate.value - baseline.value,
        error=error or RELATIVE_ERROR,  # nothing varies, such as throughputs of a constant number of answers
        degrees_of_freedom=freedom,
        pairs=True,
        freedom_of_duet=freedom,
    )


def _joint_parts(candidate: Measurement, baseline: Measurement) -> NDArray[np.float64]:
    """What each second contributes to the deviation of the difference."""
    parts = np.zeros(max(len(candidate.parts), len(baseline.parts)))
    parts[: len(candidate.parts)] += candidate.parts
    parts[: len(baseline.parts)] -= baseline.parts
    return _without_empty_ends(parts)


def _error(parts: NDArray[np.float64]) -> float:
    """The standard error of the sum of what seconds contribute."""
    used = _without_empty_ends(parts)
    return standard_error_of_mean(used.tolist())[0] * len(used)


def _without_empty_ends(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The seconds from the first to the last in which there is something: a warm-up is not judged."""
    used = np.flatnonzero(parts)
    return parts[used[0] : used[-1] + 1] if len(used) else parts


def _count_at_most(histogram: Histogram, limit: Seconds) -> int:
    """The number of values up to the bucket of *limit*."""
    indices, counts = histogram.used_buckets()
    return int(counts[: np.searchsorted(indices, bucket_index(round(limit * 1e9)), side="right")].sum())
