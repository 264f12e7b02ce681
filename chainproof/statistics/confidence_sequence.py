"""
Bounds of a share that hold at every moment, however often they are looked at.

A confidence interval is wrong in 5 % of the looks. A test that looks after every request and stops at the first interval
that decides is wrong far more often. The interval of a confidence sequence is wrong at any time in at most 5 % of the runs.
"""

from __future__ import annotations

import math
from functools import partial

from chainproof.statistics.confidence_intervals import CONFIDENCE, ShareEstimate


def sequential_proportion(good: float, of: float, confidence: float = CONFIDENCE) -> ShareEstimate:
    """
    The interval of a share at any time of a sequence of independent requests.

    It has the shares p at which the likelihood of the counts is more than 1 − confidence of its mean over all shares,
    which is a beta distribution with both parameters 1/2 (Robbins, Annals of Mathematical Statistics 41(5), 1970). For
    dependent requests, divide both counts by the design effect.

    >>> sequential_proportion(95, 100).low < 0.9
    True
    """
    if not 0 <= good <= of or of == 0:
        raise ValueError(f"expected 0 ≤ good ≤ of and of ≥ 1, found good {good} of {of}")
    bad = of - good
    mean = math.lgamma(good + 0.5) + math.lgamma(bad + 0.5) - math.lgamma(of + 1.0) - math.log(math.pi)
    least = mean + math.log1p(-confidence)
    inside = partial(_is_likely, good=good, bad=bad, least=least)
    share = good / of
    return ShareEstimate(value=share, low=_end(inside, share, 0.0), high=_end(inside, share, 1.0))


def is_sequentially_above(count: float, of: float, limit: float) -> bool:
    """True if *limit* is below the interval of the share count / of, at any time of a sequence of requests."""
    return count > limit * of and sequential_proportion(count, of).low > limit


def _is_likely(share: float, *, good: float, bad: float, least: float) -> bool:
    """True if the log-likelihood of the counts at this share is at least *least*."""
    if (good > 0 and share <= 0.0) or (bad > 0 and share >= 1.0):
        return False
    return (good * math.log(share) if good > 0 else 0.0) + (bad * math.log1p(-share) if bad > 0 else 0.0) >= least


def _end(inside: partial[bool], within: float, end: float) -> float:
    """The last share towards *end* that is inside, by bisection."""
    if inside(end):
        return end
    beyond = end
    for _ in range(60):
        middle = (within + beyond) / 2
        within, beyond = (middle, beyond) if inside(middle) else (within, middle)
    return within
