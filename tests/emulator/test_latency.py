from __future__ import annotations

from bisect import bisect_right
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.emulator.behaviour.latency import Component, constant, probability_at_most, service_time, sigma_from_p99
from chainproof.emulator.behaviour.seeded_random import DrawPurpose, mix64, uniform
from chainproof.emulator.scenario import builtin_scenarios

LAWS = {
    "constant": constant(0.005),
    "lognormal": (Component(median=0.004, sigma=0.5),),
    "mixture": (Component(median=0.03, sigma=0.3, weight=98), Component(median=0.6, sigma=0.4, weight=2)),
    **{name: scenario.service_time for name, scenario in builtin_scenarios().items()},
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_draws_follow_the_law(law):
    """
    The share of draws below any service time differs from the law by no more than chance has it.

    Kolmogorov's distance of 20 000 draws exceeds 1.95/sqrt(20 000) once in a thousand seeds; this one is fixed.
    """
    count = 20_000
    drawn = sorted(
        service_time(
            law, component=uniform(1, n, DrawPurpose.COMPONENT), quantile=uniform(1, n, DrawPurpose.SERVICE_TIME)
        )
        for n in range(count)
    )

    distance = max(
        abs(bisect_right(drawn, seconds) / count - probability_at_most(law, seconds)) for seconds in drawn[::7]
    )

    assert distance < 1.95 / count**0.5


@given(median=st.floats(1e-4, 10), ratio=st.floats(1.001, 100))
def test_a_law_given_by_its_p99_has_that_p99(median, ratio):
    """
    One request in a hundred takes longer than the p99 that a scenario names.
    """
    law = (Component(median=median, sigma=sigma_from_p99(median, median * ratio)),)

    assert probability_at_most(law, median * ratio) == pytest.approx(0.99)
    assert probability_at_most(law, median) == pytest.approx(0.5)
    assert log(service_time(law, component=0.5, quantile=0.99)) == pytest.approx(log(median * ratio), abs=1e-9)


@given(weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=5), share=st.floats(0.0001, 0.9999))
def test_a_component_applies_as_often_as_its_weight_says(weights, share):
    """
    Components divide the numbers between 0 and 1 among them in order, by weight.
    """
    law = tuple(Component(median=float(n), weight=weight) for n, weight in enumerate(weights))

    chosen = int(service_time(law, component=share, quantile=0.5))

    total = sum(weights)
    assert sum(weights[:chosen]) / total <= share + 1e-9
    assert sum(weights[: chosen + 1]) / total >= share - 1e-9


@given(seed=st.integers(), number=st.integers(1, 10**12), purpose=st.sampled_from(DrawPurpose))
def test_a_draw_lies_strictly_between_0_and_1(seed, number, purpose):
    """
    A draw is never 0 or 1, where a normal law has no quantile; any integer is a seed.
    """
    assert 0.0 < uniform(seed, number, purpose) < 1.0


def test_draws_of_neighbours_have_nothing_in_common():
    """
    Neighbouring seeds, requests and purposes draw numbers as unlike as any.
    """
    drawn = [uniform(seed, number, p) for seed in range(20) for number in range(200) for p in DrawPurpose]

    assert len(drawn) == len(set(drawn))
    # Seeds a request's stride apart: were the seed not mixed, one sequence would be the other, a request later.
    stride = 16 * 0x9E3779B97F4A7C15 % 2**64
    assert uniform(stride, 1, DrawPurpose.OUTCOME) != uniform(0, 2, DrawPurpose.OUTCOME)


def test_numbers_are_mixed_one_to_one():
    """
    Request ids of one run differ because their numbers do.
    """
    assert 100_000 == len({mix64(number) for number in range(100_000)})
    # The first outputs of SplitMix64 from state 0, as its authors' code prints them.
    gamma = 0x9E3779B97F4A7C15
    assert [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4] == [mix64(gamma * n % 2**64) for n in (1, 2)]
