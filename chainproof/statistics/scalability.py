"""
The universal scalability law: throughput as a function of requests in flight.

X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), with λ the throughput of one request at a time, σ the contention and κ the coherency
(Gunther, Guerrilla Capacity Planning, 2007). N / X is linear in 1 / λ, σ / λ and κ / λ, so the law is fitted by
non-negative least squares of relative errors. Intervals are those of a bootstrap of the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from chainproof.statistics.confidence_intervals import CONFIDENCE, Estimate

_SAMPLES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalabilityLaw:
    """The law with its three coefficients as N / X = base + contention · (N − 1) + coherency · N (N − 1), in seconds."""

    base: float
    contention: float
    coherency: float

    @property
    def sigma(self) -> float:
        """The contention σ."""
        return self.contention / self.base

    @property
    def kappa(self) -> float:
        """The coherency κ."""
        return self.coherency / self.base

    @property
    def highest_throughput(self) -> float:
        """The throughput that no number of requests in flight exceeds; infinite if it grows without end."""
        if self.coherency > 0:
            peak = math.sqrt(max(self.base - self.contention, 0.0) / self.coherency)
            return max(peak, 1.0) / self.residence(max(peak, 1.0))
        return 1.0 / self.contention if self.contention > 0 else math.inf

    def residence(self, in_flight: float) -> float:
        """N / X: the mean time that a request is in flight."""
        return self.base + self.contention * (in_flight - 1) + self.coherency * in_flight * (in_flight - 1)

    def in_flight_at(self, throughput: float) -> float:
        """The smallest number of requests in flight with this throughput; infinite if there is none."""
        square = throughput * self.coherency
        linear = throughput * (self.contention - self.coherency) - 1.0
        constant = throughput * (self.base - self.contention)
        if square == 0.0:
            return constant / -linear if linear < 0 else math.inf
        inside = linear * linear - 4 * square * constant
        return (-linear - math.sqrt(inside)) / (2 * square) if inside >= 0 and linear < 0 else math.inf


def fit_scalability(in_flight: Sequence[float], throughput: Sequence[float]) -> ScalabilityLaw:
    """
    The law that fits measurements with at least three different numbers in flight; all of them are above 0.

    >>> law = fit_scalability([1, 2, 4, 8], [10 * n / (1 + 0.1 * (n - 1)) for n in (1, 2, 4, 8)])
    >>> (round(law.base, 3), round(law.sigma, 3), round(law.kappa, 3))
    (0.1, 0.1, 0.0)
    """
    numbers, rates = np.asarray(in_flight, dtype=float), np.asarray(throughput, dtype=float)
    residence = numbers / rates
    columns = np.column_stack([np.ones_like(numbers), numbers - 1, numbers * (numbers - 1)])
    coefficients, _ = scipy.optimize.nnls(columns / residence[:, None], np.ones_like(numbers))
    base, contention, coherency = (float(each) for each in coefficients)
    return ScalabilityLaw(base=max(base, 1e-12), contention=contention, coherency=coherency)


def bootstrap_laws(in_flight: Sequence[float], throughput: Sequence[float]) -> list[ScalabilityLaw]:
    """The laws of samples of the measurements, drawn with replacement."""
    numbers, rates = np.asarray(in_flight, dtype=float), np.asarray(throughput, dtype=float)
    chance = np.random.default_rng(0)
    laws: list[ScalabilityLaw] = []
    for _ in range(_SAMPLES):
        drawn: NDArray[np.int64] = chance.integers(0, len(numbers), len(numbers))
        if len(set(numbers[drawn].tolist())) >= 3:
            laws.append(fit_scalability(numbers[drawn].tolist(), rates[drawn].tolist()))
    return laws


def law_estimate(
    law: ScalabilityLaw, samples: Sequence[ScalabilityLaw], value: Callable[[ScalabilityLaw], float]
) -> Estimate:
    """A property of the law with its interval over the samples; an end is None if it is infinite."""
    tail = (1.0 - CONFIDENCE) / 2
    ordered = sorted(map(value, samples))
    ends = [ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (tail, 1.0 - tail)]
    low, high = (end if math.isfinite(end) else None for end in ends)
    return Estimate(value=value(law), low=low, high=high)
