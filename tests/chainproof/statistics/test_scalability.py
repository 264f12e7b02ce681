"""Tests of the universal scalability law: it is recovered from its own values, and says what it cannot know."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.statistics.scalability import ScalabilityLaw, bootstrap_laws, fit_scalability, law_estimate


@given(st.floats(0.01, 2.0), st.floats(0.0, 0.2), st.floats(0.0, 0.01))
def test_a_law_is_recovered_from_its_own_values(base: float, sigma: float, kappa: float) -> None:
    """Six levels determine three coefficients."""
    law = ScalabilityLaw(base=base, contention=sigma * base, coherency=kappa * base)
    numbers = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    found = fit_scalability(numbers, [number / law.residence(number) for number in numbers])

    assert (base, sigma, kappa) == pytest.approx((found.base, found.sigma, found.kappa), rel=1e-6, abs=1e-6)


@given(st.floats(0.01, 2.0), st.floats(1e-3, 0.2), st.just(0.0) | st.floats(1e-4, 0.01), st.floats(0.1, 0.95))
def test_in_flight_and_throughput_are_inverse(base: float, sigma: float, kappa: float, share: float) -> None:
    """The number in flight at a throughput below the highest has that throughput."""
    law = ScalabilityLaw(base=base, contention=sigma * base, coherency=kappa * base)
    highest = law.highest_throughput
    number = law.in_flight_at(share * highest)

    assert share * highest == pytest.approx(number / law.residence(number), rel=1e-6)
    assert math.isinf(law.in_flight_at(1.01 * highest))


def test_the_interval_contains_the_truth() -> None:
    """With 3 % noise, the interval of the highest throughput contains the true one in at least 80 % of 50 cases."""
    law = ScalabilityLaw(base=0.1, contention=0.002, coherency=0.00002)
    numbers = [1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0, 48.0]
    inside = 0
    for seed in range(50):
        noise = random.Random(seed)
        rates = [number / law.residence(number) * noise.gauss(1.0, 0.03) for number in numbers]
        estimate = law_estimate(
            fit_scalability(numbers, rates), bootstrap_laws(numbers, rates), lambda each: each.highest_throughput
        )
        high = math.inf if estimate.high is None else estimate.high
        inside += (0.0 if estimate.low is None else estimate.low) <= law.highest_throughput <= high

    assert inside >= 40
