"""
Service-time models: how long the chain works on a request.

A service time is a mixture of lognormal components. One component alone is the lognormal law, which fits the service
times of most back ends; one without spread is a constant; several with weights make a slow tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist

from chainproof.clock import Seconds

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """
    A lognormal law, and how often it applies.
    """

    median: Seconds
    sigma: float = 0.0
    """The standard deviation of the logarithm; 0 makes the component a constant."""
    weight: float = 1.0


ServiceTime = tuple[Component, ...]
"""A law of service times. Weights count relative to their sum."""


def constant(seconds: Seconds) -> ServiceTime:
    """
    Always the same.
    """
    return (Component(median=seconds),)


NO_DELAY: ServiceTime = constant(0.0)


def sigma_from_p99(median: Seconds, p99: Seconds) -> float:
    """
    The sigma with which a lognormal law of this median has this p99.
    """
    return log(p99 / median) / _NORMAL.inv_cdf(0.99)


def service_time(law: ServiceTime, *, component: float, quantile: float) -> Seconds:
    """
    The service time at two numbers between 0 and 1: which component applies, and where in it the request falls.
    """
    chosen = _chosen(law, component)
    return chosen.median * exp(chosen.sigma * _NORMAL.inv_cdf(quantile)) if chosen.sigma else chosen.median


def probability_at_most(law: ServiceTime, seconds: Seconds) -> float:
    """
    The probability of a service time of at most *seconds*.
    """
    total = sum(part.weight for part in law)
    return sum(part.weight / total * _below(part, seconds) for part in law)


def _chosen(law: ServiceTime, share: float) -> Component:
    """
    The component in whose part of the whole weight *share* falls.
    """
    if len(law) == 1:
        return law[0]
    left = share * sum(part.weight for part in law)
    for part in law:
        left -= part.weight
        if left < 0:
            return part
    return law[-1]


def _below(part: Component, seconds: Seconds) -> float:
    """
    The same for one component.
    """
    if not part.sigma or not part.median:
        return float(seconds >= part.median)
    return _NORMAL.cdf(log(seconds / part.median) / part.sigma) if seconds > 0 else 0.0
