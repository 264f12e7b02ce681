"""
Tests of shares and rates against a required value, with a limited probability of a wrong decision.

A share is met if it reaches the required one at its lower confidence bound, and missed if it does not at its upper one.
Each bound is wrong with at most the given probability (Clopper and Pearson, Biometrika 26, 1934). Several tests share their
probability by Holm's method (Scandinavian Journal of Statistics 6(2), 1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy

from chainproof.statistics import multiple_tests
from chainproof.statistics.confidence_intervals import CONFIDENCE, proportion
from chainproof.statistics.dependence import Dependence

ERROR = 1.0 - CONFIDENCE
"""The probability of a wrong decision, in each direction."""
DECISION_POWER = 0.8
"""The probability with which the number of requests of `ShareTest.requests_needed` decides."""
_MAX_REQUESTS = 10_000_000
"""Number of requests above which none is given."""
_LEAST_ERROR = 1e-12


class SampledTest(Protocol):
    """A test of whether an objective is met."""

    @property
    def is_exact(self) -> bool:
        """True if the decision has no sampling error."""
        ...

    def is_met(self, error: float) -> bool | None:
        """True or False with at most this probability of an error; None if it cannot be decided."""
        ...

    def bounds(self, low_error: float, high_error: float) -> tuple[float, float]:
        """The lower and the upper confidence bound, each with its own error."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareTest:
    """A test of whether the true share of good requests is at least the required one."""

    good: int
    """Requests that are known to be good."""
    best: int
    """Requests that are known to be good or may be."""
    total: int
    required: float
    strict: bool = False
    """True if the required share itself is not enough."""
    dependence: Dependence
    """For the lower bound: of the requests around the required share, most of which a run may not have seen."""
    dependence_at_limit: Dependence | None = None
    """For the upper bound: of the share itself, whose bad requests were seen. None if it is the same."""

    @property
    def is_exact(self) -> bool:
        """True for a required share of 100 %, of which one bad request is a miss, and for more than 0 %."""
        return self.required >= 1.0 or self.required <= 0.0

    def is_met(self, error: float) -> bool | None:
        """
        True or False with at most this probability of an error; None if it cannot be decided.

        A run that is shorter than ten correlation times decides only that a share is missed.
        """
        if self.total == 0 or self.best > self.total:
            return None  # nothing was planned, or part of the record is lost
        if self.is_exact:
            return self._exact()
        low, high = self.bounds(error, error)
        if low > self.required or (low == self.required and not self.strict):
            return None if self.dependence.too_short else True
        return False if high < self.required else None

    def _exact(self) -> bool | None:
        """The decision without sampling error."""
        if self.required > 1.0 or (self.required == 1.0 and self.strict):
            return None  # no target can reach it
        if self.required >= 1.0:
            return True if self.good == self.total else False if self.best < self.total else None
        if self.good or not self.strict:
            return True
        return None if self.best else False

    def bounds(self, low_error: float, high_error: float) -> tuple[float, float]:
        """The lower bound of the share if all unknown requests are bad, and the upper one if all are good."""
        at_limit = self.dependence if self.dependence_at_limit is None else self.dependence_at_limit
        low = proportion(self.good, self.total, 1.0 - 2.0 * low_error, self.dependence).low
        return low, proportion(self.best, self.total, 1.0 - 2.0 * high_error, at_limit).high

    def requests_needed(self, error: float = ERROR) -> int | None:
        """
        The size of a run that decides with a probability of 80 %; None if that is above ten million.

        What is known of the share is its distribution given this run (a beta distribution, Jeffreys 1946). The probability
        of a decision is its mean over that distribution, since at the observed share alone it would be too high. It must
        also be reached at the observed share.
        """
        if self.total == 0 or self.is_exact:
            return None
        effect = self.dependence.design_effect
        size = self.total / effect
        hits = self.good / self.total * size
        steps = (np.arange(50) + 0.5) / 50
        shares = np.append(scipy.special.betaincinv(hits + 0.5, size - hits + 0.5, steps), self.good / self.total)

        def decides(requests: int) -> bool:
            number = max(math.floor(requests / effect), 1)
            most = math.ceil(float(scipy.special.bdtrik(1.0 - error, number, self.required)))
            least = math.ceil(float(scipy.special.bdtrik(error, number, self.required))) - 1
            decided = np.zeros(len(shares))
            if least >= 0:
                decided += scipy.special.bdtr(least, number, shares)
            if most < number:
                decided += scipy.special.bdtrc(most, number, shares)
            return min(float(np.mean(decided[:-1])), float(decided[-1])) >= DECISION_POWER

        return _smallest(decides, self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTest:
    """A test of whether a mean rate is at least the required one."""

    rate: float
    standard_error: float
    degrees_of_freedom: int
    """0 if the run is too short for an interval."""
    pending: float
    """By how much the rate may be higher, because of what was still in progress when the run ended."""
    required: float
    strict: bool

    @property
    def is_exact(self) -> bool:
        """A rate has sampling error."""
        return False

    def is_met(self, error: float) -> bool | None:
        """True or False with at most this probability of an error; None if it cannot be decided."""
        low, high = self.bounds(error, error)
        if low > self.required or (low == self.required and not self.strict):
            return True
        return False if high < self.required else None

    def bounds(self, low_error: float, high_error: float) -> tuple[float, float]:
        """The lower and the upper bound by Student's distribution."""
        if not self.degrees_of_freedom:
            return 0.0, math.inf
        low, high = (float(scipy.special.stdtrit(self.degrees_of_freedom, 1.0 - e)) for e in (low_error, high_error))
        return max(self.rate - low * self.standard_error, 0.0), self.rate + self.pending + high * self.standard_error


def holm_errors(tests: Sequence[SampledTest], *, met: bool) -> list[float]:
    """
    The probability of error at which each test may decide in one direction, so that together they err in at most `ERROR`.

    Exact tests cannot err and take no part.
    """
    found = [ERROR] * len(tests)
    sampled = [place for place, test in enumerate(tests) if not test.is_exact]
    smallest = [_smallest_error(tests[place], met=met) for place in sampled]
    for place, share in zip(sampled, multiple_tests.holm_errors(smallest, ERROR), strict=True):
        found[place] = share
    return found


def _smallest_error(test: SampledTest, *, met: bool) -> float:
    """The smallest probability of error at which a test decides in this direction; 1 if none up to `ERROR` does."""
    if test.is_met(ERROR) is not met:
        return 1.0
    low, high = math.log(_LEAST_ERROR), math.log(ERROR)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if test.is_met(math.exp(middle)) is met else (middle, high)
    return math.exp(high)


def _smallest(decides: Callable[[int], bool], above: int) -> int | None:
    """The smallest number above *above* that decides, by doubling and bisection; None if that is above ten million."""
    low, high = above, 2 * above
    while not decides(high):
        low, high = high, 2 * high
        if low > _MAX_REQUESTS:
            return None
    while high - low > max(low // 100, 1):
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
