"""Tests of shares and rates: decisions, shared probabilities of error, and bounds that hold at every look."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.statistics.confidence_intervals import proportion
from chainproof.statistics.confidence_sequence import sequential_proportion
from chainproof.statistics.dependence import Dependence, independent
from chainproof.statistics.share_test import ERROR, RateTest, ShareTest, holm_errors

TOO_SHORT = Dependence(design_effect=50.0, degrees_of_freedom=9.0, correlation_time=30.0, seconds=200.0)


def share_test(
    good: int, total: int, required: float = 0.95, *, strict: bool = False, dependence: Dependence | None = None
) -> ShareTest:
    """A test without unknown requests."""
    return ShareTest(
        good=good,
        best=good,
        total=total,
        required=required,
        strict=strict,
        dependence=independent() if dependence is None else dependence,
    )


@given(st.integers(0, 500), st.integers(0, 60), st.floats(0.3, 0.99))
def test_fewer_errors_allow_fewer_decisions(good: int, bad: int, required: float) -> None:
    """What is decided with a small probability of error is decided the same way with a larger one."""
    test = share_test(good, good + bad, required)
    decisions = [test.is_met(error) for error in (0.001, 0.01, 0.05, 0.2)]
    decided = [decision for decision in decisions if decision is not None]

    assert decisions == [None] * (4 - len(decided)) + decided
    assert len(set(decided)) <= 1


@pytest.mark.parametrize(
    ("required", "strict", "good", "met"),
    [
        (1.0, False, 10, True),
        (1.0, False, 9, False),
        (1.0, True, 10, None),
        (1.2, False, 10, None),
        (0.0, False, 0, True),
        (0.0, True, 0, False),
        (0.0, True, 1, True),
    ],
)
def test_shares_of_none_and_all_are_exact(required: float, strict: bool, good: int, met: bool | None) -> None:
    """They have no sampling error; more than all is beyond every target."""
    test = share_test(good, 10, required, strict=strict)

    assert test.is_exact
    assert met is test.is_met(ERROR)
    assert test.requests_needed() is None


def test_a_short_run_may_fail_but_not_pass() -> None:
    """A run below ten correlation times decides only a gross miss."""
    assert TOO_SHORT.too_short
    assert share_test(10_000, 10_000, 0.2, dependence=TOO_SHORT).is_met(ERROR) is None
    assert share_test(9_300, 10_000, dependence=TOO_SHORT).is_met(ERROR) is None
    assert share_test(0, 10_000, dependence=TOO_SHORT).is_met(ERROR) is False


def test_unknown_requests_are_bad_for_a_pass_and_good_for_a_miss() -> None:
    """The lower bound counts them as bad, the upper one as good."""
    test = ShareTest(good=90, best=100, total=100, required=0.95, dependence=independent())

    assert pytest.approx((proportion(90, 100, 0.9).low, 1.0)) == test.bounds(ERROR, ERROR)
    assert test.is_met(ERROR) is None


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 30)), min_size=1, max_size=6))
def test_shared_errors_are_between_an_equal_part_and_all(counts: list[tuple[int, int]]) -> None:
    """No test gets less than an equal part, none more than everything, and what is decided stays within its own."""
    tests = [share_test(good, good + bad) for good, bad in counts]
    for met in (True, False):
        errors = holm_errors(tests, met=met)

        assert all(ERROR / len(tests) <= error <= ERROR for error in errors)
        assert len(tests) > 1 or errors == [ERROR]


def test_the_named_size_decides_in_four_of_five_cases() -> None:
    """Over true shares from well below the required one to well above it, runs of that size decide in 80 % or more."""
    source, decided, undecided = np.random.default_rng(1), 0, 0
    for total in (100, 300, 1000):
        for share in (0.9, 0.925, 0.94, 0.96, 0.97, 0.98):
            for good in source.binomial(total, share, 15).tolist():
                test = share_test(good, total)
                size = test.requests_needed() if test.is_met(ERROR) is None else None
                if size is not None:
                    undecided += 1
                    decided += share_test(int(source.binomial(size, share)), size).is_met(ERROR) is not None

    assert undecided > 100
    assert decided >= 0.8 * undecided


def test_a_rate_without_an_interval_is_not_decided() -> None:
    """One second has no spread, and requests in flight may belong to the rate."""
    one = RateTest(rate=5.0, standard_error=0.0, degrees_of_freedom=0, pending=0.0, required=3.0, strict=True)
    early = RateTest(rate=0.0, standard_error=0.0, degrees_of_freedom=1, pending=20.0, required=10.0, strict=True)

    assert (0.0, math.inf) == one.bounds(ERROR, ERROR)
    assert [None, None] == [one.is_met(ERROR), early.is_met(ERROR)]


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_a_confidence_sequence_is_wider_than_an_interval(good: int, bad: int) -> None:
    """It holds at every look, which costs width; it contains the observed share."""
    if good + bad:
        single, always = proportion(good, good + bad), sequential_proportion(good, good + bad)

        assert 0.0 <= always.low <= single.low + 1e-9
        assert single.high - 1e-9 <= always.high <= 1.0


def test_a_confidence_sequence_holds_at_every_look() -> None:
    """In at most 5 % of the runs it ever excludes the truth; an interval does so in far more."""
    source, ever, interval = np.random.default_rng(2), 0, 0
    for _ in range(40):
        errors = np.cumsum(source.random(1000) < 0.1)
        looks = [(int(errors[look]), look + 1) for look in range(19, 1000, 40)]
        ever += any(sequential_proportion(*look).low > 0.1 for look in looks)
        interval += any(proportion(*look, 0.9).low > 0.1 for look in looks)

    assert ever <= 5
    assert interval > 2 * ever


@pytest.mark.parametrize(("good", "of"), [(0, 0), (2, 1), (-1, 5)])
def test_invalid_counts_are_rejected(good: int, of: int) -> None:
    """More good ones than there are, or none at all, raise ValueError."""
    with pytest.raises(ValueError, match="expected 0 ≤ good ≤ of"):
        sequential_proportion(good, of)
