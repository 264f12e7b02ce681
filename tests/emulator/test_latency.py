from __future__ import annotations

from bisect import bisect_right
from math import log
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.emulator.behaviour.latency import Component, constant, service_time, sigma_from_p99
from chainproof.emulator.behaviour.seeded_random import DrawPurpose, mix64, uniform
from chainproof.emulator.scenario import builtin_scenarios

MODELS = {
    "constant": constant(0.005),
    "lognormal": (Component(median=0.004, sigma=0.5),),
    "mixture": (Component(median=0.03, sigma=0.3, weight=98), Component(median=0.6, sigma=0.4, weight=2)),
    **{name: scenario.service_time for name, scenario in builtin_scenarios().items()},
}


def probability_at_most(law, seconds):
    """Probability of a service time of at most *seconds*."""
    total = sum(part.weight for part in law)
    return sum(part.weight / total * component_probability_at_most(part, seconds) for part in law)


def component_probability_at_most(part, seconds):
    """The same probability for one component."""
    if not part.sigma or not part.median:
        return float(seconds >= part.median)
    return NormalDist().cdf(log(seconds / part.median) / part.sigma) if seconds > 0 else 0.0


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_draws_follow_the_distribution(model):
    """
    The empirical distribution of draws matches the model.

    The Kolmogorov distance of 20 000 draws exceeds 1.95/sqrt(20 000) for one seed in a thousand; the seed is fixed.
    """
    count = 20_000
    draws = sorted(
        service_time(
            model, component=uniform(1, n, DrawPurpose.COMPONENT), quantile=uniform(1, n, DrawPurpose.SERVICE_TIME)
        )
        for n in range(count)
    )

    distance = max(
        abs(bisect_right(draws, seconds) / count - probability_at_most(model, seconds)) for seconds in draws[::7]
    )

    assert distance < 1.95 / count**0.5


@given(median=st.floats(1e-4, 10), ratio=st.floats(1.001, 100))
def test_sigma_from_p99_yields_that_p99(median, ratio):
    """A model built from median and p99 has that median and p99."""
    model = (Component(median=median, sigma=sigma_from_p99(median, median * ratio)),)

    assert probability_at_most(model, median * ratio) == pytest.approx(0.99)
    assert probability_at_most(model, median) == pytest.approx(0.5)
    assert log(service_time(model, component=0.5, quantile=0.99)) == pytest.approx(log(median * ratio), abs=1e-9)


@given(weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=5), share=st.floats(0.0001, 0.9999))
def test_component_share_equals_its_weight(weights, share):
    """Components divide the interval from 0 to 1 in order, in proportion to their weights."""
    model = tuple(Component(median=float(n), weight=weight) for n, weight in enumerate(weights))

    selected = int(service_time(model, component=share, quantile=0.5))

    total = sum(weights)
    assert sum(weights[:selected]) / total <= share + 1e-9
    assert sum(weights[: selected + 1]) / total >= share - 1e-9


@given(seed=st.integers(), number=st.integers(1, 10**12), purpose=st.sampled_from(DrawPurpose))
def test_uniform_is_strictly_between_0_and_1(seed, number, purpose):
    """A draw is never 0 or 1, where the normal distribution has no quantile. Any integer is a valid seed."""
    assert 0.0 < uniform(seed, number, purpose) < 1.0


def test_neighbouring_draws_differ():
    """Neighbouring seeds, requests and purposes have different draws."""
    draws = [uniform(seed, number, p) for seed in range(20) for number in range(200) for p in DrawPurpose]

    assert len(draws) == len(set(draws))
    # Two seeds one stride apart: without hashing the seed, one sequence would be the other shifted by a request.
    stride = 16 * 0x9E3779B97F4A7C15 % 2**64
    assert uniform(stride, 1, DrawPurpose.OUTCOME) != uniform(0, 2, DrawPurpose.OUTCOME)


def test_mix64_is_injective():
    """Different numbers have different hashes, so the request ids of a run are unique."""
    assert 100_000 == len({mix64(number) for number in range(100_000)})
    # The first outputs of SplitMix64 from state 0, from the authors' reference code.
    gamma = 0x9E3779B97F4A7C15
    assert [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4] == [mix64(gamma * n % 2**64) for n in (1, 2)]
