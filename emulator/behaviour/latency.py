"""
Service-time models: how long the chain works on a request.

A model is a mixture of lognormal components. One component fits the service times of most back ends; a component
without spread is a constant; several weighted components model a slow tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist

from chainproof.clock import Seconds

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A lognormal distribution and its weight in the mixture."""

    median: Seconds
    sigma: float = 0.0
    """Standard deviation of the logarithm; 0 makes the component a constant."""
    weight: float = 1.0


ServiceTime = tuple[Component, ...]
"""A distribution of service times. Weights are relative to their sum."""


def constant(seconds: Seconds) -> ServiceTime:
    """A constant service time."""
    return (Component(median=seconds),)


NO_DELAY: ServiceTime = constant(0.0)


def sigma_from_p99(median: Seconds, p99: Seconds) -> float:
    """The sigma of a lognormal distribution with this median and p99."""
    return log(p99 / median) / _NORMAL.inv_cdf(0.99)


def service_time(law: ServiceTime, *, component: float, quantile: float) -> Seconds:
    """The service time at two quantiles between 0 and 1: *component* selects the component, *quantile* the value in it."""
    part = _component_at(law, component)
    return part.median * exp(part.sigma * _NORMAL.inv_cdf(quantile)) if part.sigma else part.median


def _component_at(law: ServiceTime, share: float) -> Component:
    """The component at a share of the total weight."""
    if len(law) == 1:
        return law[0]
    remaining = share * sum(part.weight for part in law)
    for part in law:
        remaining -= part.weight
        if remaining < 0:
            return part
    return law[-1]
