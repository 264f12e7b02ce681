"""
What a search for the saturation rate implies for autoscaling: an estimate from its probes, not a measurement.

The universal scalability law is fitted to throughput and requests in flight of the probes in a steady state. The number in
flight at the saturation rate (Little's law, L = λW) is the most that a replica should get, so it is the
`concurrency_target`; the service scales up at `TARGET_UTILISATION` of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chainproof.clock import PerSecond
from chainproof.results.search_record import ProbeRecord, SearchRecord
from chainproof.statistics.confidence_intervals import Estimate
from chainproof.statistics.scalability import bootstrap_laws, fit_scalability, law_estimate

TARGET_UTILISATION = 0.7
"""The service's default target utilisation."""
MIN_LEVELS = 6
"""Rates that are needed for a fit of three coefficients."""
_MIN_RISE = 0.05
"""The time in flight must rise by this share over the levels, or the fit says nothing about the limit."""
_MIN_SECONDS = 10.0
"""A shorter probe does not show whether requests in flight grow."""
_MIN_OK = 0.9
"""A probe with a smaller share of ok answers is no level: its throughput says nothing about its requests in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the probes imply."""

    levels: int
    sigma: Estimate
    kappa: Estimate
    highest_throughput: Estimate
    """The throughput that the law does not exceed, per second."""
    rate: PerSecond
    """The saturation rate."""
    concurrency: Estimate
    """Requests in flight at the saturation rate, on all replicas together."""

    @property
    def rate_at_target_utilisation(self) -> PerSecond:
        """What the replicas of the search carry at the target utilisation: they scale up above it."""
        return TARGET_UTILISATION * self.rate

    def replicas(self, peak: PerSecond) -> int:
        """How many times the replicas of the search a peak needs: ⌈λW / (target · utilisation)⌉, with W = target / rate."""
        return math.ceil(peak / self.rate_at_target_utilisation)


def capacity(search: SearchRecord) -> Capacity | str:
    """What a search implies; the reason as a sentence if it implies nothing."""
    if search.saturation_rate is None:
        return "No estimate: the search has no result."
    probes = [probe for probe in search.probes if _is_steady(probe)]
    levels = len({probe.rate for probe in probes})
    if levels < MIN_LEVELS:
        return f"No estimate: expected at least {MIN_LEVELS} rates in a steady state, found {levels}."
    numbers, rates = [probe.in_flight for probe in probes], [probe.ok_per_second for probe in probes]
    law, samples = fit_scalability(numbers, rates), bootstrap_laws(numbers, rates)
    low, high = min(numbers), max(numbers)
    rise = law_estimate(law, samples, lambda each: each.residence(high) / max(each.residence(low), 1e-12) - 1.0)
    if rise.low is None or rise.low < _MIN_RISE:
        return (
            f"No estimate: the time in flight rises by {rise.value:.0%} over {levels} rates, which does not show a limit "
            f"(expected more than {_MIN_RISE:.0%} at the lower end of the interval)."
        )
    rate = search.saturation_rate
    return Capacity(
        levels=levels,
        sigma=law_estimate(law, samples, lambda each: each.sigma),
        kappa=law_estimate(law, samples, lambda each: each.kappa),
        highest_throughput=law_estimate(law, samples, lambda each: each.highest_throughput),
        rate=rate,
        concurrency=law_estimate(law, samples, lambda each: each.in_flight_at(rate)),
    )


def _is_steady(probe: ProbeRecord) -> bool:
    """True if requests in flight and throughput of a probe belong together."""
    answered = probe.ok >= _MIN_OK * probe.planned and probe.ok > 0 and probe.seconds >= _MIN_SECONDS
    return answered and not probe.growing and probe.in_flight > 0 and probe.verdict != "invalid"
